"""desk.yaml: read strictly, judged key by key, each error with its file, key and line.

A value comes from the caller, else TRADEKIT_SET__SECTION__KEY, else desk.yaml, else its default.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from tradekit.base.settings_cache import remember, remembered
from tradekit.base.universe_file import SYMBOL, is_date, load_universe, universe_from
from tradekit.base.yaml_text import Keys, Problem, changed, dotted, kind_of, listing, parse, read_text, yaml_value
from tradekit.config import Settings
from tradekit.errors import ConfigError

__all__ = [
    "Loaded", "changed", "dotted", "leaves", "load_settings", "load_universe", "read_text", "settings_from",
    "settings_hash", "universe_from",
]  # fmt: skip

PREFIX = "TRADEKIT_SET__"
COMMAND_LINE = "command line"
REGIMES = ("up", "sideways", "down", "dead")


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


def load_settings(
    desk: Path, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """The settings of a desk's folder; `overrides` are dotted keys with values (text is read as YAML).

    Raises ConfigError that lists every wrong key, type and range.
    """
    path = desk / "desk.yaml"
    text = read_text(path)
    known = remembered(text, path, environ)
    if known is not None:
        return _judged(*known, [], path, environ, overrides or {})
    problems: list[Problem] = []
    tree, lines = parse(text, path, problems)
    if not problems:
        remember(text, path, environ, tree, lines)
    return _judged(tree, lines, problems, path, environ, overrides or {})


def settings_from(
    text: str, path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """Settings from the text of desk.yaml; `path` is for messages only. Raises ConfigError."""
    problems: list[Problem] = []
    tree, lines = parse(text, path, problems)
    return _judged(tree, lines, problems, path, environ, overrides or {})


def _judged(
    tree: Any,
    lines: Mapping[Keys, int],
    problems: list[Problem],
    path: Path,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
) -> Loaded:
    if not isinstance(tree, dict):
        problems.append(Problem(f"{path.name}:1", f"the file is {kind_of(tree)}, not a mapping of sections", 1))
        tree = {}
    named: dict[Keys, str] = {keys: f"{path.name}:{line}" for keys, line in lines.items()}
    for keys, value, origin in [*_from_environment(environ), *_from_caller(overrides)]:
        _put(tree, keys, value)
        named = {k: o for k, o in named.items() if k[: len(keys)] != keys}
        named[keys] = origin
    settings = _converted(tree, problems, named)
    if settings is not None and not problems:
        problems = [Problem(named.get(keys, path.name), f"{dotted(keys)}: {why}") for keys, why in misfits(settings)]
    if problems or settings is None:
        raise ConfigError(listing(path, problems), "tradekit config schema, or the comments in desk.yaml")
    return Loaded(settings, _origins(settings, named), settings_hash(settings), path, lines)


def settings_hash(settings: Settings) -> str:
    """blake2s (16 hex digits) of the settings as canonical JSON."""
    from hashlib import blake2s

    return blake2s(msgspec.json.encode(settings, order="sorted"), digest_size=8).hexdigest()


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
    if sections:
        return f", did you mean {sections[0]}.{key}?"
    return f"; known: {', '.join(known)}" if len(known) <= 12 else ""


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


def misfits(s: Settings) -> Iterator[tuple[Keys, str]]:
    """What is wrong between keys that are right each for itself."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(s.desk.timezone)
    except (OSError, ValueError, KeyError):
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
    for i, fee in enumerate(s.paper.fees or ()):
        if not is_date(fee.since):
            yield ("paper", "fees", i, "since"), f"{fee.since!r} is no date; write 2026-04-04"
    for regime in s.risk.regime:
        if regime not in REGIMES:
            yield ("risk", "regime", regime), f"not a regime; known: {', '.join(REGIMES)}"
    for name, listed in (("restricted", s.risk.restricted), ("allowed", s.risk.allowed or ())):
        for i, symbol in enumerate(listed):
            if not SYMBOL.fullmatch(symbol):
                yield ("risk", name, i), f"{symbol!r} is not a symbol"
    for symbol in s.paper.holdings:
        if not SYMBOL.fullmatch(symbol):
            yield ("paper", "holdings", symbol), "not a symbol"
    for symbol in s.market.ticks:
        if not SYMBOL.fullmatch(symbol):
            yield ("market", "ticks", symbol), "not a symbol"
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
