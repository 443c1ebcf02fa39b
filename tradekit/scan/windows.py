"""Windows over the rows before t, in arrays [time, symbol].

Sums are added row by row, never as differences of running sums: the same window gives the same bits wherever the
panel starts and whatever comes after. A window with a hole (NaN) is NaN.
"""

import numpy as np

from tradekit.strategies.base import Array, Mask

EPS = 1e-9  # 102 / 100 - 1 counts as 2 %


def before(a: Array, n: int = 1) -> Array:
    """Row t holds `a` of n rows earlier; NaN in the first n rows."""
    out = np.full_like(a, np.nan)
    if len(a) > n:
        out[n:] = a[:-n]
    return out


def mean_before(a: Array, n: int) -> Array:
    """Mean of the n rows before each row."""
    out = np.full_like(a, np.nan)
    rows = len(a) - n
    if rows > 0:
        total = a[:rows].copy()
        for k in range(1, n):
            total += a[k : k + rows]
        out[n:] = total / n
    return out


def mean_before_with_holes(a: Array, n: int, least: int) -> Array:
    """Mean of what is known in the n rows before each row; NaN where fewer than `least` are."""
    known = np.isfinite(a)
    share = mean_before(known.astype(np.float64), n)
    return ratio(
        mean_before(np.where(known, a, 0.0), n),
        np.where(share * n >= least - EPS, share, np.nan),
    )


def max_before(a: Array, n: int) -> Array:
    """Highest of the n rows before each row."""
    out = np.full_like(a, np.nan)
    rows = len(a) - n
    if rows > 0:
        top = a[:rows].copy()
        for k in range(1, n):
            np.maximum(top, a[k : k + rows], out=top)
        out[n:] = top
    return out


def median_before(a: Array, n: int, where: Mask) -> Array:
    """Median of the n rows before each row, computed only at `where`; NaN elsewhere."""
    out = np.full_like(a, np.nan)
    rows, columns = np.nonzero(where)
    full = rows >= n
    rows, columns = rows[full], columns[full]
    windows = a[rows[:, None] - np.arange(n, 0, -1), columns[:, None]]
    out[rows, columns] = np.median(windows, axis=1) if len(rows) else np.nan
    return out


def ratio(a: Array, b: Array) -> Array:
    """a / b where b is above 0; NaN elsewhere."""
    out = np.full(np.broadcast_shapes(a.shape, b.shape), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def reaches(a: Array, level: float | Array) -> Mask:
    """a >= level, forgiving the last bits of a division; False for NaN."""
    return np.greater_equal(a, level - EPS)


def exceeds(a: Array, level: float | Array) -> Mask:
    """a > level by more than the last bits of a division; False for NaN."""
    return np.greater(a, level + EPS)
