"""The exchange's sessions, copied from its calendar by `init`, and the operator's changes to them."""

from collections.abc import Iterable
from datetime import date, datetime

from tradekit.model import Session
from tradekit.store.connection import Db
from tradekit.store.rows import time_of, time_text
from tradekit.store.table import Writes

SCHEMA = """
CREATE TABLE sessions (
    day    TEXT PRIMARY KEY,  -- the exchange's date
    open   TEXT,              -- UTC; NULL: closed that day (an override)
    close  TEXT,              -- UTC
    half   INTEGER NOT NULL CHECK (half IN (0, 1)),  -- shorter than usual
    reason TEXT,              -- NULL: as the calendar says; else why the operator changed it
    CHECK ((open IS NULL) = (close IS NULL)),
    CHECK (open IS NULL OR open < close)
) STRICT;
"""

FULL_MINUTES = 390


class Sessions:
    """Days on which the exchange is open."""

    def __init__(self, store: Writes) -> None:
        self._store = store
        self._db: Db = store.db

    def load(self, first: date, last: date) -> list[Session]:
        """Sessions from `first` to `last`, both included, without days that are closed."""
        sql = "SELECT day, open, close, half FROM sessions WHERE day BETWEEN ? AND ? AND open IS NOT NULL ORDER BY day"
        rows = self._db.rows(sql, [first.isoformat(), last.isoformat()])
        return [
            Session(date.fromisoformat(day), time_of(open_), time_of(close), bool(half))
            for day, open_, close, half in rows
        ]

    def replace(self, rows: Iterable[Session], first: date, last: date) -> None:
        """Write the calendar's sessions of these days anew; what the operator changed stays."""
        values = [(s.day.isoformat(), time_text(s.open), time_text(s.close), int(s.half)) for s in rows]
        with self._store.transaction():
            self._db.run(
                "DELETE FROM sessions WHERE day BETWEEN ? AND ? AND reason IS NULL",
                [first.isoformat(), last.isoformat()],
            )
            self._db.run_many(
                "INSERT INTO sessions (day, open, close, half) VALUES (?, ?, ?, ?) ON CONFLICT (day) DO NOTHING", values
            )

    def override(self, day: date, open: datetime | None, close: datetime | None, reason: str) -> None:
        """Change a day's hours, or close it (open or close is None), and keep why."""
        closed = open is None or close is None
        minutes = 0.0 if open is None or close is None else (close - open).total_seconds() / 60
        values = [
            day.isoformat(),
            None if closed or open is None else time_text(open),
            None if closed or close is None else time_text(close),
            int(not closed and minutes < FULL_MINUTES),
            reason or "changed by the operator",
        ]
        sql = "INSERT OR REPLACE INTO sessions (day, open, close, half, reason) VALUES (?, ?, ?, ?, ?)"
        with self._store.transaction():
            self._db.run(sql, values)

    def overrides(self) -> list[tuple[date, datetime | None, datetime | None, str]]:
        """The days that the operator changed, oldest first: (day, open, close, reason)."""
        sql = "SELECT day, open, close, reason FROM sessions WHERE reason IS NOT NULL ORDER BY day"
        return [
            (date.fromisoformat(day), time_of(open_) if open_ else None, time_of(close) if close else None, reason)
            for day, open_, close, reason in self._db.rows(sql)
        ]

    def last(self) -> date | None:
        """The last day that the table knows."""
        day = self._db.value("SELECT max(day) FROM sessions WHERE open IS NOT NULL")
        return date.fromisoformat(day) if day else None
