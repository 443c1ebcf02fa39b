"""Verb -> (options, step): commands, run-slot and replay all fill the same options and call the same functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, NamedTuple, get_args, get_type_hints

from tradekit.desk.desk import Desk
from tradekit.desk.open import running
from tradekit.errors import ConfigError


class Verb(NamedTuple):
    """Where a verb's options and its step live, as `module:name`; loaded when it is called."""

    options: str
    step: str


@dataclass(frozen=True)
class NoOptions:
    """A verb that can be told nothing."""


VERBS: dict[str, Verb] = {
    "refresh-token": Verb("tradekit.desk.logins:RefreshOptions", "tradekit.desk.logins:refresh_tokens"),
    "reconcile": Verb("tradekit.desk.steps:NoOptions", "tradekit.desk.reconcile:reconcile"),
    "scan": Verb("tradekit.desk.scan:ScanOptions", "tradekit.desk.scan:scan"),
    "decide": Verb("tradekit.desk.decide:DecideOptions", "tradekit.desk.decide:decide"),
    "enter": Verb("tradekit.desk.enter:EnterOptions", "tradekit.desk.enter:enter"),
    "monitor-exits": Verb(
        "tradekit.desk.monitor_exits:MonitorOptions",
        "tradekit.desk.monitor_exits:monitor_exits",
    ),
    "liquidate": Verb("tradekit.desk.liquidate:LiquidateOptions", "tradekit.desk.liquidate:liquidate"),
    "jobs snapshot": Verb("tradekit.desk.performance:SnapshotOptions", "tradekit.desk.jobs:snapshot"),
    "jobs outcomes": Verb("tradekit.desk.outcomes:OutcomesOptions", "tradekit.desk.outcomes:outcomes"),
    "jobs cleanup": Verb("tradekit.desk.cleanup:CleanupOptions", "tradekit.desk.cleanup:cleanup"),
    "jobs track": Verb("tradekit.desk.steps:NoOptions", "tradekit.desk.jobs:track"),
}


class Step(NamedTuple):
    """A verb with its options filled in."""

    verb: str
    argv: str
    options: Any


def parse(text: str | Sequence[str]) -> Step:
    """`scan --type open` as a Step. Raises ConfigError for a verb or an option that does not exist."""
    words = text.split() if isinstance(text, str) else list(text)
    verb = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else (words[0] if words else "")
    if verb not in VERBS:
        raise ConfigError(
            f"schedule: {verb or 'an empty run'} is not a step of the day",
            f"one of: {', '.join(VERBS)}",
        )
    kind = _load(VERBS[verb].options)
    return Step(verb, " ".join(words), kind(**_flags(verb, kind, words[len(verb.split()) :])))


def _flags(verb: str, kind: type, words: list[str]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    known = {"--" + field.name.strip("_").replace("_", "-"): field.name for field in fields(kind)}
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word, _, given = rest.pop(0).partition("=")
        if word not in known:
            raise ConfigError(
                f"schedule: {verb} has no option {word}",
                f"it has: {', '.join(known) or 'none'}",
            )
        name = known[word]
        types = get_args(hints[name]) or (hints[name],)
        if bool in types:
            found[name] = True
        elif given or rest:
            found[name] = _value(verb, word, given or rest.pop(0), types)
        else:
            raise ConfigError(f"schedule: {verb} {word} wants a value", f"{verb} {word} VALUE")
    return found


def _value(verb: str, word: str, text: str, types: tuple[Any, ...]) -> Any:
    for kind in (int, float):
        if kind in types:
            try:
                return kind(text)
            except ValueError:
                raise ConfigError(f"schedule: {verb} {word} {text} is not a number", "write digits") from None
    return text


def call(desk: Desk, step: Step) -> Any:
    """Run a step on a desk that has its run row already."""
    function: Callable[..., Any] = _load(VERBS[step.verb].step)
    return function(desk) if isinstance(step.options, NoOptions) else function(desk, step.options)


def run(desk: Desk, step: Step) -> Any:
    """Run a step with its job lock and run row, as the command of that name does."""
    with running(desk, step.verb, step.argv):
        return call(desk, step)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
