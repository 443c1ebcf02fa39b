"""The sentence of a candidate: a strategy's template, filled from its features."""

from collections.abc import Mapping
from math import isnan


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
    return template.format_map({name: Shown("nan" if x is None else x) for name, x in features.items()})
