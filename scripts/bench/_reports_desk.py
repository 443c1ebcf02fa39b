"""Make a desk with N round trips over D sessions and a daily row each: _reports_desk.py FOLDER TRADES SESSIONS [PATHS].

PATHS: the newest trades that get a plan and minute bars of their day.
"""

import random
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from tradekit.brokers.paper.books import SCHEMA
from tradekit.market.bars import BarStore
from tradekit.model import Candidate, Fill, Performance, Scan
from tradekit.store import Store, open_store

PLAN = '{"stop": 0.009, "target": 0.026, "after_target": "arm-trail", "trail": 0.015, "intent": "day"}'


def main(folder: str, trades: int, sessions: int, paths: int = 0) -> None:
    """Fills booked as a statement's are; equity is made up."""
    dice = random.Random(1)
    start = datetime(2015, 1, 5, 14, 30, tzinfo=UTC)
    days = [start + timedelta(days=i + i // 5 * 2) for i in range(sessions)]
    store = open_store(Path(folder) / "desk.db", synchronous="OFF")
    fills = []
    for i in range(trades):
        at = days[i * sessions // trades] + timedelta(minutes=i % 380, microseconds=i)
        price = Decimal(100 + dice.randint(-50, 50))
        for n, side in enumerate(("buy", "sell")):
            paid = price + Decimal(n * dice.randint(-200, 200)) / 100
            fills.append(
                Fill(id=f"f-{i}-{n}", broker_fill_id=f"{i}-{n}", order_id=None, at=at + timedelta(microseconds=500 * n),
                     symbol=f"S{i % 200:03}", side=side, qty=Decimal(10), price=paid, fee=Decimal("0.1"),
                     fee_asset="USD", fee_estimated=False, session=at.date())
            )  # fmt: skip
    store.book_fills(fills)
    venue(Path(folder) / "paper.db", trades, days[-2])
    equity = Decimal(100_000)
    rows = []
    for day in days:
        change = dice.gauss(0.0003, 0.01)
        pnl = round(equity * Decimal(str(round(change, 6))), 2)
        equity += pnl
        rows.append(
            Performance(session=day.date(), at=day, equity=equity, desk_equity=equity, cash=equity,
                        exposure=Decimal(0), exposure_pct=0.0, positions=0, pnl=pnl, pnl_pct=change, realized=pnl,
                        fees=Decimal(0), flow=Decimal(0), trades=1, wins=1, drawdown=0.0, benchmark="SPY",
                        benchmark_close=Decimal(100), benchmark_return=dice.gauss(0.0003, 0.01), rebuilt=False)
        )  # fmt: skip
    store.days.add_many(rows)
    scans(store, days[-1])
    if paths:
        draw(store, Path(folder), paths)
    store.close()


def draw(store: Store, folder: Path, paths: int) -> None:
    """Minute bars around the prices of the newest trades, and the plan of the preset `day`."""
    numbers = np.random.default_rng(1)
    with store.transaction():
        store.db.run("UPDATE positions SET plan = ?", [PLAN])
    with BarStore(folder / "bars.db", create=True) as bars, bars.writing() as writer:
        for trade in store.trades.all(limit=paths):
            (session,) = store.sessions.load(trade.session, trade.session) or [None]
            if session is None:
                continue
            close = float(trade.entry_price) * np.exp(numbers.normal(0, 0.0008, 390).cumsum())
            start = session.open.timestamp() + 60 * np.arange(390)
            rows = np.stack([start, close, close * 1.001, close * 0.999, close, np.full(390, 1e4)], axis=1)
            writer.intraday("made-up", 60, trade.symbol, session.day.isoformat(), rows)


def venue(path: Path, trades: int, last: datetime) -> None:
    """The paper broker's file at its size: two orders, fills and ledger rows a trade, none on the last day."""
    db = sqlite3.connect(path)
    for statement in SCHEMA:
        db.execute(statement)
    at = f"{last:%Y-%m-%dT%H:%M:%SZ}"
    names = [f"P{n}" for n in range(2 * trades)]
    db.executemany(
        "INSERT INTO orders (id, client_order_id, symbol, side, qty, type, tif, extended_hours, submitted_at,"
        " updated_at, changed_at, seen_to, reserve, filled_qty, status, raw_status)"
        " VALUES (?1, 'c' || ?1, 'S1', 'buy', 10, 'limit', 'day', 0, ?2, ?2, ?2, ?2, 0, 10, 'filled', 'filled')",
        [(name, at) for name in names],
    )
    db.executemany(
        "INSERT INTO fills VALUES (?1 || '-1', ?1, ?2, ?2, ?2, substr(?2, 1, 10), 'S1', 'buy', 10, 100, 0.1)",
        [(name, at) for name in names],
    )
    db.executemany("INSERT INTO ledger (at, known_at, kind, ref, amount) VALUES (?2, ?2, 'fill', ?1 || '-1', 0)",
                   [(name, at) for name in names])  # fmt: skip
    db.execute("INSERT INTO ledger (at, known_at, kind, amount) VALUES (?1, ?1, 'deposit', 100000)", (at,))
    db.execute("INSERT INTO meta VALUES ('cash', '100000')")
    db.commit()
    db.close()


def scans(store: Store, day: datetime) -> None:
    """Three scans of 1,000 symbols on the last day, 2 % of them passed, all with an outcome."""
    for n, kind in enumerate(("open", "midday", "close")):
        at = day + timedelta(minutes=5 + 150 * n)
        name = f"{at:%Y%m%dT%H%M}-momentum-{kind}"
        counts = {"universe": 1000, "passed": 20}
        store.scans.add(Scan(id=name, session=at.date(), at=at, strategy="momentum", cap=None, type=kind,
                             counts=counts, context={}))  # fmt: skip
        store.candidates.add_many(
            Candidate(id=f"C{i:03}-{at:%Y%m%dT%H%M}-momentum", scan_id=name, session=at.date(), at=at,
                      strategy="momentum", symbol=f"C{i:03}", cap="mid", price=Decimal(100),
                      score=14.0 if i < 20 else None, passed=i < 20, reject_reason=None if i < 20 else "rvol",
                      because="volume 1.1 x the usual", features={"rvol": 1.1, "change": 0.01}, return_1d=0.01,
                      max_gain=0.02, max_drawdown=-0.01)
            for i in range(1000)
        )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
