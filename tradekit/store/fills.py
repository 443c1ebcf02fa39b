"""Fills: what the venue executed, each booked exactly once."""

from datetime import date, datetime

from tradekit.model import Fill
from tradekit.store.rows import time_of
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE fills (
    id             TEXT PRIMARY KEY,
    broker_fill_id TEXT NOT NULL UNIQUE,
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
    position_id    TEXT,                         -- the position that it built or closed
    reversed_into  TEXT,                         -- the position that its rest opened on the other side
    opens          TEXT                          -- JSON: what it opens when it comes first
) STRICT;
CREATE INDEX fills_symbol ON fills (symbol, at);
CREATE INDEX fills_order ON fills (order_id);
CREATE INDEX fills_position ON fills (position_id);
CREATE INDEX fills_reversed ON fills (reversed_into) WHERE reversed_into IS NOT NULL;
CREATE INDEX fills_session ON fills (session);
CREATE INDEX fills_at ON fills (at);
"""


class Fills(Table[Fill]):
    """Written by Store.book_fill only."""

    name = "fills"
    kind = Fill
    remembered = 4096

    def for_order(self, id: str) -> list[Fill]:
        """The fills of an order."""
        return self._where("order_id = ?", [id])

    def for_position(self, position_id: str) -> list[Fill]:
        """The fills that built and closed a position, oldest first."""
        return self._where("position_id = ? OR reversed_into = ?", [position_id, position_id])

    def of_open(self) -> dict[str, list[Fill]]:
        """The fills of all open positions by position id, oldest first: `for_position` of each."""
        found: dict[str, list[Fill]] = {}
        columns = ", ".join(f'f."{name}"' for name in self._codec.names)
        for home in ("position_id", "reversed_into"):
            sql = (
                f"SELECT {columns}, p.id FROM positions p JOIN fills f ON f.{home} = p.id AND f.{home} IS NOT NULL "
                "WHERE p.closed_at IS NULL"
            )
            rows = self._db.rows(sql)
            for row, fill in zip(rows, self._records([row[:-1] for row in rows]), strict=True):
                found.setdefault(row[-1], []).append(fill)
        for fills in found.values():
            fills.sort(key=lambda fill: fill.at)
        return found

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
