"""Windows over the rows before t, in arrays [time, symbol].

Sums are added row by row, never as differences of running sums: the same window gives the same bits wherever the
panel starts and whatever comes after. A window with a hole (NaN) is NaN. With `first` only the rows from there on are
computed and returned, which is all that a scan wants.
"""

import numpy as np

from tradekit.strategies.base import Array, Mask

EPS = 1e-9  # 102 / 100 - 1 counts as 2 %


def before(a: Array, n: int = 1, first: int = 0) -> Array:
    """Row t holds `a` of n rows earlier; NaN where there is none."""
    if first >= n:
        return a[first - n : len(a) - n]
    out = _empty(a, first)
    out[n - first :] = a[: max(0, len(a) - n)]
    return out


def mean_before(a: Array, n: int, first: int = 0) -> Array:
    """Mean of the n rows before each row."""
    out, start = _empty(a, first), max(n, first)
    rows = len(a) - start
    if rows > 0:
        total = a[start - n :][:rows].copy()
        for k in range(start - n + 1, start):
            total += a[k : k + rows]
        out[start - first :] = total / n
    return out


def mean_before_with_holes(a: Array, n: int, least: int, first: int = 0) -> Array:
    """Mean of what is known in the n rows before each row; NaN where fewer than `least` are."""
    known = np.isfinite(a)
    share = mean_before(known.astype(np.float64), n, first)
    enough = np.where(share * n >= least - EPS, share, np.nan)
    return ratio(mean_before(np.where(known, a, 0.0), n, first), enough)


def max_before(a: Array, n: int, first: int = 0) -> Array:
    """Highest of the n rows before each row."""
    out, start = _empty(a, first), max(n, first)
    rows = len(a) - start
    if rows > 0:
        top = a[start - n :][:rows].copy()
        for k in range(start - n + 1, start):
            np.maximum(top, a[k : k + rows], out=top)
        out[start - first :] = top
    return out


def median_before(a: Array, n: int, where: Mask, first: int = 0) -> Array:
    """Median of the n rows before each row, computed only at `where`; NaN elsewhere."""
    out = _empty(a, first)
    rows, columns = np.nonzero(where)
    full = rows + first >= n
    rows, columns = rows[full], columns[full]
    if len(rows):
        windows = np.sort(a[(rows + first)[:, None] - np.arange(n, 0, -1), columns[:, None]], axis=1)
        middle = (windows[:, (n - 1) // 2] + windows[:, n // 2]) / 2
        out[rows, columns] = np.where(np.isnan(windows[:, -1]), np.nan, middle)  # NaN sorts last
    return out


def whole(a: Array, first: int) -> Array:
    """All rows again: NaN before `first`."""
    return a if first == 0 else np.concatenate([np.full((first, a.shape[1]), np.nan), a])


def whole_mask(a: Mask, first: int) -> Mask:
    """All rows again: False before `first`."""
    return a if first == 0 else np.concatenate([np.zeros((first, a.shape[1]), dtype=bool), a])


def _empty(a: Array, first: int) -> Array:
    return np.full((len(a) - first, a.shape[1]), np.nan)


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
