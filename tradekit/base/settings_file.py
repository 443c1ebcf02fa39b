"""desk.yaml and universe.yaml: read strictly, judged key by key, each error with its file, key and line.

A value comes from the caller, else TRADEKIT_SET__SECTION__KEY, else desk.yaml, else its default.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from tradekit.config import Settings, Symbol
from tradekit.errors import ConfigError

if TYPE_CHECKING:
    Node = Any  # a yaml.nodes.Node: PyYAML's stubs know neither `id` nor what a C loader gives

Keys = tuple[str | int, ...]
PREFIX = "TRADEKIT_SET__"
COMMAND_LINE = "command line"
SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9./^_-]{0,23}")
_SIMPLE_UNIVERSE = re.compile(r"(?:\s*[A-Za-z_][\w-]*:[ \t]*\[[A-Z0-9./^_,\s-]*\])*\s*")


@dataclass(frozen=True)
class Loaded:
    """Settings, where each came from, and a hash that changes when any of them does."""

    settings: Settings
    origins: Mapping[str, str]  # dotted key -> default | desk.yaml:12 | TRADEKIT_SET__... | command line
    hash: str
    file: Path
    lines: Mapping[Keys, int] = field(default_factory=dict)  # keys in desk.yaml -> line, counted from 1

    def place(self, *keys: str | int) -> str:
        """`desk.yaml:41` for a key (or for the nearest one above it that the file has)."""
        for n in range(len(keys), 0, -1):
            if keys[:n] in self.lines:
                return f"{self.file.name}:{self.lines[keys[:n]]}"
        return self.file.name


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file or a variable."""

    where: str
    message: str
    line: int = 0


