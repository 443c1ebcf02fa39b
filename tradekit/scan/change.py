"""A mover: up more than `min_change` from yesterday's close."""

from tradekit.scan.limits import Limits
from tradekit.scan.windows import exceeds
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where it is not."""
    return ~exceeds(found["change"], limits.min_change)
