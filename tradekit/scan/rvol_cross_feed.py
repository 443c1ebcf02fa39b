"""Its usual volume is unknown: daily and intraday volumes come from different feeds that never met."""

import numpy as np

from tradekit.scan.limits import Limits
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where RVOL would compare one feed with another."""
    return panel.today.cross_feed[panel.first :] & np.isnan(found["surge"])
