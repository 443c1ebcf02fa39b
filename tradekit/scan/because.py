"""The sentence of a candidate: a strategy's template, filled from its features."""

from collections.abc import Mapping
from math import isnan

WHY_NOT = {
    "no-data": "no regular bar of the session is known yet",
    "no-history": "no close of the session before is known",
    "price": "the price is not above the limit",
    "notional": "the usual day trades too little",
    "change": "{change:+.1%} on the day is not enough",
    "rvol-cross-feed": "daily and intraday volumes are of different feeds, so the usual volume is unknown",
    "rvol": "{surge:.1f} x the usual volume is not enough",
    "no-signal": "no signal",
    "stage-2": "neither volume nor ten sessions nor a breakout is enough",
    "held": "it is held already",
    "entry-working": "an entry is working already",
    "closed-today": "it was closed today",
    "ex-split": "it opened at a split ratio to a history that is not adjusted",
}


class Shown(float):
    """A feature in a sentence: `?` where it is unknown; the format `yes` says yes or no."""

    def __format__(self, spec: str) -> str:
        if isnan(self):
            return "?"
        if spec == "yes":
            return "yes" if self else "no"
        return float(self).__format__(spec)


def because(template: str, features: Mapping[str, float | None]) -> str:
    """`template` with each `{name:format}` replaced; None and NaN show as `?`."""
    return template.format_map(_Features(features))


class _Features(dict[str, float | None]):
    """Only what the template asks for becomes a Shown; a name that nobody measured is unknown."""

    def __getitem__(self, name: str) -> Shown:
        value = self.get(name)
        return Shown("nan" if value is None else value)
