"""Scans, the market they saw, and what they found: candidates that passed, and those that did not."""

import zlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import msgspec

from tradekit.model import Candidate, MarketSnapshot, Scan
from tradekit.store.rows import time_text
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE scans (
    id       TEXT PRIMARY KEY,  -- minute, strategy, type and cap
    session  TEXT NOT NULL,     -- the exchange's date
    at       TEXT NOT NULL,     -- UTC: bars known by then were seen
    strategy TEXT NOT NULL,
    cap      TEXT,              -- large, mid, small or the universe's own word; NULL: all
    type     TEXT NOT NULL,     -- open, midday, close, ...
    counts   TEXT NOT NULL,     -- JSON: how many symbols each stage kept
    context  TEXT NOT NULL      -- JSON: benchmark, breadth, regime at the time
) STRICT;
CREATE INDEX scans_session ON scans (session);

CREATE TABLE candidates (
    id            TEXT PRIMARY KEY,  -- symbol, minute, strategy
    scan_id       TEXT NOT NULL REFERENCES scans (id) DEFERRABLE INITIALLY DEFERRED,
    session       TEXT NOT NULL,
    at            TEXT NOT NULL,
    strategy      TEXT NOT NULL,
    symbol        TEXT NOT NULL,
    cap           TEXT,
    price         REAL,              -- when it was scanned
    score         REAL,              -- 0 to 20
    passed        INTEGER NOT NULL CHECK (passed IN (0, 1)),
    reject_reason TEXT,              -- the filter that said no
    because       TEXT NOT NULL,     -- the sentence
    features      TEXT NOT NULL,     -- JSON: name to number
    stop_price    REAL,              -- the signal's own levels
    target_price  REAL,
    return_1d     REAL,              -- what happened after: filled in by jobs outcomes
    return_3d     REAL,
    return_5d     REAL,
    return_10d    REAL,
    max_gain      REAL,
    max_drawdown  REAL
) STRICT;
CREATE INDEX candidates_scan ON candidates (scan_id);
CREATE INDEX candidates_session ON candidates (session, symbol);

CREATE TABLE rejects (
    scan_id  TEXT PRIMARY KEY REFERENCES scans (id) DEFERRABLE INITIALLY DEFERRED,
    session  TEXT NOT NULL,
    at       TEXT NOT NULL,
    strategy TEXT NOT NULL,
    n        INTEGER NOT NULL,  -- how many candidates
    data     BLOB NOT NULL      -- candidates without a score (first stage), deflated JSON: rows would be 5,000 a scan
) STRICT;
CREATE INDEX rejects_session ON rejects (session);

