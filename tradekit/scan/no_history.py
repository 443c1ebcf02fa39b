"""Yesterday is unknown: newly listed, or its daily bars were never imported."""

import numpy as np

from tradekit.scan.limits import Limits
from tradekit.strategies.base import Array, Mask, Panel


def rejects(panel: Panel, found: dict[str, Array], limits: Limits) -> Mask:
    """True where there is no close of the session before."""
    return np.isnan(found["change"])
