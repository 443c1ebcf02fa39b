"""YAML without its surprises: words stay words, every key has its line, one key can be changed in place.

Every YAML file and word that the product reads comes through here, and none can hang or kill it: size, depth and what
aliases multiply are limited. The limits are far from anything a desk needs; settings could not hold them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tradekit.errors import ConfigError

LARGEST = 4_000_000  # bytes of a file: some 50,000 symbols with all that can be said of them
DEEPEST = 50  # levels of nesting; desk.yaml has six
MOST_VALUES = 1_000_000  # once all aliases are written out
SHALLOW = 2_500  # brackets that cannot nest too deep for a parser in C that recurses (it bears 20,000)

Keys = tuple[str | int, ...]
Node = Any  # a yaml.nodes.Node: PyYAML's stubs know neither `id` nor what a C loader gives


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file or a variable."""

    where: str
    message: str
    line: int = 0


def read_text(path: Path) -> str:
    """A settings file's text; ConfigError where it is missing, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
        _check_size(len(found), path)
        return found.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing", f"tradekit init {path.parent}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None


def listing(path: Path, problems: Sequence[Problem]) -> str:
    """All problems as one message, in the order of their lines."""
    ordered = sorted(problems, key=lambda p: p.line)
    lines = [f"{p.where}: {p.message}" for p in ordered]
    return lines[0] if len(lines) == 1 else f"{len(lines)} errors in {path}\n  " + "\n  ".join(lines)


def dotted(keys: Keys) -> str:
    """`schedule[3].at`"""
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")


def kind_of(value: Any) -> str:
    """A value as a message names it: `the text 'abc'`, 3, a mapping."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r}"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)


def parse(text: str, path: Path, problems: list[Problem]) -> tuple[Any, dict[Keys, int]]:
    """YAML text as plain values, and the line of every key. The rest joins `problems`; bad syntax raises."""
    lines: dict[Keys, int] = {}
    node = compose(text, path)
    tree = {} if node is None else _value(node, (), lines, path.name, problems)
    return tree, lines


def compose(text: str, path: Path) -> Node | None:
    """The nodes of YAML text. ConfigError with the line of a syntax error, or of what is too deep or too much."""
    import yaml

    try:
        _check_size(len(text), path)
        if "*" in text or 2 * max(map(len, text.split("\n"))) + text.count("[") + text.count("{") > SHALLOW:
            _check_shape(yaml.parse(text, Loader=_loader()), path)
        return yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise ConfigError(f"{where}: not YAML: {what}", "check indentation, colons and quotes there") from None


def _check_size(size: int, path: Path) -> None:
    if size > LARGEST:
        raise ConfigError(f"{path}: it has more than {LARGEST / 1e6:g} MB", "no settings are as large: is it the file?")


def _check_shape(events: Iterator[Any], path: Path) -> None:
    """ConfigError for YAML events that nest too deep, or that are too many with every alias written out.

    PyYAML's composer recurses in C, where too deep is a crash; its events come one by one. An alias counts as much as
    what it stands for: nine lists of nine aliases each are 400 million values in 500 bytes.
    """
    sizes: dict[str, int] = {}  # values by anchor
    above: list[tuple[str | None, int]] = []  # of each collection that is open: its anchor, the values before it
    values = 0
    for event in events:
        kind, anchor = type(event).__name__, getattr(event, "anchor", None)
        if kind in ("SequenceStartEvent", "MappingStartEvent"):
            above.append((anchor, values))
            values += 1
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            anchor, before = above.pop()
            if anchor:
                sizes[anchor] = values - before
        elif kind == "ScalarEvent":
            values += 1
            if anchor:
                sizes[anchor] = 1
        elif kind == "AliasEvent":
            values += sizes.get(anchor or "", 1)
            if any(anchor == name for name, _ in above):
                raise ConfigError(f"{path}:{event.start_mark.line + 1}: *{anchor} stands inside itself", "write it out")
        if len(above) > DEEPEST or values > MOST_VALUES:
            what = f"nested deeper than {DEEPEST} levels" if len(above) > DEEPEST else f"over {MOST_VALUES:,} values"
            where = f"{path}:{event.start_mark.line + 1}"
            raise ConfigError(f"{where}: {what}", "write it flatter, with fewer aliases (*name)")


_made: list[Any] = []


def _loader() -> Any:
    """CSafeLoader that knows null, true, false, decimal integers and floats; all else is text.

    So `NO`, `ON` and `Y` stay tickers, `10:30` a time of day, 2026-01-02 a text and 010 no octal 8.
    """
    if not _made:
        import yaml

        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        loader: Any = type("DeskLoader", (base,), {"yaml_implicit_resolvers": {}})
        for tag, pattern, first in [
            ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
            ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
            ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
            ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
             list("-+.0123456789")),
        ]:  # fmt: skip
            loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), first)
        _made.append(loader)
    return _made[0]