CREATE TABLE market_snapshots (
    at         TEXT PRIMARY KEY,
    benchmark  TEXT NOT NULL,
    price      REAL,
    trend      REAL,              -- price / SMA20 - 1
    sma20      REAL,
    volatility REAL,              -- of 20 days
    breadth    REAL,              -- share of the universe above yesterday's close
    regime     TEXT NOT NULL,     -- up, sideways, down, dead, unknown
    stale      INTEGER NOT NULL CHECK (stale IN (0, 1))  -- 1: no visible benchmark bar that day
) STRICT;
"""

FORGOTTEN = "rejects_without_features"  # in meta: scans before this time have been swept
BOUGHT = """SELECT d.candidate_id FROM decisions d JOIN orders o ON o.decision_id = d.id
    WHERE d.session = ? AND d.candidate_id IS NOT NULL AND o.filled_qty > 0"""
OUTCOMES = ("return_1d", "return_3d", "return_5d", "return_10d", "max_gain", "max_drawdown")


class Scans(Table[Scan]):
    """One row per (strategy, cap, type, minute)."""

    name = "scans"
    kind = Scan


class Snapshots(Table[MarketSnapshot]):
    """The market as the scans saw it."""

    name = "market_snapshots"
    kind = MarketSnapshot
    key = "at"

    def latest(self, at: datetime) -> MarketSnapshot | None:
        """The last one at or before `at`."""
        found = self._where("at <= ?", [time_text(at)], limit=1)
        return found[0] if found else None


class Candidates(Table[Candidate]):
    """What scans found. Those that the first stage rejected (no score) are kept as one blob per scan."""

    name = "candidates"
    kind = Candidate

    def add_many(self, records: Iterable[Candidate]) -> int:
        """Write candidates down in one transaction; how many were new."""
        rows: list[Candidate] = []
        blobs: list[Candidate] = []
        for record in records:
            (rows if record.passed or record.score is not None else blobs).append(record)
        with self._store.transaction():
            return super().add_many(rows) + self._add_rejects(blobs)

    def get(self, id: str) -> Candidate | None:
        """A candidate by id, also one that the first stage rejected."""
        found = super().get(id)
        if found is not None:
            return found
        sql = (
            "SELECT data FROM rejects "
            "WHERE instr(?, replace(replace(substr(at, 1, 16), '-', ''), ':', '') || '-' || strategy) > 0"
        )
        found_in = (record for (data,) in self._db.rows(sql, [id]) for record in _unpack(data))
        return next((record for record in found_in if record.id == id), None)

    def of_scan(self, scan_id: str, *, rejected: bool = True) -> list[Candidate]:
        """A scan's candidates in the order they were written; without those that did not pass if not `rejected`."""
        if not rejected:
            return self._where("scan_id = ? AND passed = 1", [scan_id])
        data = self._db.value("SELECT data FROM rejects WHERE scan_id = ?", [scan_id])
        return self._where("scan_id = ?", [scan_id]) + (_unpack(data) if data else [])

    def undecided(self, session: date, types: Sequence[str] | None) -> list[Candidate]:
        """Candidates of a session that passed and have no decision; of scans of these types (None: all)."""
        sql = (
            "session = ? AND passed = 1 AND id NOT IN "
            "(SELECT candidate_id FROM decisions WHERE session = ? AND candidate_id IS NOT NULL)"
        )
        values: list[str] = [session.isoformat(), session.isoformat()]
        if types is not None:
            marks = ", ".join("?" * len(types))
            sql += f" AND scan_id IN (SELECT id FROM scans WHERE session = ? AND type IN ({marks}))"
            values += [session.isoformat(), *types]
        return self._where(sql, values)

    def found(
        self,
        *,
        rejected: bool = False,
        scan_id: str | None = None,
        session: date | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
    ) -> list[Candidate]:
        """What passed, and with `rejected` what did not, those of the first stage too; oldest scan first."""
        where, values = self._filters(session, symbol, since, until, as_of)
        if scan_id is not None:
            where, values = " AND ".join(filter(None, [where, "scan_id = ?"])), [*values, scan_id]
        if not rejected:
            return self._where(" AND ".join(filter(None, [where, "passed = 1"])), values)
        return sorted(
            self._where(where, values) + self._first_stage(scan_id, session, symbol, since, until, as_of),
            key=lambda record: record.at,
        )

    def rejected(
        self, *, session: date | None = None, symbol: str | None = None, as_of: datetime | None = None
    ) -> list[Candidate]:
        """What the first stage rejected (those have no row of their own), oldest scan first."""
        return self._first_stage(None, session, symbol, None, None, as_of)

    def _first_stage(
        self,
        scan_id: str | None,
        session: date | None,
        symbol: str | None,
        since: datetime | None,
        until: datetime | None,
        as_of: datetime | None,
    ) -> list[Candidate]:
        where, values = self._filters(session, None, since, until, as_of)
        if scan_id is not None:
            where, values = " AND ".join(filter(None, [where, "scan_id = ?"])), [*values, scan_id]
        sql = "SELECT data FROM rejects" + (f" WHERE {where}" if where else "") + " ORDER BY at, rowid"
        found = [record for (data,) in self._db.rows(sql, values) for record in _unpack(data)]
        return [record for record in found if symbol is None or record.symbol == symbol]

    def set_outcome(self, id: str, **returns: float | None) -> None:
        """Write down what happened after a candidate: return_1d, ..., max_gain, max_drawdown."""
        columns = ", ".join(f"{name} = ?" for name in returns)
        values = [self._codec.value(name, value) for name, value in returns.items()]
        self._write(f"UPDATE candidates SET {columns} WHERE id = ?", [*values, id])

    def set_outcomes(self, records: Sequence[Candidate]) -> int:
        """Write down what happened after these candidates, those of the first stage too; how many were changed."""
        columns = ", ".join(f"{name} = ?" for name in OUTCOMES)
        first_stage: dict[str, dict[str, Candidate]] = {}
        rows = []
        for record in records:
            if record.passed or record.score is not None:
                rows.append([*(self._codec.value(name, getattr(record, name)) for name in OUTCOMES), record.id])
            else:
                first_stage.setdefault(record.scan_id, {})[record.id] = record
        with self._store.transaction(low=True):
            n = self._db.run_many(f"UPDATE candidates SET {columns} WHERE id = ?", rows) if rows else 0
            for scan_id, changed in first_stage.items():
                data = self._db.value("SELECT data FROM rejects WHERE scan_id = ?", [scan_id])
                found = [changed.get(record.id, record) for record in _unpack(data)] if data else []
                n += len(changed) if found else 0
                self._db.run("UPDATE rejects SET data = ? WHERE scan_id = ?", [_pack(found), scan_id])
        return n

    def forget_features(self, before: datetime, *, count_only: bool = False) -> int:
        """Empty the features of first-stage rejects of scans before `before`; how many candidates had any.

        What was bought keeps them. A scan is looked through once: `meta` holds how far that has come. Blobs are
        packed outside of the transaction and left alone where somebody else has changed them meanwhile.
        """
        since = self._db.value("SELECT value FROM meta WHERE key = ?", [FORGOTTEN]) or ""
        sql = "SELECT scan_id, session FROM rejects WHERE at >= ? AND at < ? ORDER BY at"
        had = 0
        for scan_id, session in self._db.rows(sql, [since, time_text(before)]):
            data = self._db.value("SELECT data FROM rejects WHERE scan_id = ?", [scan_id])
            found, kept = _unpack(data), {id for (id,) in self._db.rows(BOUGHT, [session])}
            full = {record.id for record in found if record.features} - kept
            had += len(full)
            if full and not count_only:
                new = [msgspec.structs.replace(r, features={}) if r.id in full else r for r in found]
                with self._store.transaction(low=True):
                    values = [_pack(new), scan_id, data]
                    self._db.run("UPDATE rejects SET data = ? WHERE scan_id = ? AND data = ?", values)
        if not count_only and time_text(before) > since:
            with self._store.transaction(low=True):
                self._db.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [FORGOTTEN, time_text(before)])
        return had

    def _add_rejects(self, records: Sequence[Candidate]) -> int:
        scans: dict[str, list[Candidate]] = {}
        for record in records:
            scans.setdefault(record.scan_id, []).append(record)
        sql = (
            "INSERT INTO rejects (scan_id, session, at, strategy, n, data) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (scan_id) DO NOTHING"
        )
        new = 0
        for scan_id, found in scans.items():
            first = found[0]
            values = (scan_id, first.session.isoformat(), time_text(first.at), first.strategy, len(found), _pack(found))
            new += len(found) if self._db.run(sql, values) else 0
        return new


def _pack(records: Sequence[Candidate]) -> bytes:
    return zlib.compress(msgspec.json.encode(records), 1)


def _unpack(data: bytes) -> list[Candidate]:
    return msgspec.json.decode(zlib.decompress(data), type=list[Candidate])
