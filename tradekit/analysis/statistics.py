"""Differences with their uncertainty: Welch's test, Student's distribution, Holm's correction. Floats in and out."""

from collections.abc import Sequence
from math import exp, fsum, lgamma, log, sqrt
from typing import NamedTuple

from tradekit.metrics import deviation, mean


class Difference(NamedTuple):
    """Mean of one group less the other's: 95 % interval, t, two-sided p; None where n is too small."""

    value: float
    low: float | None
    high: float | None
    t: float | None
    p: float | None


def welch(xs: Sequence[float], ys: Sequence[float]) -> Difference | None:
    """Welch's unequal variances t-test (Biometrika 1947); None where a group is empty."""
    mx, my = mean(xs), mean(ys)
    if mx is None or my is None:
        return None
    value, sx, sy = mx - my, deviation(xs), deviation(ys)
    if sx is None or sy is None or sx + sy == 0:
        return Difference(value, None, None, None, None)
    vx, vy = sx * sx / len(xs), sy * sy / len(ys)
    spread = sqrt(vx + vy)
    freedom = (vx + vy) ** 2 / (vx * vx / (len(xs) - 1) + vy * vy / (len(ys) - 1))
    half = student_quantile(0.975, freedom) * spread
    return Difference(value, value - half, value + half, value / spread, two_sided(value / spread, freedom))


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's distribution; None of fewer than two values."""
    spread, middle = deviation(values), mean(values)
    if spread is None or middle is None:
        return None
    half = student_quantile(0.975, len(values) - 1) * spread / sqrt(len(values))
    return middle - half, middle + half


def two_sided(t: float, freedom: float) -> float:
    """The chance of a t at least that far from 0."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def student_quantile(share: float, freedom: float) -> float:
    """The t below which `share` (above a half) of Student's distribution lies."""
    low, high = 0.0, 1.0
    while 1 - two_sided(high, freedom) / 2 < share:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - two_sided(middle, freedom) / 2 < share else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes 6.4)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    value = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / ((1 + step * d) or tiny)
            c = (1 + step / c) or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 1979) of the p-values that are known."""
    ranked = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    found: list[float | None] = [None] * len(ps)
    worst = 0.0
    for rank, (p, i) in enumerate(ranked):
        worst = max(worst, min(1.0, (len(ranked) - rank) * p))
        found[i] = worst
    return found


def ranks_above(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """The chance that one of `xs` is above one of `ys`, ties half (the area under the ROC curve); None of nothing."""
    if not xs or not ys:
        return None
    from bisect import bisect_left, bisect_right

    below = sorted(ys)
    return fsum((bisect_left(below, x) + bisect_right(below, x)) / 2 for x in xs) / (len(xs) * len(ys))
