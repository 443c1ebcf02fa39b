"""The score, 0-20, that all strategies share. What is unknown scores 0."""

import numpy as np

from tradekit.scan.windows import EPS, reaches
from tradekit.strategies.base import Array, Mask

ROC_STEP, ROC_MOST = 0.02, 5  # a point for each 2 % in ten sessions
SURGE = (1.3, 1.5, 2.0, 2.5, 3.0)  # times the usual volume
GAP = (0.01, 0.02, 0.025, 0.03)
BREAKOUT = 2
STRENGTH = (0.5, 0.8)  # place in the day's range


def score(found: dict[str, Array], breakout: Mask) -> Array:
    """Points of every symbol in every row, [time, symbol]."""
    return (
        roc_points(found["roc10"])
        + steps(found["surge"], SURGE)
        + steps(found["gap"], GAP)
        + BREAKOUT * breakout
        + steps(found["strength"], STRENGTH)
        + trend_points(found["price"], found["sma20"], found["sma50"])
    )


def roc_points(roc10: Array) -> Array:
    """One point for each whole 2 %, between 0 and 5."""
    points = np.clip(np.floor(roc10 / ROC_STEP + EPS), 0, ROC_MOST)
    return np.where(np.isnan(points), 0.0, points)


def steps(a: Array, levels: tuple[float, ...]) -> Array:
    """How many of the levels `a` reaches."""
    points = np.zeros(a.shape)
    for level in levels:
        points += reaches(a, level)
    return points


def trend_points(price: Array, sma20: Array, sma50: Array) -> Array:
    """1 above the average of 20 sessions, 2 where that one also lies above the average of 50."""
    above = np.greater(price, sma20)
    return above.astype(np.float64) + (above & np.greater(sma20, sma50))
