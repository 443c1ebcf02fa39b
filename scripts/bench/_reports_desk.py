"""Make a desk with N round trips over D sessions and a daily row each: _reports_desk.py FOLDER TRADES SESSIONS."""

import random
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tradekit.model import Fill, Performance
from tradekit.store import open_store


def main(folder: str, trades: int, sessions: int) -> None:
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
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
