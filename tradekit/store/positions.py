"""Positions, open and closed, and the marks of the passes that watch them."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tradekit.errors import UsageError
from tradekit.model import Mark, Position
from tradekit.money import book, dec, wire
from tradekit.store.connection import Row
from tradekit.store.rows import codec, json_text
from tradekit.store.table import Table, alone

SCHEMA = """
CREATE TABLE positions (
    id           TEXT PRIMARY KEY,  -- symbol and minute of the decision; also the id of its trade
    symbol       TEXT NOT NULL,
    side         TEXT NOT NULL CHECK (side IN ('long', 'short')),
    qty          REAL NOT NULL CHECK (qty >= 0),  -- 0: closed
    avg_price    REAL NOT NULL,     -- 12 digits, for show: what counts are the fills
    opened_at    TEXT NOT NULL,
    session      TEXT NOT NULL,     -- of its first fill
    strategy     TEXT,
    cap          TEXT,
    intent       TEXT NOT NULL CHECK (intent IN ('day', 'swing')),
    plan         TEXT NOT NULL,     -- JSON: the exit plan
    stop_price   REAL,              -- of the plan; the level in force now is in marks
    target_price REAL,
    decision_id  TEXT REFERENCES decisions (id) DEFERRABLE INITIALLY DEFERRED,
    master       INTEGER NOT NULL CHECK (master IN (0, 1)),
    protected_by TEXT,              -- id of the protect order that rests at the venue
    cost         REAL NOT NULL,     -- of what is held
    initial_stop REAL,              -- the first stop: planned risk counts from it
    closed_at    TEXT,
    CHECK ((closed_at IS NULL) = (qty > 0))
) STRICT;
CREATE UNIQUE INDEX positions_one_open_per_symbol ON positions (symbol) WHERE closed_at IS NULL;
CREATE INDEX positions_symbol ON positions (symbol, opened_at);
CREATE INDEX positions_session ON positions (session);

CREATE TABLE marks (
    position_id    TEXT PRIMARY KEY REFERENCES positions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    at             TEXT NOT NULL,
    judged_to      TEXT NOT NULL,  -- end of the last bar that the exit rules have judged
    last_price     REAL,
    high           REAL,           -- since entry
    low            REAL,
    target_hit     INTEGER NOT NULL CHECK (target_hit IN (0, 1)),
    stop_price     REAL,           -- the level in force now: a trail moves it
    reversal_score INTEGER,
    reversal_at    TEXT,
    note           TEXT            -- why it is held overnight, halted, ...
) STRICT;
"""

_COLUMNS = """p.id, p.symbol, p.side, p.qty, p.avg_price, p.opened_at, p.session, p.strategy, p.cap, p.intent, p.plan,
    coalesce(m.stop_price, p.stop_price), p.target_price,
    coalesce(m.target_hit, 0), m.high, m.low, m.last_price, NULL, p.decision_id, p.master,
    p.protected_by, p.cost"""
_FROM = f"SELECT {_COLUMNS} FROM positions p LEFT JOIN marks m ON m.position_id = p.id"


class Positions(Table[Position]):
    """Positions joined with their marks. Quantities change only where a fill or an adjustment is booked."""

    name = "positions"
    kind = Position
    time = "opened_at"
    made_of = ("marks",)
    remembered = 4096

    def get(self, id: str) -> Position | None:
        """A position by id; a closed one has qty 0."""
        found = self._joined("p.id = ?", [id])
        return found[0] if found else None

    def open(self) -> list[Position]:
        """Open positions, oldest first."""
        return self._kept("open", lambda: self._joined("p.closed_at IS NULL"))

    def open_for(self, symbol: str) -> Position | None:
        """The open position of a symbol, None without one."""
        found = self._joined("p.closed_at IS NULL AND p.symbol = ?", [symbol])
        return found[0] if found else None

    def all(
        self,
        *,
        session: date | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        as_of: datetime | None = None,
    ) -> list[Position]:
        """Positions, open and closed, by the time they were opened."""
        where, values = self._filters(session, symbol, since, until, as_of)
        found = self._joined(where, values)
        return found if limit is None else found[-limit:] if limit else []

    def set_plan(self, id: str, plan: dict[str, Any], stop_price: Decimal | None, target_price: Decimal | None) -> None:
        """Change how a position leaves. The first stop that is set stays the one that planned risk counts from."""
        c = codec(Position)
        stop, target = c.value("stop_price", stop_price), c.value("target_price", target_price)
        sql = (
            "UPDATE positions SET plan = ?, stop_price = ?, target_price = ?, initial_stop = coalesce(initial_stop, ?) "
            "WHERE id = ?"
        )
        self._one(id, self._write(sql, [json_text(plan), stop, target, stop, id]))

    def set_protected(self, id: str, order_id: str | None) -> None:
        """Which order rests at the venue as this position's stop; None: no one."""
        self._one(id, self._write("UPDATE positions SET protected_by = ? WHERE id = ?", [order_id, id]))

    def set_master(self, id: str, master: bool) -> None:
        """Whether the position counts as one of the day's masters."""
        self._one(id, self._write("UPDATE positions SET master = ? WHERE id = ?", [int(master), id]))

    def _one(self, id: str, changed: int) -> None:
        if changed != 1:
            raise UsageError(f"there is no position {id}", "tradekit positions")

    def _joined(self, where: str, values: list[Any] | None = None) -> list[Position]:
        sql = f"{_FROM}{' WHERE ' + where if where else ''} ORDER BY p.opened_at, p.rowid"
        return self._records(self._db.rows(sql, values or []))

    def _record(self, row: Row) -> Position:
        found = self._codec.record(row)
        return valued(found, dec(row[-1]))


def valued(position: Position, cost: Decimal) -> Position:
    """With `unrealized` from the last price and the cost of what is held; None where the price is unknown."""
    if position.last_price is None or not position.qty:
        return position
    won = book(position.last_price * position.qty) - cost
    return msgspec.structs.replace(position, unrealized=wire(book(won if position.side == "long" else -won)))


class Marks(Table[Mark]):
    """One row per watched position. A pass of the exits writes what it has SEEN, others what they SAID: they run at
    the same minute, and whoever saves last must not undo what the other one wrote.
    """

    SEEN = ("at", "judged_to", "last_price", "high", "low", "target_hit", "stop_price")
    SAID = ("reversal_score", "reversal_at", "note")

    name = "marks"
    kind = Mark
    key = "position_id"
    remembered = 4096

    def save(self, marks: list[Mark], only: Sequence[str] = SEEN + SAID) -> None:
        """Write marks in one transaction: rows that are new as a whole, of old ones the `only` columns."""
        if not marks:
            return
        c = self._codec
        rest = ", ".join(f'"{name}" = excluded."{name}"' for name in only)
        sql = f"INSERT INTO marks ({c.columns}) VALUES ({c.marks}) ON CONFLICT (position_id) DO UPDATE SET {rest}"
        rows = c.rows(marks)
        with self._store.transaction(), alone(self._store, self.name):
            self._db.run_many(sql, rows)
        if len(self._known) > self.remembered:
            self._known.clear()
        self._known.update(zip(rows, marks, strict=True))  # the next pass reads them; a row that differs is another key

    def of_open(self) -> dict[str, Mark]:
        """Marks of open positions by position id."""
        where = "position_id IN (SELECT id FROM positions WHERE closed_at IS NULL)"
        return {mark.position_id: mark for mark in self._where(where)}
