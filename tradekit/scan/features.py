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
    """Named arrays of the rows from `panel.first` on; fractions, prices, shares; NaN where something is unknown.

    Row t reads rows < t and `today[t]`. Windows with a hole are unknown.
    """
    today, first = panel.today, panel.first
    price, high, low = today.price[first:], today.high[first:], today.low[first:]
    yesterday = before(panel.close, 1, first)
    return {
        "price": price,
        "change": ratio(price, yesterday) - 1.0,
        "gap": ratio(today.open[first:], yesterday) - 1.0,
        "surge": ratio(today.volume[first:], today.usual[first:]),
        "roc10": ratio(price, before(panel.close, 10, first)) - 1.0,
        "strength": ratio(price - low, high - low),
        "high5": max_before(panel.high, 5, first),
        "sma20": mean_before(panel.close, 20, first),
        "sma50": mean_before(panel.close, 50, first),
        "avg_volume20": mean_before(panel.volume, 20, first),
    }


def turnover20(panel: Panel, where: Mask) -> Array:
    """Median of close x volume over the 20 sessions before; only at `where`, which keeps a wide scan quick."""
    return median_before(panel.close * panel.volume, 20, where, panel.first)


def momentum_breakout(panel: Panel, found: dict[str, Array], gap: Array, surge: Array) -> Mask:
    """Above its open, gapped up or over its five-day high, on heavy volume; the thresholds are [symbol]."""
    price = found["price"]
    lifted = reaches(found["gap"], gap) | np.greater(price, found["high5"])
    return np.greater(price, panel.today.open[panel.first :]) & lifted & reaches(found["surge"], surge)
