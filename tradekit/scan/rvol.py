"""Relative volume: the volume so far must be `min_rvol` times the usual by this minute."""

from tradekit.scan.limits import Limits
from tradekit.scan.windows import reaches
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where it is less, or unknown."""
    return ~reaches(found["surge"], limits.min_rvol)
