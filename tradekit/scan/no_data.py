"""Nothing was seen of the symbol today: no regular bar that is known yet, or not before the open."""

import numpy as np

from tradekit.scan.limits import Limits
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where there is no price today."""
    return np.isnan(found["price"])
