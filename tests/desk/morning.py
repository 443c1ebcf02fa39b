"""A desk over a real store and a market of a few symbols whose numbers a person can check."""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from tests.make import OPEN, SESSION, at, make_session
from tests.scan.panels import flat_panel
from tradekit.calendar import ExchangeCalendar
from tradekit.clock import ManualClock
from tradekit.config import Settings
from tradekit.desk.desk import Desk
from tradekit.store import open_store
from tradekit.strategies import build

NAN = float("nan")
# a day on a history that stands still at 100: gap 3 %, over the high, near the top of its range
STRONG = {"open": 103.0, "high": 106.0, "low": 102.0, "price": 105.5, "volume": 3000.0, "usual": 1000.0}
QUIET = {"open": 100.0, "high": 100.3, "low": 99.8, "price": 100.2, "volume": 900.0, "usual": 1000.0}
TAME = {"open": 100.0, "high": 101.5, "low": 99.9, "price": 101.0, "volume": 1250.0, "usual": 1000.0}  # stage 2 says no
UNSEEN = {"open": NAN, "high": NAN, "low": NAN, "price": NAN, "volume": NAN, "usual": NAN}


class FakeMarket:
    """What a scan asks a market, from rows of `today`."""

    def __init__(self, rows):
        self.rows, self.panels = rows, 0

    def symbols(self, at):
        return sorted(self.rows)

    def panel(self, symbols, at, lookback, session):
        self.panels += 1
        cells = {name: [self.rows[symbol].get(name, np.nan) for symbol in symbols] for name in STRONG}
        panel = flat_panel(width=len(symbols), rows=lookback + 1, **cells)
        return replace(panel, symbols=tuple(symbols), at=at, time=(*panel.time[:-1], session))

    def context(self, benchmark, symbols, at, session, panel=None, *, band=0.01):
        return {"benchmark": benchmark, "price": 600.5, "trend": 0.01, "sma20": 590.0, "volatility": 0.12,
                "breadth": 0.5, "regime": "up", "stale": False}  # fmt: skip


def make_desk(path, rows, *, settings=None, universe=(), now=None):
    """A desk five minutes after the open of 2026-02-13."""
    settings = settings or Settings()
    fake = FakeMarket(rows)
    days = [make_session(), make_session(day=SESSION.replace(day=17), open=at(4 * 1440), close=at(4 * 1440 + 390))]
    return Desk(
        path=path,
        id="0" * 16,
        settings=settings,
        universe={entry.symbol: entry for entry in universe},
        clock=ManualClock(now or at(5)),
        calendar=ExchangeCalendar(days, "America/New_York"),
        store=open_store(path / "desk.db", create=True),
        open_market=lambda: fake,
        open_broker=lambda desk: None,
        strategies={name: build(name, {}) for name in ("momentum", "market-on-open")},
        settings_hash="0",
        place=lambda *keys: "desk.yaml",
        code_version="0",
        account_dir=path / "locks",
    )


def rows_of(store):
    """Every row that a scan or a decision may write, to compare before and after."""
    tables = (store.scans, store.candidates, store.decisions, store.snapshots, store.events)
    return [table.all() for table in tables]


__all__ = ["OPEN", "QUIET", "STRONG", "TAME", "UNSEEN", "Decimal", "FakeMarket", "make_desk", "rows_of"]
