"""bars.db: daily panels and intraday sessions as blobs, because a scan reads columns and not rows.

Every blob is float64, little-endian. Daily: one blob per (source, field, day) over an append-only axis of
symbols; a symbol that came later makes later blobs longer, so a short one is padded with NaN. Intraday: one
blob per (session, symbol, timeframe, source) of rows `start open high low close volume`, sorted, start in
epoch seconds. Reading needs no numpy; writing does.
"""

import sqlite3
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tradekit.errors import Busy, Findings, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

APPLICATION_ID = 0x746B6272  # "tkbr"
SCHEMA_VERSION = 1
DAY_S = 86400
FIELDS = ("open", "high", "low", "close", "volume")
COLUMNS = 6  # start and the five fields
ROW_BYTES = 8 * COLUMNS
TIMEFRAMES = {"1m": 60, "5m": 300, "1h": 3600, "1d": DAY_S}

SCHEMA = """
CREATE TABLE IF NOT EXISTS axis (
    i       INTEGER PRIMARY KEY,     -- place in every daily blob; never reused, never moved
    symbol  TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS daily (
    source  TEXT NOT NULL,
    field   TEXT NOT NULL CHECK (field IN ('open', 'high', 'low', 'close', 'volume')),
    day     TEXT NOT NULL,           -- session date
    data    BLOB NOT NULL,
    UNIQUE (source, field, day)
) STRICT;
CREATE TABLE IF NOT EXISTS intraday (
    session     TEXT NOT NULL,       -- exchange date of the bars' start
    i           INTEGER NOT NULL REFERENCES axis (i),
    timeframe_s INTEGER NOT NULL CHECK (timeframe_s > 0),
    source      TEXT NOT NULL,
    first_s     INTEGER NOT NULL,    -- start of the first bar, so that a prefix can be cut in SQL
    bars        INTEGER NOT NULL CHECK (bars > 0),
    data        BLOB NOT NULL,
    UNIQUE (session, i, timeframe_s, source)
) STRICT;
CREATE INDEX IF NOT EXISTS intraday_symbol ON intraday (i, session, timeframe_s, source);
CREATE TABLE IF NOT EXISTS series (
    source      TEXT NOT NULL,
    timeframe_s INTEGER NOT NULL,
    i           INTEGER NOT NULL REFERENCES axis (i),
    first       TEXT NOT NULL,       -- first and last session
    last        TEXT NOT NULL,
    sessions    INTEGER NOT NULL,
    bars        INTEGER NOT NULL,
    version     INTEGER NOT NULL,    -- goes up by one with each import that changed it
    PRIMARY KEY (source, timeframe_s, i)
) STRICT, WITHOUT ROWID;
"""


SUMMARY = ("source", "timeframe", "symbols", "first", "last", "bars", "sessions")  # what is there, in a line


class Series(NamedTuple):
    """What the store holds of one symbol from one source in one timeframe; days as ISO text."""

    source: str
    timeframe_s: int
    symbol: str
    first: str
    last: str
    sessions: int
    bars: int
    version: int


class Key(NamedTuple):
    """One intraday blob: where it is and what it is of."""

    rowid: int
    i: int
    timeframe_s: int
    source: str
    first_s: int


class Conflict(NamedTuple):
    """A bar that differs from the one that is stored; `at_s` is its start in epoch seconds, or `day`'s label."""

    symbol: str
    day: str
    at_s: int | None


