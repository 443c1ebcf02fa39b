"""Make a desk with N trades, ten a session, each on a day of minute bars: _what_if_desk.py FOLDER TRADES."""

import random
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from tradekit.market.bars import BarStore
from tradekit.model import Fill
from tradekit.store import open_store

MINUTES, A_DAY = 390, 10


def main(folder: str, trades: int) -> None:
    """Entries in the first hour, exits 20 minutes later; prices are random walks of 0.08 % a minute."""
    numbers, dice = np.random.default_rng(1), random.Random(1)
    store = open_store(Path(folder) / "desk.db", synchronous="OFF")
    days = store.sessions.load(date(2024, 1, 2), date(2025, 12, 31))[: trades // A_DAY]
    fills = []
    with BarStore(Path(folder) / "bars.db", create=True) as bars, bars.writing() as writer:
        for d, session in enumerate(days):
            for s in range(A_DAY):
                close = np.round(100 * np.exp(numbers.normal(0, 0.0008, MINUTES).cumsum()), 2)
                first = np.concatenate([[100.0], close[:-1]])
                start = session.open.timestamp() + 60 * np.arange(MINUTES)
                high, low = np.maximum(first, close) + 0.02, np.minimum(first, close) - 0.02
                rows = np.stack([start, first, high, low, close, np.full(MINUTES, 10_000.0)], axis=1)
                writer.intraday("made-up", 60, f"S{s}", session.day.isoformat(), rows)
                minute = dice.randint(5, 60)
                for side, at in (("buy", minute), ("sell", minute + 20)):
                    name = f"{d}-{s}-{side}"
                    fills.append(
                        Fill(id=f"f-{name}", broker_fill_id=name, order_id=None,
                             at=session.open + timedelta(minutes=at), symbol=f"S{s}", side=side, qty=Decimal(10),
                             price=Decimal(str(first[at])), fee=Decimal(0), fee_asset="USD", fee_estimated=False,
                             session=session.day)
                    )  # fmt: skip
    store.book_fills(fills)
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
