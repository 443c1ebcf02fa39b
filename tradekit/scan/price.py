"""Cheap shares have wide spreads: the price must lie above `min_price`; 0 switches the filter off."""

import numpy as np

from tradekit.scan.limits import Limits
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where the price is at or below the limit."""
    return np.less_equal(found["price"], limits.min_price)
