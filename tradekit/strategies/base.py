"""The contract of a strategy: a panel in, signals out. Arrays are 2-D, [time, symbol], float64.

Rows before the last are complete daily bars (or bars of `timeframe`). `today` has the same shape and holds, for
every row t, that session as seen at the scan's anchor. A feature in row t reads rows < t and `today[t]`, nothing else.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tradekit.model import ExitPlan

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Today:
    """The session of each row as seen at the anchor; NaN where nothing was visible.

    `price` is the close of the last visible regular bar, `volume` the regular volume so far, `usual` the
    usual regular volume by that minute, `last_extended` the last pre-market trade under 30 minutes old.
    """

    open: Array
    high: Array
    low: Array
    price: Array
    volume: Array
    usual: Array
    last_extended: Array
    cross_feed: NDArray[np.bool_]  # usual is unknown because daily and intraday volumes are of different sources


@dataclass(frozen=True)
class Panel:
    """History for all symbols. `days[t]` is the session of row t; the last row is the scan's own session."""

    symbols: tuple[str, ...]
    time: tuple[date, ...]
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    today: Today
    at: datetime  # the anchor of the last row
    caps: tuple[str | None, ...] = ()
    other: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    first: int = 0  # nobody reads signals of the rows before it: a strategy may leave them empty


@dataclass(frozen=True)
class Signals:
    """`score` 0-20 (NaN: no signal), named features, a `because` template filled from the features."""

    score: Array
    features: dict[str, Array]
    because: str
    stop: Array | None = None
    target: Array | None = None
    size: Array | None = None
    exit: NDArray[np.bool_] | None = None
    passed: NDArray[np.bool_] | None = None  # stage 2; None: wherever score is a number
    reject: dict[str, NDArray[np.bool_]] = field(default_factory=dict)  # why not, first match wins


class Strategy(Protocol):
    """A frozen dataclass whose fields are its settings."""

    @property
    def name(self) -> str: ...

    @property
    def timeframe(self) -> str: ...

    @property
    def exits(self) -> ExitPlan: ...

    @property
    def lookback(self) -> int:
        """Complete rows it wants before the last one."""
        ...

    def signals(self, panel: Panel) -> Signals: ...
