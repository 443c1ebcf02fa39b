"""Windows against numbers by hand: rows 1 to 6 of one symbol."""

import numpy as np
import pytest

from tradekit.scan import windows

NAN = float("nan")
A = np.arange(1.0, 7.0)[:, None]
HOLE = A.copy()
HOLE[2] = NAN


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (windows.before(A), [NAN, 1, 2, 3, 4, 5]),
        (windows.before(A, 4), [NAN, NAN, NAN, NAN, 1, 2]),
        (windows.before(A, 9), [NAN] * 6),
        (windows.before(A, 2, first=3), [2, 3, 4]),
        (windows.before(A, 3, first=1), [NAN, NAN, 1, 2, 3]),
        (windows.mean_before(A, 3), [NAN, NAN, NAN, 2, 3, 4]),
        (windows.mean_before(A, 3, first=5), [4]),
        (windows.mean_before(A, 9), [NAN] * 6),
        (windows.mean_before(HOLE, 2), [NAN, NAN, 1.5, NAN, NAN, 4.5]),
        (windows.mean_before_with_holes(HOLE, 3, 2), [NAN, NAN, NAN, 1.5, 3, 4.5]),
        (windows.mean_before_with_holes(HOLE, 3, 3), [NAN] * 6),
        (windows.max_before(A, 3), [NAN, NAN, NAN, 3, 4, 5]),
        (windows.max_before(HOLE, 2), [NAN, NAN, 2, NAN, NAN, 5]),
        (windows.max_before(A, 3, first=4), [4, 5]),
        (windows.median_before(A, 4, A > 0), [NAN, NAN, NAN, NAN, 2.5, 3.5]),
        (windows.median_before(A, 3, A > 5, first=0), [NAN] * 5 + [4]),
        (windows.median_before(A, 3, A[2:] > 0, first=2), [NAN, 2, 3, 4]),
        (windows.median_before(HOLE, 2, A > 0), [NAN, NAN, 1.5, NAN, NAN, 4.5]),
    ],
)
def test_windows(found, expected):
    np.testing.assert_array_equal(found[:, 0], expected)


def test_a_ratio_needs_something_below_the_line():
    np.testing.assert_array_equal(
        windows.ratio(np.array([1.0, 1.0, 1.0, NAN]), np.array([2.0, 0.0, NAN, 1.0])), [0.5, NAN, NAN, NAN]
    )


def test_thresholds_forgive_the_last_bits():
    assert windows.reaches(np.array([0.3 / 3]), 0.1)
    assert not windows.exceeds(np.array([100.5 / 100 - 1]), 0.005)
    assert not windows.reaches(np.array([NAN]), 0.1)
