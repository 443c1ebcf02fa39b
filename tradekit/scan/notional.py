"""24/7 markets quote in fractions of a cent: there the usual day must trade `min_notional`; 0 switches it off."""

import numpy as np

from tradekit.scan.limits import Limits
from tradekit.scan.windows import mean_before, reaches
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where the mean of close x volume over 20 sessions is below the limit, or unknown."""
    if limits.min_notional <= 0:
        return np.zeros(found["price"].shape, dtype=bool)
    return ~reaches(mean_before(panel.close * panel.volume, 20, panel.first), limits.min_notional)
