"""Fills: what the venue executed, each booked exactly once."""

from collections.abc import Iterator, Set
from datetime import date, datetime
from decimal import Decimal

from tradekit.model import Fill
from tradekit.money import ZERO
from tradekit.store.connection import Row
from tradekit.store.rows import json_text, time_of
from tradekit.store.table import Table, Writes

SCHEMA = """
CREATE TABLE fills (
    id             TEXT NOT NULL,                -- unique by indexes of their own: an import builds them at its end
    broker_fill_id TEXT NOT NULL,
    order_id       TEXT REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED,  -- NULL: imported
    at             TEXT NOT NULL,                -- the broker's time
    symbol         TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    qty            REAL NOT NULL CHECK (qty > 0),
    price          REAL NOT NULL CHECK (price > 0),
    fee            REAL NOT NULL,                -- in fee_asset; below 0 is a rebate
    fee_asset      TEXT NOT NULL,
    fee_estimated  INTEGER NOT NULL CHECK (fee_estimated IN (0, 1)),
    session        TEXT NOT NULL,
    raw            TEXT,                         -- the venue's own text
    position_id    TEXT,                         -- the position that it built or closed: look by symbol and time too
    reversed_into  TEXT,                         -- the position that its rest opened on the other side
    opens          TEXT                          -- JSON: what it opens when it comes first
) STRICT;
CREATE UNIQUE INDEX fills_id ON fills (id);
CREATE UNIQUE INDEX fills_broker ON fills (broker_fill_id);
CREATE INDEX fills_symbol ON fills (symbol, at);
CREATE INDEX fills_order ON fills (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX fills_session ON fills (session);
CREATE INDEX fills_at ON fills (at);
"""

OF_POSITION = """f.symbol = p.symbol AND f.at >= p.opened_at AND f.at <= coalesce(p.closed_at, '9')
    AND (f.position_id = p.id OR f.reversed_into = p.id)"""  # of fills f and positions p, by the index fills_symbol


class Fills(Table[Fill]):
    """Written by Store.book_fill only."""

    name = "fills"
    kind = Fill

    def __init__(self, store: Writes) -> None:
        super().__init__(store)
        self._cash: dict[str, tuple[tuple[str, ...], Decimal]] = {}  # of open positions: what was summed, and the sum

    def for_order(self, id: str) -> list[Fill]:
        """The fills of an order."""
        return self._where("order_id = ?", [id])

    def for_position(self, position_id: str) -> list[Fill]:
        """The fills that built and closed a position, oldest first."""
        columns = ", ".join(f'f."{name}"' for name in self._codec.names)
        sql = f"SELECT {columns} FROM positions p JOIN fills f ON {OF_POSITION} WHERE p.id = ? ORDER BY f.at, f.rowid"
        return self._records(self._db.rows(sql, [position_id]))

    def cash_of_open(self, currency: str) -> dict[str, Decimal]:
        """What the fills of each open position did to the cash, fees included, by position id: `for_position`, summed.

        A fill never changes, so what was summed once stands for the same fills.
        """
        ids: dict[str, list[str]] = {}
        for position, fill in self._of_open("f.id"):
            ids.setdefault(position, []).append(fill)
        keys = {position: (currency, *sorted(fills)) for position, fills in ids.items()}
        known = {name: kept for name, kept in self._cash.items() if keys.get(name) == kept[0]}
        if len(known) < len(keys):
            from tradekit.store.fold import cash_of

            sums = dict.fromkeys(keys, ZERO)
            columns = ", ".join(f'f."{name}"' for name in self._codec.names)
            for position, *row in self._of_open(columns, keys.keys() - known.keys()):
                sums[position] += cash_of(self._codec.record(row), currency=currency)
            known = {name: known.get(name) or (key, sums[name]) for name, key in keys.items()}
        self._cash = known
        return {name: cash for name, (_, cash) in known.items()}

    def _of_open(self, columns: str, wanted: Set[str] | None = None) -> Iterator[Row]:
        """(position id, columns) of the fills of open positions; of `wanted` ones only, where that is said."""
        sql = f"SELECT p.id, {columns} FROM positions p JOIN fills f ON {OF_POSITION} WHERE p.closed_at IS NULL"
        if wanted is None:
            yield from self._db.rows(sql)
        else:
            yield from self._db.rows(f"{sql} AND p.id IN (SELECT value FROM json_each(?))", [json_text([*wanted])])

    def known(self, broker_fill_id: str) -> bool:
        """Whether this fill is booked."""
        return self._db.value("SELECT 1 FROM fills WHERE broker_fill_id = ?", [broker_fill_id]) is not None

    def latest_at(self) -> datetime | None:
        """The broker's time of the newest fill, None without fills."""
        at = self._db.value("SELECT max(at) FROM fills")
        return time_of(at) if at else None

    def first_session(self) -> date | None:
        """The session of the oldest fill, None without fills."""
        found = self._db.value("SELECT min(session) FROM fills")
        return date.fromisoformat(found) if found else None
