"""Small panels with numbers that a person can check."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from tradekit.strategies.base import Panel, Today

AT = datetime(2026, 2, 13, 14, 35, tzinfo=UTC)


def random_panel(rows=60, symbols=6, seed=1, caps=()):
    """A panel whose every row has a `today`, as a backtest builds it."""
    g = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(g.normal(0.004, 0.03, (rows, symbols)), axis=0))
    open_ = np.roll(close, 1, axis=0) * (1 + g.normal(0, 0.02, close.shape))
    open_[0] = close[0]
    high, low = np.maximum(open_, close) * 1.01, np.minimum(open_, close) * 0.99
    volume = g.lognormal(13, 0.6, close.shape)
    today = Today(
        open=open_,
        high=high,
        low=low,
        price=(open_ + 2 * close) / 3,
        volume=volume * 0.3,
        usual=np.full_like(volume, volume.mean() * 0.2),
        last_extended=np.where(g.random(close.shape) < 0.5, open_, np.nan),
        cross_feed=np.zeros(close.shape, dtype=bool),
    )
    return make(open_, high, low, close, volume, today, caps)


def make(open_, high, low, close, volume, today, caps=()):
    rows, width = close.shape
    return Panel(
        symbols=tuple(f"S{i}" for i in range(width)),
        time=tuple(date(2026, 2, 13) - timedelta(days=rows - 1 - i) for i in range(rows)),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        today=today,
        at=AT,
        caps=tuple(caps),
    )


def flat_panel(width=1, rows=51, close=100.0, day=1000.0, caps=(), **today):
    """History that stands still at `close` on `day` shares a day, and a last row from `today`; unnamed there: NaN."""
    history = np.full((rows, width), close)
    history[-1] = np.nan
    unseen = dict.fromkeys(("open", "high", "low", "price", "volume", "usual", "last_extended"), np.nan)
    arrays = {}
    for name, value in (unseen | {k: v for k, v in today.items() if k != "cross_feed"}).items():
        arrays[name] = np.full((rows, width), np.nan)
        arrays[name][-1] = value
    crossed = np.zeros((rows, width), dtype=bool)
    crossed[-1] = today.get("cross_feed", False)
    volumes = np.full((rows, width), day)
    volumes[-1] = np.nan
    return make(
        history,
        history.copy(),
        history.copy(),
        history.copy(),
        volumes,
        Today(**arrays, cross_feed=crossed),
        caps,
    )