class BarStore:
    """The bar file of a desk. A missing file reads as an empty store unless `create` makes it.

    Raises StoreError for a foreign, newer or broken file.
    """

    def __init__(self, path: Path, create: bool = False) -> None:
        self.path = path
        self.writable = create or not path.exists()  # an empty store in memory takes a dry run
        self._generation = 0
        self._axis: dict[str, int] = {}
        self._axis_stamp: tuple[int, int] | None = None
        missing = not path.exists()
        if create and missing:
            path.touch(mode=0o600)
        name = ":memory:" if missing and not create else f"{path.resolve().as_uri()}?mode={'rw' if create else 'ro'}"
        try:
            self._db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=10.0)
            self._prepare(create or missing)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path}: {error}",
                "restore it from a backup, or move it away and import again",
            ) from None

    def _prepare(self, create: bool) -> None:
        db = self._db
        identity = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if identity != APPLICATION_ID and not (empty and create):
            if empty:
                db.close()
                self._db = db = sqlite3.connect(":memory:", isolation_level=None)
                create = True
            else:
                raise StoreError(
                    f"{self.path} is not a bar store",
                    "point market.bars in desk.yaml at another file",
                )
        if version > SCHEMA_VERSION:
            raise StoreError(f"{self.path} was written by a newer tradekit", "upgrade tradekit")
        if create:
            db.execute("PRAGMA journal_mode = TRUNCATE")  # one file: it reads from a read-only folder and copies whole
            db.execute("PRAGMA synchronous = FULL")
        if create and empty:
            db.executescript(f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
                             f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")  # fmt: skip
        db.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stamp(self) -> tuple[int, int]:
        """Changes whenever this or another process has written to the file."""
        return self._db.execute("PRAGMA data_version").fetchone()[0], self._generation

    def axis(self) -> dict[str, int]:
        """Symbol -> its place in every daily blob."""
        stamp = self.stamp()
        if stamp != self._axis_stamp:
            self._axis = dict(self._db.execute("SELECT symbol, i FROM axis ORDER BY i"))
            self._axis_stamp = stamp
        return self._axis

    def series(self, symbol: str | None = None, timeframe_s: int | None = None) -> list[Series]:
        """What there is, by source, timeframe and symbol; of one symbol or timeframe when it is named."""
        sql = (
            "SELECT source, timeframe_s, symbol, first, last, sessions, bars, version FROM series JOIN axis USING (i)"
            " WHERE (?1 IS NULL OR i = (SELECT i FROM axis WHERE symbol = ?1)) AND (?2 IS NULL OR timeframe_s = ?2)"
            " ORDER BY source, timeframe_s, symbol"
        )
        return [Series(*row) for row in self._db.execute(sql, (symbol, timeframe_s))]

    def symbols(self, until: str, source: str | None = None) -> list[str]:
        """The symbols with a series (of a source) that begins by `until`, sorted."""
        sql = (
            "SELECT symbol FROM axis WHERE i IN"
            " (SELECT i FROM series WHERE first <= ?1 AND (?2 IS NULL OR source = ?2))"
            " ORDER BY symbol"
        )
        return [symbol for (symbol,) in self._db.execute(sql, (until, source))]

    def daily_spans(self) -> list[tuple[int, str, str, str]]:
        """(place, source, first, last) of all daily series, by source."""
        sql = "SELECT i, source, first, last FROM series WHERE timeframe_s = ? ORDER BY source"
        return self._db.execute(sql, (DAY_S,)).fetchall()

    def summary(self) -> list[dict[str, Any]]:
        """One row per source and timeframe: symbols, first, last, sessions, bars."""
        sql = (
            "SELECT source, timeframe_s, count(*), min(first), max(last), sum(bars), CASE WHEN timeframe_s = ?1"
            " THEN (SELECT count(*) FROM daily AS d WHERE d.source = s.source AND field = 'close')"
            " ELSE (SELECT count(DISTINCT session) FROM intraday AS b"
            " WHERE b.source = s.source AND b.timeframe_s = s.timeframe_s) END"
            " FROM series AS s GROUP BY source, timeframe_s ORDER BY source, timeframe_s"
        )
        return [dict(zip(SUMMARY, row, strict=True)) for row in self._db.execute(sql, (DAY_S,))]

    def daily(self, source: str, field: str, first: str, last: str) -> list[tuple[str, bytes]]:
        """(day, blob over the axis) of one field from `first` to `last`, oldest first."""
        sql = "SELECT day, data FROM daily WHERE source = ? AND field = ? AND day BETWEEN ? AND ? ORDER BY day"
        return self._db.execute(sql, (source, field, first, last)).fetchall()

    def daily_days(self, source: str) -> list[str]:
        """The days that a source has daily bars of, oldest first."""
        sql = "SELECT day FROM daily WHERE source = ? AND field = 'close' ORDER BY day"
        return [day for (day,) in self._db.execute(sql, (source,))]

    def sessions(self, symbol: str) -> list[str]:
        """The sessions in which a symbol has intraday bars, oldest first."""
        sql = "SELECT DISTINCT session FROM intraday WHERE i = (SELECT i FROM axis WHERE symbol = ?) ORDER BY session"
        return [day for (day,) in self._db.execute(sql, (symbol,))]

    def intraday(self, symbol: str, session: str) -> list[tuple[int, str, bytes]]:
        """(timeframe_s, source, blob) of one symbol and session, finest first."""
        sql = (
            "SELECT timeframe_s, source, data FROM intraday"
            " WHERE i = (SELECT i FROM axis WHERE symbol = ?) AND session = ? ORDER BY timeframe_s, source"
        )
        return self._db.execute(sql, (symbol, session)).fetchall()

    def keys(self, session: str) -> list[Key]:
        """All intraday blobs of a session, by symbol, finest first; without reading the blobs."""
        columns = "rowid, i, timeframe_s, source, first_s"
        sql = f"SELECT {columns} FROM intraday WHERE session = ? ORDER BY i, timeframe_s, source"
        return [Key(*row) for row in self._db.execute(sql, (session,))]

    def intraday_sessions(self, first: str, last: str, source: str | None = None) -> list[str]:
        """Sessions from `first` to `last` that hold any intraday bar (of a source), oldest first."""
        sql = (
            "SELECT DISTINCT session FROM intraday WHERE session BETWEEN ? AND ?"
            " AND (?3 IS NULL OR source = ?3) ORDER BY session"
        )
        return [day for (day,) in self._db.execute(sql, (first, last, source))]

    def has_intraday(self, first: str, last: str, source: str | None = None) -> bool:
        """Is there any intraday bar in the sessions from `first` to `last` (of a source)?"""
        sql = "SELECT EXISTS (SELECT 1 FROM intraday WHERE session BETWEEN ? AND ? AND (?3 IS NULL OR source = ?3))"
        return bool(self._db.execute(sql, (first, last, source)).fetchone()[0])

    def blobs(self, session: str, keys: list[Key], until_s: int) -> list[bytes]:
        """The blobs of `keys`, one each and in order, cut after the bars that can have ended at `until_s`.

        The cut is an upper bound (as if no bar were missing): whoever reads still compares the times.
        """
        cut = f"substr(data, 1, max(0, (?1 - first_s) / timeframe_s) * {ROW_BYTES})"
        if len(keys) < 50:
            one = f"SELECT {cut} FROM intraday WHERE rowid = ?2"
            return [self._db.execute(one, (until_s, key.rowid)).fetchone()[0] for key in keys]
        sql = f"SELECT rowid, {cut} FROM intraday WHERE session = ?2"
        found: dict[int, bytes] = dict(self._db.execute(sql, (until_s, session)))
        return [found[key.rowid] for key in keys]

    @contextmanager
    def writing(self, *, replace: bool = False) -> Iterator["Writer"]:
        """One transaction of bars: all of it or nothing, also after Ctrl-C.

        Raises Findings for bars that contradict stored ones (unless `replace`), Busy when another import runs.
        """
        if not self.writable:
            raise StoreError(f"{self.path} was opened for reading")
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise StoreError(f"{self.path}: {error}", "make the folder writable") from None
            raise Busy(
                f"{self.path}: another import is writing",
                "try again when it has finished",
            ) from None
        writer = Writer(self._db, replace)
        try:
            yield writer
            writer.finish()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        finally:
            self._generation += 1  # after a roll-back too: the axis in memory may be ahead of the file
        self._db.execute("COMMIT" if writer.changed and not writer.abandoned else "ROLLBACK")
        self._generation += 1


class Writer:
    """Merges bars into the open transaction and counts what is new, known and in conflict."""

    def __init__(self, db: sqlite3.Connection, replace: bool) -> None:
        self._db = db
        self._replace = replace
        self._axis: dict[str, int] = dict(db.execute("SELECT symbol, i FROM axis"))
        self._news: dict[tuple[str, int, int], list[tuple[str, int, int]]] = {}
        self._days: dict[str, list[tuple[str, NDArray[np.intp], NDArray[np.bool_]]]] = {}
        self.added = 0
        self.replaced = 0
        self.known = 0
        self.conflicts: list[Conflict] = []
        self.changed = False
        self.abandoned = False

    def abandon(self) -> None:
        """Roll back at the end: a dry run."""
        self.abandoned = True

    def place(self, symbol: str) -> int:
        """The symbol's place on the axis; a new symbol gets the next one."""
        i = self._axis.get(symbol)
        if i is None:
            i = self._axis[symbol] = len(self._axis)
            self._db.execute("INSERT INTO axis (i, symbol) VALUES (?, ?)", (i, symbol))
        return i

    def intraday(self, source: str, timeframe_s: int, symbol: str, session: str, rows: "Floats") -> None:
        """Merge bars of one symbol and session: rows [n, 6] sorted by start, without duplicates."""
        i = self.place(symbol)
        key = (session, i, timeframe_s, source)
        sql = "SELECT rowid, data FROM intraday WHERE session = ? AND i = ? AND timeframe_s = ? AND source = ?"
        found = self._db.execute(sql, key).fetchone()
        if found is None:
            data = _bytes(rows)
            self._db.execute(
                "INSERT INTO intraday (session, i, timeframe_s, source, first_s, bars, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, int(rows[0, 0]), len(rows), data),
            )
            self._count(source, timeframe_s, i, session, 1, len(rows))
            return
        merged = self._merge(symbol, session, found[1], rows)
        if merged is not None:
            before = len(found[1]) // ROW_BYTES
            sql = "UPDATE intraday SET first_s = ?, bars = ?, data = ? WHERE rowid = ?"
            self._db.execute(sql, (int(merged[0, 0]), len(merged), _bytes(merged), found[0]))
            self._count(source, timeframe_s, i, session, 0, len(merged) - before)

    def _merge(self, symbol: str, session: str, stored: bytes, rows: "Floats") -> "Floats | None":
        """Stored and new bars together, or None where nothing changes."""
        if stored == _bytes(rows):
            self.known += len(rows)
            return None
        import numpy as np

        old = np.frombuffer(stored, dtype="<f8").reshape(-1, COLUMNS)
        _, theirs, ours = np.intersect1d(old[:, 0], rows[:, 0], assume_unique=True, return_indices=True)
        same = (old[theirs] == rows[ours]).all(axis=1)
        self.known += int(same.sum())
        if not same.all() and not self._replace:
            self.conflicts += [Conflict(symbol, session, int(rows[k, 0])) for k in ours[~same]]
            return None
        self.replaced += int((~same).sum())
        if same.all() and len(same) == len(rows):
            return None
        keep = np.ones(len(old), dtype=bool)
        keep[theirs] = False
        merged = np.concatenate([old[keep], rows])
        return merged[np.argsort(merged[:, 0], kind="stable")]

    def daily(self, source: str, day: str, symbols: list[str], values: "Floats") -> None:
        """Merge one day: values [5, n] in the order of FIELDS for n different symbols."""
        import numpy as np

        places = np.array([self.place(symbol) for symbol in symbols], dtype=np.intp)
        sql = "SELECT field, data FROM daily WHERE source = ? AND day = ?"
        stored = dict(self._db.execute(sql, (source, day)))
        panel = np.full((len(FIELDS), len(self._axis)), np.nan)
        for row, field in enumerate(FIELDS):
            old = np.frombuffer(stored.get(field, b""), dtype="<f8")
            panel[row, : len(old)] = old
        there = ~np.isnan(panel[3, places])
        differs = there & (panel[:, places] != values).any(axis=0)
        self.known += int((there & ~differs).sum())
        if differs.any() and not self._replace:
            self.conflicts += [Conflict(symbols[k], day, None) for k in np.flatnonzero(differs)]
            return
        self.replaced += int(differs.sum())
        if (there & ~differs).all():
            return
        panel[:, places] = values
        sql = (
            "INSERT INTO daily (source, field, day, data) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET data = excluded.data"
        )
        self._db.executemany(sql, [(source, f, day, _bytes(panel[row])) for row, f in enumerate(FIELDS)])
        touched = ~there | differs
        self._days.setdefault(source, []).append((day, places[touched], ~there[touched]))
        self.added += int((~there).sum())
        self.changed = True

    def _count(self, source: str, timeframe_s: int, i: int, day: str, sessions: int, bars: int) -> None:
        self._news.setdefault((source, timeframe_s, i), []).append((day, sessions, bars))
        self.added += bars
        self.changed = True

    def finish(self) -> None:
        """Bring the table of series up to date, or refuse. Raises Findings on conflicts."""
        if self.conflicts:
            first = self.conflicts[0]
            raise Findings(
                f"{len(self.conflicts)} bars differ from stored ones, the first is {first.symbol} of {first.day}",
                "nothing was imported; use --replace to overwrite, or --source NAME to keep both feeds apart",
            )
        rows = [
            (
                *key,
                min(n[0] for n in news),
                max(n[0] for n in news),
                sum(n[1] for n in news),
                sum(n[2] for n in news),
            )
            for key, news in self._news.items()
        ]
        rows += self._daily_rows()
        sql = (
            "INSERT INTO series (source, timeframe_s, i, first, last, sessions, bars, version)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET first = min(first, excluded.first),"
            " last = max(last, excluded.last), sessions = sessions + excluded.sessions, bars = bars + excluded.bars,"
            " version = version + 1"
        )
        self._db.executemany(sql, rows)

    def _daily_rows(self) -> list[tuple[str, int, int, str, str, int, int]]:
        """(source, timeframe, place, first, last, sessions, bars) that the new days add to each symbol."""
        if not self._days:
            return []
        import numpy as np

        rows = []
        for source, days in self._days.items():
            days.sort(key=lambda news: news[0])
            first, last = [""] * len(self._axis), [""] * len(self._axis)
            new = np.zeros(len(self._axis), dtype=np.int64)
            for day, places, added in days:
                new[places] += added
                for i in places.tolist():
                    first[i] = first[i] or day
                    last[i] = day
            rows += [(source, DAY_S, i, first[i], last[i], n, n) for i, n in enumerate(new.tolist()) if first[i]]
        return rows


def doubles(blob: bytes) -> "array[float]":
    """A blob as Python floats, without numpy."""
    values = array("d")
    values.frombytes(blob)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _bytes(values: "Floats") -> bytes:
    return values.astype("<f8", copy=False).tobytes()
