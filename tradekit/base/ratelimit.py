"""A venue's rate limit, shared by every process of the account: one row of limits.db, exits first in the queue.

GCRA: the row holds the time at which the next call would be due if all were evenly spaced (`tat`). An urgent call
takes its place in the queue at once; an ordinary one takes none, waits until there is room and leaves `reserve`
places free, so that an exit never stands behind entries and reports. Times are the host's monotonic clock.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradekit.base.files import private_folder
from tradekit.clock import SystemClock

LONGEST_PAUSE_S = 300.0
_STALE_S = 3600.0  # a time further ahead than this was written before the host last started
_log = logging.getLogger("tradekit.ratelimit")

SCHEMA = "CREATE TABLE IF NOT EXISTS limits (name TEXT PRIMARY KEY, tat REAL NOT NULL) STRICT"


class RateLimit:
    """`per_minute` calls a minute and `burst` at once; `reserve` of the burst is kept for urgent calls.

    A limits.db that cannot be used never holds a call back: it is logged and the call goes ahead.
    """

    def __init__(self, path: Path, name: str, *, per_minute: float, burst: int = 20, reserve: int = 5) -> None:
        self.path, self.name = path, name
        self._step = 60.0 / per_minute
        self._room = self._step * max(0, burst - 1)
        self._ordinary_room = self._step * max(0, burst - 1 - reserve)
        self._clock = SystemClock()
        self._db: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def take(self, *, urgent: bool, wait_s: float) -> bool:
        """Wait for a place in the queue; False where it would take longer than `wait_s` seconds."""
        deadline = self._clock.monotonic() + wait_s
        while True:
            now = self._clock.monotonic()
            try:
                start = self._place(now, deadline, urgent)
            except (sqlite3.Error, OSError) as error:
                _log.warning("%s: %s; calls are not limited", self.path, error)
                self.close()
                return True
            if start <= now:
                return True
            if start > deadline:
                return False
            self._clock.sleep(start - now)
            if urgent:
                return True

    def pause(self, seconds: float) -> None:
        """The venue said when to come back: nobody calls before that."""
        now = self._clock.monotonic()
        until = now + min(max(0.0, seconds), LONGEST_PAUSE_S) + self._room
        try:
            with self._row(now) as tat:
                self._write(max(tat, until))
        except (sqlite3.Error, OSError) as error:
            _log.warning("%s: %s; calls are not limited", self.path, error)
            self.close()

    def _place(self, now: float, deadline: float, urgent: bool) -> float:
        """When the call may start. It is counted at once where that is now, for urgent ones also where it is later."""
        with self._row(now) as tat:
            start = max(now, tat - (self._room if urgent else self._ordinary_room))
            if start <= now or (urgent and start <= deadline):
                self._write(max(now, tat) + self._step)
            return start

    @contextmanager
    def _row(self, now: float) -> Iterator[float]:
        """`tat` inside a write transaction."""
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            found = db.execute("SELECT tat FROM limits WHERE name = ?", (self.name,)).fetchone()
            tat = float(found[0]) if found else 0.0
            yield tat if tat < now + self._room + _STALE_S else now
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _write(self, tat: float) -> None:
        sql = "INSERT INTO limits (name, tat) VALUES (?, ?) ON CONFLICT DO UPDATE SET tat = excluded.tat"
        self._open().execute(sql, (self.name, tat))

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            private_folder(self.path.parent)
            db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0, check_same_thread=False)
            self.path.chmod(0o600)
            db.execute("PRAGMA synchronous = OFF")  # after a power cut the count starts again
            db.execute("PRAGMA journal_mode = TRUNCATE")
            db.execute(SCHEMA)
            self._db = db
        return self._db
