"""What is to be sent and what was: outbox.db, a file of its own, so that no trade ever waits for a message."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from tradekit.clock import iso, parse_time
from tradekit.errors import StoreError
from tradekit.model import Event

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    n         INTEGER PRIMARY KEY,  -- the order in which a channel gets them
    channel   TEXT NOT NULL,
    event_id  TEXT NOT NULL,
    event     TEXT NOT NULL,        -- JSON
    queued_at TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given-up')),
    message   INTEGER,              -- the first n of the message that it was tried in; NULL: in none yet
    UNIQUE (channel, event_id)
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (channel, n) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS channels (
    name     TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,      -- in a row
    next_at  TEXT NOT NULL,         -- not tried before
    error    TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""
PUT_BACK = timedelta(days=1)


class Trouble(NamedTuple):
    """How a channel fares."""

    failures: int
    next_at: datetime
    error: str | None


class Outbox:
    """The file, open for one process; a lock of the command keeps a second one out. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None)
            path.chmod(0o600)
            self._db.executescript(SCHEMA)
            if "message" not in {row[1] for row in self._db.execute("PRAGMA table_info(deliveries)")}:
                self._db.execute("ALTER TABLE deliveries ADD COLUMN message INTEGER")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path}: {error}", f"move {path.name} away: only what was not sent is lost") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def since(self, now: datetime, overlap: timedelta) -> datetime:
        """From when on events are looked at: the first call starts the outbox, what was before is history.

        Where the clock was ahead at an earlier look a day is looked at, and what is known is passed over.
        """
        row = self._db.execute("SELECT value FROM facts WHERE key = 'started'").fetchone()
        if row is None:
            self._db.execute("INSERT INTO facts VALUES ('started', ?), ('seen', ?)", [iso(now), iso(now)])
            return now
        seen = self._db.execute("SELECT value FROM facts WHERE key = 'seen'").fetchone()[0]
        started, last = parse_time(row[0]), parse_time(seen)
        if started > now:
            return now - PUT_BACK
        return max(started, (last - overlap) if last <= now else now - PUT_BACK)

    def queue(self, rows: Iterable[tuple[str, Event]], now: datetime) -> int:
        """Have (channel, event) pairs wait; those that were queued before are left alone. How many were new."""
        new = 0
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for channel, event in rows:
                new += self._db.execute(
                    "INSERT INTO deliveries (channel, event_id, event, queued_at, state) "
                    "VALUES (?, ?, ?, ?, 'waiting') ON CONFLICT DO NOTHING",
                    [channel, event.id, msgspec.json.encode(event).decode(), iso(now)],
                ).rowcount
            self._db.execute("UPDATE facts SET value = ? WHERE key = 'seen'", [iso(now)])
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return new

    def waiting(self, channel: str, limit: int) -> list[tuple[int, Event]]:
        """The oldest that a channel has not got, with their numbers.

        What was tried as one message stays one: a service that took it, unknown to us, knows it again by its key.
        """
        sql = "SELECT n, event, message FROM deliveries WHERE channel = ? AND state = 'waiting' ORDER BY n LIMIT ?"
        rows = self._db.execute(sql, [channel, limit]).fetchall()
        first = rows[0][2] if rows else None
        kept = [row for row in rows if row[2] == first] if first is not None else rows
        return [(n, msgspec.json.decode(text, type=Event)) for n, text, _ in kept]

    def tried(self, numbers: Sequence[int]) -> None:
        """They go out as one message now."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("UPDATE deliveries SET message = ? WHERE n = ?", [(numbers[0], n) for n in numbers])
        self._db.execute("COMMIT")

    def sent(self, channel: str, numbers: Sequence[int]) -> None:
        """They arrived; the channel is well."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("UPDATE deliveries SET state = 'sent' WHERE n = ?", [(n,) for n in numbers])
        self._db.execute("DELETE FROM channels WHERE name = ?", [channel])
        self._db.execute("COMMIT")

    def failed(self, channel: str, error: str, next_at: datetime) -> int:
        """A try failed; how many in a row that makes."""
        sql = (
            "INSERT INTO channels VALUES (?, 1, ?, ?) ON CONFLICT (name) DO UPDATE SET failures = failures + 1, "
            "next_at = excluded.next_at, error = excluded.error RETURNING failures"
        )
        return int(self._db.execute(sql, [channel, iso(next_at), error]).fetchall()[0][0])

    def trouble(self, channel: str) -> Trouble | None:
        """None for a channel that is well."""
        row = self._db.execute("SELECT failures, next_at, error FROM channels WHERE name = ?", [channel]).fetchone()
        return None if row is None else Trouble(row[0], parse_time(row[1]), row[2])

    def give_up(self, before: datetime) -> int:
        """Stop trying what waits since before; forget what was settled then. How many were given up."""
        sql = "UPDATE deliveries SET state = 'given-up' WHERE state = 'waiting' AND queued_at < ?"
        given = self._db.execute(sql, [iso(before)]).rowcount
        old = iso(before - timedelta(days=7))
        self._db.execute("DELETE FROM deliveries WHERE state != 'waiting' AND queued_at < ?", [old])
        return given

    def counts(self) -> dict[str, dict[str, int]]:
        """Deliveries by channel and state."""
        found: dict[str, dict[str, int]] = {}
        sql = "SELECT channel, state, count(*) FROM deliveries GROUP BY channel, state ORDER BY channel, state"
        for channel, state, n in self._db.execute(sql):
            found.setdefault(channel, {})[state] = n
        return found
