"""universe.yaml: symbols by cap class, each with what is known of it."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from tradekit.base.yaml_text import Node, Problem, compose, listing, read_text
from tradekit.config import Symbol
from tradekit.errors import ConfigError

SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9./^_-]{0,23}")
_SIMPLE_UNIVERSE = re.compile(r"(?:\s*[A-Za-z_][\w-]*:[ \t]*\[[A-Z0-9./^_,\s-]*\])*\s*")


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
            if cap.id != "scalar":
                line = cap.start_mark.line + 1
                problems.append(Problem(f"{path.name}:{line}", "a cap class must be a word", line))
                continue
            for name, facts, line in _members(members):
                _add_symbol(found, cap.value, name, facts, f"{path.name}:{line}", line, problems)
    if problems:
        raise ConfigError(listing(path, problems), "large: [AAPL, MSFT], or large: {AAPL: {sector: tech}}")
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


def _members(node: Node) -> Iterator[tuple[str, Any, int]]:
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
        shown = repr(name) if isinstance(name, str) else "a list or a mapping"
        wrong(f"{shown} is no symbol" + (f", did you mean {upper}?" if upper and SYMBOL.fullmatch(upper) else ""))
        return
    if name in found:
        wrong(f"{name} is there twice, also under {found[name].cap}")
        return
    known = {"sector": "sector", "kind": "kind", "from": "since", "to": "until", "symbol": "symbol"}
    values = {}
    for key, value in facts.value if facts is not None and facts.id == "mapping" else []:
        if key.id != "scalar":
            wrong(f"{name}: a key must be a word")
        elif key.value not in known:
            from difflib import get_close_matches

            close = get_close_matches(key.value, list(known), n=1)
            wrong(f"{name}: no such key {key.value}" + (f", did you mean {close[0]}?" if close else ""))
        elif value.id != "scalar":
            wrong(f"{name}: {key.value} must be one word")
        elif key.value in ("from", "to") and not is_date(value.value):
            wrong(f"{name}: {key.value}: {value.value!r} is no date like 2026-02-13")
        else:
            values[known[key.value]] = value.value
    found[name] = Symbol(**{**values, "symbol": name, "cap": cap})


def is_date(text: str) -> bool:
    """Is it a date as 2026-02-13, which sorts as text?"""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
