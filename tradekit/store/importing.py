"""Statements: many fills at once, each symbol folded once from where the first new one falls."""

from collections.abc import Iterable
from datetime import datetime

from tradekit.model import Fill
from tradekit.money import ZERO
from tradekit.store.booking import Booking
from tradekit.store.connection import Db
from tradekit.store.fold import cash_of


def book_fills(db: Db, currency: str, fills: Iterable[Fill]) -> int:
    """Insert what is not booked yet and fold every symbol that got something; how many fills were new.

    Works inside the caller's transaction.
    """
    booking = Booking(db, currency)
    first: dict[str, tuple[datetime, str]] = {}
    new, cash = 0, ZERO
    for fill in fills:
        if not booking.insert_fill(fill, None):
            continue
        new += 1
        cash += cash_of(fill, currency=currency)
        mark = (fill.at, fill.broker_fill_id)
        first[fill.symbol] = min(first.get(fill.symbol, mark), mark)
    booking.add_cash(cash)
    for symbol, (at, trigger) in first.items():
        booking.refold(symbol, at, trigger)
    return new
