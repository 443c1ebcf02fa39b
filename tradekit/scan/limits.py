"""What the filters want to know; a strategy whose fields have these names is its own limits."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tradekit.strategies.base import Array


class Limits(Protocol):
    """Fractions, prices and multiples; `small_*` are for the cap class small, the others for every other class."""

    @property
    def min_price(self) -> float: ...
    @property
    def min_notional(self) -> float: ...
    @property
    def min_change(self) -> float: ...
    @property
    def min_rvol(self) -> float: ...
    @property
    def surge(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def roc10(self) -> float: ...
    @property
    def small_surge(self) -> float: ...
    @property
    def small_gap(self) -> float: ...
    @property
    def small_roc10(self) -> float: ...


class Thresholds(NamedTuple):
    """Stage 2, one number a symbol: arrays [symbol]."""

    surge: Array
    gap: Array
    roc10: Array


def thresholds(caps: Sequence[str | None], width: int, limits: Limits) -> Thresholds:
    """Each symbol's stage-2 thresholds by its cap class; a class that nobody named counts as large."""
    small = np.array([cap == "small" for cap in caps] if caps else [False] * width, dtype=bool)
    return Thresholds(
        surge=np.where(small, limits.small_surge, limits.surge),
        gap=np.where(small, limits.small_gap, limits.gap),
        roc10=np.where(small, limits.small_roc10, limits.roc10),
    )