def _value(node: Node, keys: Keys, lines: dict[Keys, int], file: str, problems: list[Problem]) -> Any:
    lines.setdefault(keys, node.start_mark.line + 1)
    if len(keys) > DEEPEST:
        raise ConfigError(f"{file}:{lines[keys]}: nested deeper than {DEEPEST} levels", "write it flatter")
    if node.id == "mapping":
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.id != "scalar":
                problems.append(Problem(f"{file}:{line}", "a key must be a word", line))
                continue
            key = key_node.value
            if key in result:
                first = lines[(*keys, key)]
                again = f"{dotted((*keys, key))} is there twice, first in line {first}"
                problems.append(Problem(f"{file}:{line}", again, line))
            lines[(*keys, key)] = line
            result[key] = _value(value_node, (*keys, key), lines, file, problems)
        return result
    if node.id == "sequence":
        return [_value(each, (*keys, i), lines, file, problems) for i, each in enumerate(node.value)]
    try:
        return scalar(node.tag, node.value)
    except ValueError as error:
        line = node.start_mark.line + 1
        problems.append(Problem(f"{file}:{line}", f"{dotted(keys)}: {error}", line))
        return None


def scalar(tag: str, text: str) -> Any:
    """The value of a scalar node; numbers keep their text's value. Raises ValueError."""
    match tag.rpartition(":")[2]:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            return int(text)
        case "float":
            number = float(text)
            if not isfinite(number):
                raise ValueError(f"{text} is too large")
            return number
        case "str":
            return text
    raise ValueError(f"the tag {tag} is not known here")


def yaml_value(text: str) -> Any:
    """What a word of the command line or of the environment means in YAML: 3, 0.5, true, null, [a, b] or text."""
    problems: list[Problem] = []
    value, _ = parse(text, Path("value"), problems)
    if problems:
        raise ConfigError(problems[0].message, "quote the value")
    return value if text.strip() else text


# changing one key


def changed(text: str, key: str, value: str, path: Path) -> str:
    """desk.yaml's text with one dotted key set to `value` (YAML text); comments and order stay.

    Raises ConfigError where the key holds a block that only an editor can change.
    """
    keys = key.split(".")
    written = _as_yaml(value)
    node = compose(text, path)
    lines = text.splitlines(keepends=True)
    indent, at, depth = 0, len(lines), 0
    for word in keys:
        pair = next((p for p in node.value if p[0].value == word), None) if node and node.id == "mapping" else None
        if pair is None:
            break
        key_node, node = pair
        indent, at, depth = key_node.start_mark.column + 2, key_node.start_mark.line + 1, depth + 1
        if depth == len(keys):
            return _replaced(lines, key_node, node, written, key)
    if node is not None and node.id == "mapping" and depth and node.value:
        if node.flow_style:
            raise ConfigError(f"{dotted(tuple(keys[:depth]))} is written as {{...}}", f"edit {path} by hand")
        indent = node.value[0][0].start_mark.column
    elif node is not None and depth and (node.id != "scalar" or node.value):
        raise ConfigError(f"{dotted(tuple(keys[:depth]))} is written as {{...}} or a value", f"edit {path} by hand")
    if depth == 0 and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    block = ""
    for i, word in enumerate(keys[depth:]):
        last = depth + i == len(keys) - 1
        block += " " * (indent + 2 * i) + f"{word}:{' ' + written if last else ''}\n"
    return "".join([*lines[:at], block, *lines[at:]])


def _replaced(lines: list[str], key_node: Any, node: Any, written: str, key: str) -> str:
    if node.id != "scalar" and not node.flow_style:
        raise ConfigError(f"{key} is a block of several lines", "edit desk.yaml by hand")
    start, end = node.start_mark, node.end_mark
    if (start.line, start.column) == (end.line, end.column):  # `key:` with nothing behind it
        row = key_node.end_mark.line
        cut = lines[row].index(":", key_node.end_mark.column) + 1
        lines[row] = f"{lines[row][:cut]} {written}{lines[row][cut:]}"
        return "".join(lines)
    lines[start.line : end.line + 1] = [lines[start.line][: start.column] + written + lines[end.line][end.column :]]
    return "".join(lines)


def _as_yaml(text: str) -> str:
    """The text itself where YAML reads all of it as one value, else quoted (`a: b`, `my #1`, nothing at all)."""
    try:
        node = compose(f"k: {text}", Path("value"))
        end = node.value[0][1].end_mark if node is not None and len(node.value) == 1 else None
        if end is not None and text.strip() and (end.line, end.column) == (0, len(f"k: {text.rstrip()}")):
            return text.strip()
    except ConfigError:
        pass
    return quoted(text)


def quoted(text: str) -> str:
    """A text in double quotes, with everything that YAML does not take as it is escaped."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text) + '"'
