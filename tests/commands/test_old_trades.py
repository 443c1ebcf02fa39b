"""Trades older than the sessions that a trading command loads are analysed all the same."""

import json
from datetime import date, timedelta

import numpy as np

from tests.make import make_fill
from tradekit.market.bars import BarStore
from tradekit.store import open_store


def test_a_trade_of_two_years_ago_has_its_bars(new_desk, line):
    """The calendar reached back 500 days: older bars counted as outside regular hours and were left out."""
    desk = new_desk()
    store = open_store(desk / "desk.db")
    (session,) = store.sessions.load(date(2023, 3, 15), date(2023, 3, 15))
    for side, minute, price in (("buy", 10, 100), ("sell", 40, 101)):
        store.book_fill(make_fill(symbol="AAPL", side=side, at=session.open + timedelta(minutes=minute),
                                  session=session.day, price=price, qty=1, order_id=None))  # fmt: skip
    store.close()
    start = session.open.timestamp() + 60 * np.arange(390)
    prices = np.full(390, 100.0) + np.arange(390) / 30
    with BarStore(desk / "bars.db", create=True) as bars, bars.writing() as writer:
        rows = np.stack([start, prices, prices, prices, prices, np.full(390, 1000.0)], axis=1)
        writer.intraday("file", 60, "AAPL", session.day.isoformat(), rows)
    answer, *lines = json.loads(line("analyze", "what-if", "--json", "-C", desk).stdout)
    assert (answer["trades"], answer["left_out"], len(lines)) == (1, 0, 161)  # the next open is not recorded: not tried
    first, *_ = json.loads(line("analyze", "price-movement", "--json", "-C", desk).stdout)
    assert first["n"] == 1
    page = line("report", "tearsheet", "--out", desk / "t.html", "-C", desk)
    assert "1 trades, 1 with their path" in page.stderr
