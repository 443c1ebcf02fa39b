"""What is measured of every symbol in every row, from the rows before it and `today`."""

import numpy as np

from tradekit.scan.windows import (
    before,
    max_before,
    mean_before,
    median_before,
    ratio,
    reaches,
)
from tradekit.strategies.base import Array, Mask, Panel


def measure(panel: Panel) -> dict[str, Array]:
    """Named arrays [time, symbol]; fractions, prices, shares; NaN where something is unknown.

    Row t reads rows < t and `today[t]`. Windows with a hole are unknown.
    """
    today, yesterday = panel.today, before(panel.close)
    return {
        "price": today.price,
        "change": ratio(today.price, yesterday) - 1.0,
        "gap": ratio(today.open, yesterday) - 1.0,
        "surge": ratio(today.volume, today.usual),
        "roc10": ratio(today.price, before(panel.close, 10)) - 1.0,
        "strength": ratio(today.price - today.low, today.high - today.low),
        "high5": max_before(panel.high, 5),
        "sma20": mean_before(panel.close, 20),
        "sma50": mean_before(panel.close, 50),
        "avg_volume20": mean_before(panel.volume, 20),
    }


def turnover20(panel: Panel, where: Mask) -> Array:
    """Median of close x volume over the 20 sessions before; only at `where`, which keeps a wide scan quick."""
    return median_before(panel.close * panel.volume, 20, where)


def momentum_breakout(panel: Panel, found: dict[str, Array], gap: Array, surge: Array) -> Mask:
    """Above its open, gapped up or over its five-day high, on heavy volume; the thresholds are [symbol]."""
    price = found["price"]
    lifted = reaches(found["gap"], gap) | np.greater(price, found["high5"])
    return np.greater(price, panel.today.open) & lifted & reaches(found["surge"], surge)