def load_settings(
    desk: Path, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """The settings of a desk's folder; `overrides` are dotted keys with values (text is read as YAML).

    Raises ConfigError that lists every wrong key, type and range.
    """
    path = desk / "desk.yaml"
    return settings_from(read_text(path), path, environ, overrides)


def read_text(path: Path) -> str:
    """A settings file's text; ConfigError where it is missing or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing", f"tradekit init {path.parent}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8", "save the file as UTF-8") from None


def settings_from(
    text: str, path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """Settings from the text of desk.yaml; `path` is for messages only. Raises ConfigError."""
    problems: list[Problem] = []
    tree, lines = parse(text, path, problems)
    if not isinstance(tree, dict):
        problems.append(Problem(path.name, f"the file is {kind_of(tree)}, not a mapping of sections", 1))
        tree = {}
    named: dict[Keys, str] = {keys: f"{path.name}:{line}" for keys, line in lines.items()}
    for keys, value, origin in [*_from_environment(environ), *_from_caller(overrides or {})]:
        _put(tree, keys, value)
        named = {k: o for k, o in named.items() if k[: len(keys)] != keys}
        named[keys] = origin
    settings = _converted(tree, problems, named)
    if settings is not None and not problems:
        problems = [Problem(named.get(keys, path.name), f"{dotted(keys)}: {why}") for keys, why in misfits(settings)]
    if problems or settings is None:
        raise ConfigError(_listing(path, problems), "tradekit config schema, or the comments in desk.yaml")
    return Loaded(settings, _origins(settings, named), settings_hash(settings), path, lines)


def settings_hash(settings: Settings) -> str:
    """blake2s (16 hex digits) of the settings as canonical JSON."""
    from hashlib import blake2s

    return blake2s(msgspec.json.encode(settings, order="sorted"), digest_size=8).hexdigest()


def _listing(path: Path, problems: Sequence[Problem]) -> str:
    ordered = sorted(problems, key=lambda p: p.line)
    lines = [f"{p.where}: {p.message}" for p in ordered]
    return lines[0] if len(lines) == 1 else f"{len(lines)} errors in {path}\n  " + "\n  ".join(lines)


# YAML without its surprises


def parse(text: str, path: Path, problems: list[Problem]) -> tuple[Any, dict[Keys, int]]:
    """YAML text as plain values, and the line of every key. The rest joins `problems`; bad syntax raises."""
    lines: dict[Keys, int] = {}
    node = compose(text, path)
    tree = {} if node is None else _value(node, (), lines, path.name, problems)
    return tree, lines


def compose(text: str, path: Path) -> "Node | None":
    """The nodes of YAML text. Raises ConfigError with the line of a syntax error."""
    import yaml

    try:
        return yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise ConfigError(f"{where}: not YAML: {what}", "check indentation, colons and quotes there") from None


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


def _value(node: "Node", keys: Keys, lines: dict[Keys, int], file: str, problems: list[Problem]) -> Any:
    lines.setdefault(keys, node.start_mark.line + 1)
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


# overrides


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[Keys, Any, str]]:
    for name in sorted(environ):
        if name.startswith(PREFIX):
            words = [word.lower() for word in name[len(PREFIX) :].split("__")]
            yield tuple(_strategy_names(words)), yaml_value(environ[name]), name


def _strategy_names(words: list[str]) -> list[str]:
    """MARKET_ON_OPEN means market-on-open: a variable's name has no dashes."""
    for parent in (["exits", "plans"], ["strategies"]):
        n = len(parent)
        if words[:n] == parent and len(words) > n:
            return [*parent, words[n].replace("_", "-"), *words[n + 1 :]]
    return words


def _from_caller(overrides: Mapping[str, Any]) -> Iterator[tuple[Keys, Any, str]]:
    for key, value in overrides.items():
        yield tuple(key.split(".")), yaml_value(value) if isinstance(value, str) else value, COMMAND_LINE


def _put(tree: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        below = tree.get(str(key))
        if not isinstance(below, dict):
            below = tree[str(key)] = {}
        tree = below
    tree[str(keys[-1])] = value


# judging


def _converted(tree: dict[str, Any], problems: list[Problem], named: Mapping[Keys, str]) -> Settings | None:
    """The whole tree at once; only where that fails key by key, to name every error."""
    tree = {key: value for key, value in tree.items() if value is not None}  # `risk:` with nothing below it
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        found = list(errors_in(tree, Settings, ()))
        for keys, why in found:
            where = next((named[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in named), "desk.yaml")
            line = int(where.rpartition(":")[2]) if where.rpartition(":")[2].isdigit() else 0
            problems.append(Problem(where, f"{dotted(keys)}: {why}", line))
        if not found:
            problems.append(Problem("desk.yaml", str(error)))
        return None


def errors_in(value: Any, wanted: Any, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Every place where a value does not fit a type: (keys, what was found)."""
    inner = _bare(wanted)
    struct = next((t for t in inner if isinstance(t, type) and issubclass(t, msgspec.Struct)), None)
    if struct is not None and isinstance(value, dict):
        yield from _errors_in_struct(value, struct, keys)
        return
    for each in inner:
        if get_origin(each) is dict and isinstance(value, dict):
            for key, below in value.items():
                yield from errors_in(below, get_args(each)[1], (*keys, key))
            return
        if get_origin(each) is list and isinstance(value, list):
            for i, below in enumerate(value):
                yield from errors_in(below, get_args(each)[0], (*keys, i))
            return
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        yield keys, f"{_worded(str(error), value)}{_close_choice(value, wanted)}"


def _errors_in_struct(value: dict[str, Any], struct: type[msgspec.Struct], keys: Keys) -> Iterator[tuple[Keys, str]]:
    known = {f.encode_name: f for f in msgspec.structs.fields(struct)}
    for key, below in value.items():
        if key in known:
            yield from errors_in(below, known[key].type, (*keys, key))
        else:
            yield (*keys, key), "no such key" + _close_key(key, known, keys)
    for name, f in known.items():
        if f.required and name not in value:
            yield keys, f"{name} is missing"


def _bare(wanted: Any) -> list[Any]:
    """The alternatives of a type, without Annotated."""
    if get_origin(wanted) is Annotated:
        return _bare(get_args(wanted)[0])
    if get_origin(wanted) in (Union, UnionType):
        return [inner for each in get_args(wanted) for inner in _bare(each)]
    return [wanted]


def _close_key(key: str, known: Mapping[str, Any], keys: Keys) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key.replace("-", "_"), list(known), n=1, cutoff=0.6)
    if close:
        return f", did you mean {close[0]}?"
    sections = [f.name for f in msgspec.structs.fields(Settings) if key in _names_in(f.type) and (f.name,) != keys]
    return f", did you mean {sections[0]}.{key}?" if sections else f"; known: {', '.join(known)}"


def _names_in(wanted: Any) -> list[str]:
    structs = [t for t in _bare(wanted) if isinstance(t, type) and issubclass(t, msgspec.Struct)]
    return [f.encode_name for t in structs for f in msgspec.structs.fields(t)]


def _close_choice(value: Any, wanted: Any) -> str:
    from difflib import get_close_matches
    from typing import Literal

    choices = [c for t in _bare(wanted) if get_origin(t) is Literal for c in get_args(t)]
    if not choices or not isinstance(value, str):
        return ""
    close = get_close_matches(value, choices, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else f" (one of {', '.join(choices)})"


def _worded(message: str, value: Any) -> str:
    """msgspec's sentence with what was found: `Expected `int` >= 0`, found -3."""
    expected = message.partition(" - at ")[0].partition(", got ")[0].replace("`", "")
    if expected.startswith("Invalid enum value"):
        return f"{value!r} is not a choice"
    return f"{expected[:1].lower()}{expected[1:]}, found {kind_of(value)}"


def kind_of(value: Any) -> str:
    """A value as a message names it: `the text 'abc'`, 3, a mapping."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r}"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else str(value)


def dotted(keys: Keys) -> str:
    """`schedule[3].at`"""
    return "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in keys).lstrip(".")


def misfits(s: Settings) -> Iterator[tuple[Keys, str]]:
    """What is wrong between keys that are right each for itself."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(s.desk.timezone)
    except (OSError, ValueError):
        yield ("desk", "timezone"), f"{s.desk.timezone!r} is no time zone; write America/New_York or UTC"
    if s.desk.calendar == "24/7" and s.desk.timezone != "UTC":
        yield ("desk", "timezone"), "a 24/7 desk counts its sessions in UTC"
    if s.decide.watch_score > s.decide.buy_score:
        yield ("decide", "watch_score"), f"{s.decide.watch_score:g} is above buy_score {s.decide.buy_score:g}"
    if s.risk.exposure > s.risk.exposure_cap:
        yield ("risk", "exposure"), f"{s.risk.exposure:g} is above exposure_cap {s.risk.exposure_cap:g}"
    if s.exits.reversal_alert > s.exits.reversal_close:
        yield ("exits", "reversal_alert"), f"{s.exits.reversal_alert} is above reversal_close {s.exits.reversal_close}"
    eod = s.end_of_day
    if not eod.limit_s >= eod.market_s >= eod.alert_s:
        yield ("end_of_day", "limit_s"), "limit_s, market_s and alert_s must not grow: each is nearer to the close"
    if Path(s.market.bars).name in ("desk.db", "paper.db", ""):
        yield ("market", "bars"), f"{s.market.bars!r} is not a file for bars"
    for symbol in s.paper.holdings:
        if not SYMBOL.fullmatch(symbol):
            yield ("paper", "holdings", symbol), "not a symbol"
    for name, plan in s.exits.plans.items():
        if plan.after_target == "arm-trail" and plan.trail is None:
            yield ("exits", "plans", name), "after_target arm-trail wants a trail"


# where each came from


def _origins(settings: Settings, named: Mapping[Keys, str]) -> dict[str, str]:
    return {dotted(keys): _origin(keys, named) for keys, _ in leaves(settings)}


def _origin(keys: Keys, named: Mapping[Keys, str]) -> str:
    """A key's own origin, or that of the value (a whole list or mapping) it lies in; sections do not count."""
    if keys in named:
        return named[keys]
    above = [named[keys[:n]] for n in range(len(keys) - 1, 0, -1) if keys[:n] in named]
    inherited = [origin for origin in above if not origin.startswith("desk.yaml")]
    return inherited[0] if inherited else "default"


def leaves(settings: Settings) -> Iterator[tuple[Keys, Any]]:
    """Every setting as (keys, value); lists and empty mappings are one value."""
    yield from _leaves(settings, ())


def _leaves(value: Any, keys: Keys) -> Iterator[tuple[Keys, Any]]:
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if getattr(value, name) is not msgspec.UNSET:
                yield from _leaves(getattr(value, name), (*keys, name))
    elif isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*keys, key))
    else:
        yield keys, value


# universe.yaml


def load_universe(desk: Path) -> dict[str, Symbol]:
    """The symbols of universe.yaml by name; empty without the file. Raises ConfigError with key and line."""
    path = desk / "universe.yaml"
    return universe_from(read_text(path), path) if path.exists() else {}


def universe_from(text: str, path: Path) -> dict[str, Symbol]:
    """Symbols from text such as `large: [AAPL, {symbol: F, sector: autos}]` or `large: {F: {sector: autos}}`."""
    pairs = _plain_pairs(text)
    if pairs is not None and len({symbol for _, symbol in pairs}) == len(pairs):
        return {symbol: Symbol(symbol=symbol, cap=cap) for cap, symbol in pairs}
    node = compose(text, path)
    problems: list[Problem] = []
    found: dict[str, Symbol] = {}
    if node is not None and node.id != "mapping" and node.value:
        problems.append(Problem(f"{path.name}:1", "the file is not a mapping of cap classes", 1))
    elif node is not None and node.id == "mapping":
        for cap, members in node.value:
            for name, facts, line in _members(members):
                _add_symbol(found, cap.value, name, facts, f"{path.name}:{line}", line, problems)
    if problems:
        raise ConfigError(_listing(path, problems), "large: [AAPL, MSFT], or large: {AAPL: {sector: tech}}")
    return found


def _plain_pairs(text: str) -> list[tuple[str, str]] | None:
    """(cap, symbol) of a file that is only `cap: [A, B]` lists, without YAML: thousands of symbols cost nothing."""
    bare = re.sub(r"(?m)(?:^|(?<=\s))#.*$", "", text)
    if not _SIMPLE_UNIVERSE.fullmatch(bare):
        return None
    pairs = []
    for cap, body in re.findall(r"([A-Za-z_][\w-]*):[ \t]*\[([^\]]*)\]", bare):
        words = [word.strip() for word in body.split(",")]
        words = words[:-1] if not words[-1] else words
        if not all(SYMBOL.fullmatch(word) for word in words):
            return None
        pairs += [(cap, word) for word in words]
    return pairs


def _members(node: "Node") -> Iterator[tuple[str, Any, int]]:
    """(symbol as written, its facts' node or None, line) of one cap class."""
    if node.id == "mapping":
        for key, value in node.value:
            yield key.value, value, key.start_mark.line + 1
    elif node.id == "sequence":
        for each in node.value:
            if each.id == "mapping" and len(each.value) == 1 and each.value[0][1].id == "mapping":
                yield each.value[0][0].value, each.value[0][1], each.start_mark.line + 1
            elif each.id == "mapping":
                name = next((v.value for k, v in each.value if k.value == "symbol"), "")
                yield name, each, each.start_mark.line + 1
            else:
                yield each.value, None, each.start_mark.line + 1
    elif node.value:
        yield node.value, None, node.start_mark.line + 1


def _add_symbol(
    found: dict[str, Symbol], cap: str, name: Any, facts: Any, where: str, line: int, problems: list[Problem]
) -> None:
    def wrong(message: str) -> None:
        problems.append(Problem(where, f"{cap}: {message}", line))

    if not isinstance(name, str) or not SYMBOL.fullmatch(name):
        upper = name.upper() if isinstance(name, str) else ""
        wrong(f"{name!r} is no symbol" + (f", did you mean {upper}?" if upper and SYMBOL.fullmatch(upper) else ""))
        return
    if name in found:
        wrong(f"{name} is there twice, also under {found[name].cap}")
        return
    known = {"sector": "sector", "kind": "kind", "from": "since", "to": "until", "symbol": "symbol"}
    values = {}
    for key, value in facts.value if facts is not None and facts.id == "mapping" else []:
        if key.value not in known:
            from difflib import get_close_matches

            close = get_close_matches(key.value, list(known), n=1)
            wrong(f"{name}: no such key {key.value}" + (f", did you mean {close[0]}?" if close else ""))
        elif value.id != "scalar":
            wrong(f"{name}: {key.value} must be one word")
        elif key.value in ("from", "to") and not _is_date(value.value):
            wrong(f"{name}: {key.value}: {value.value!r} is no date like 2026-02-13")
        else:
            values[known[key.value]] = value.value
    found[name] = Symbol(**{**values, "symbol": name, "cap": cap})


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


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
    """The text itself where YAML reads it as it is meant, else quoted."""
    try:
        node = compose(f"k: {text}", Path("value"))
        value = node.value[0][1] if node is not None and len(node.value) == 1 else None
        if value is not None and "\n" not in text and (value.id != "scalar" or value.value == text.strip("'\"")):
            return text.strip()
    except ConfigError:
        pass
    return msgspec.json.encode(text).decode()
