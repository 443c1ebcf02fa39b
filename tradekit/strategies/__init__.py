"""Strategies by name: panel -> signals. A name becomes a class only when it is asked for."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import msgspec

from tradekit.errors import ConfigError

if TYPE_CHECKING:
    from tradekit.strategies.base import Strategy

BUILT_IN = {
    "momentum": "tradekit.strategies.momentum:Momentum",
    "market-on-open": "tradekit.strategies.market_on_open:MarketOnOpen",
}


def find(name: str) -> type:
    """The class behind a name. Only built-in names are looked up. Raises ConfigError for any other."""
    if name not in BUILT_IN:
        raise ConfigError(f"there is no strategy {name!r}", meant(name, BUILT_IN))
    module, _, attribute = BUILT_IN[name].partition(":")
    return cast(type, getattr(import_module(module), attribute))


def build(name: str, fields: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> "Strategy":
    """A strategy with its settings: `fields` from desk.yaml, `defaults` where it has such a field and nobody set it.

    Raises ConfigError where the strategy, a field or a value is not one it knows.
    """
    made = find(name)
    known = [field.name for field in fields_of(made)]
    for field in fields:
        if field not in known:
            raise ConfigError(f"strategies.{name}: there is no setting {field!r}", meant(field, known))
    common = {key: value for key, value in (defaults or {}).items() if key in known}
    try:
        return cast("Strategy", msgspec.convert(common | dict(fields), made))
    except msgspec.ValidationError as error:
        raise ConfigError(f"strategies.{name}: {error}", f"tradekit config get strategies.{name}") from None


def meant(word: str, known: "Mapping[str, Any] | list[str]") -> str:
    """A hint: the nearest known word, or all of them."""
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
