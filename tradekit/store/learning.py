"""What the desk learns about itself: a row a session, what track saw, trades that reversed, symbols put aside."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from tradekit.model import Performance, PoorSignal, PositionCheck, Watched
from tradekit.store.rows import time_text
from tradekit.store.scans import Candidates
from tradekit.store.table import Table, Writes

SCHEMA = """
CREATE TABLE performance (
    session          TEXT PRIMARY KEY,
    at               TEXT NOT NULL,
    equity           REAL,           -- of the account
    desk_equity      REAL,           -- NULL: some price was unknown
    cash             REAL NOT NULL,
    exposure         REAL NOT NULL,
    exposure_pct     REAL,           -- fraction of desk equity
    positions        INTEGER NOT NULL,
    pnl              REAL,           -- of the session, realised and open, after fees
    pnl_pct          REAL,           -- fraction
    realized         REAL NOT NULL,  -- net of the trades that closed in it
    fees             REAL NOT NULL,  -- of its fills
    flow             REAL NOT NULL,  -- deposits less withdrawals
    trades           INTEGER NOT NULL,
    wins             INTEGER NOT NULL,
    drawdown         REAL,           -- fraction below the highest growth of returns so far
    benchmark        TEXT,
    benchmark_close  REAL,
    benchmark_return REAL,           -- fraction, close to close
    rebuilt          INTEGER NOT NULL CHECK (rebuilt IN (0, 1))  -- 1: made later, from books and bars
) STRICT;

CREATE TABLE position_checks (
    id             TEXT PRIMARY KEY,  -- position and minute
    position_id    TEXT NOT NULL,
    symbol         TEXT NOT NULL,
    session        TEXT NOT NULL,
    at             TEXT NOT NULL,
    price          REAL,
    high           REAL,              -- of bars that began after the entry
    low            REAL,
    high_at        TEXT,              -- end of the bar that made the high
    mfe            REAL,              -- fraction of the entry price
    mae            REAL,
    unrealized     REAL,
    stop_price     REAL,              -- the level in force then
    reversal_score INTEGER,
    signs          TEXT               -- names of the signs that made the score
) STRICT;
CREATE INDEX position_checks_position ON position_checks (position_id, at);
CREATE INDEX position_checks_at ON position_checks (at);

CREATE TABLE poor_signals (
    id             TEXT PRIMARY KEY,  -- of the trade
    symbol         TEXT NOT NULL,
    strategy       TEXT,
    session        TEXT NOT NULL,
    at             TEXT NOT NULL,     -- of the exit
    entry_because  TEXT NOT NULL,
    exit_because   TEXT NOT NULL,
    score          REAL,              -- of the candidate, 0 to 20
    reversal_score INTEGER,
    hold_s         INTEGER NOT NULL,
    net            REAL NOT NULL,
    return_pct     REAL,
    features       TEXT NOT NULL,     -- JSON: of the candidate
    pattern        TEXT NOT NULL      -- the parts of the reversal
) STRICT;
CREATE INDEX poor_signals_session ON poor_signals (session);

CREATE TABLE watched (
    symbol  TEXT PRIMARY KEY,
    at      TEXT NOT NULL,
    session TEXT NOT NULL,
    by      TEXT NOT NULL,
    because TEXT NOT NULL
) STRICT;
"""


class Days(Table[Performance]):
    """One row a session: what the metrics are made of."""

    name = "performance"
    kind = Performance
    time = "session"
    key = "session"

    def on(self, session: date) -> Performance | None:
        """The row of a session, None without one."""
        return self.get(session.isoformat())

    def between(self, first: date | None, last: date | None) -> list[Performance]:
        """Rows from `first` to `last`, both included, oldest first; None leaves an end open."""
        where = ["session >= ?" if first else "", "session <= ?" if last else ""]
        values = [day.isoformat() for day in (first, last) if day]
        return self._where(" AND ".join(part for part in where if part), values)

    def before(self, session: date) -> Performance | None:
        """The last row of the sessions before this one."""
        found = self._where("session < ?", [session.isoformat()], limit=1)
        return found[0] if found else None

    def save(self, *rows: Performance) -> None:
        """Write rows of sessions down, over their old ones."""
        c = self._codec
        for row in rows:
            self._write(f"INSERT OR REPLACE INTO performance ({c.columns}) VALUES ({c.marks})", c.row(row))


class PositionChecks(Table[PositionCheck]):
    """What track saw, half hour by half hour."""

    name = "position_checks"
    kind = PositionCheck

    def of(self, position_id: str) -> list[PositionCheck]:
        """The checks of a position, oldest first."""
        return self._where("position_id = ?", [position_id])


class PoorSignals(Table[PoorSignal]):
    """Trades that a reversal ended."""

    name = "poor_signals"
    kind = PoorSignal


class ByHand(Table[Watched]):
    """Symbols that somebody watches."""

    name = "watched"
    kind = Watched
    key = "symbol"

    def put(self, row: Watched) -> None:
        """Watch a symbol; one that is watched gets the new reason."""
        c = self._codec
        self._write(f"INSERT OR REPLACE INTO watched ({c.columns}) VALUES ({c.marks})", c.row(row))

    def remove(self, symbol: str) -> bool:
        """Watch a symbol no longer. False: it was not on the list."""
        return self._write("DELETE FROM watched WHERE symbol = ?", [symbol]) == 1


class Swept(NamedTuple):
    """What a cleanup takes from one table."""

    what: str
    rows: int


UNTRADED = """SELECT c.id FROM candidates c WHERE c.at < ? AND c.features <> '{}' AND NOT EXISTS (
    SELECT 1 FROM decisions d JOIN orders o ON o.decision_id = d.id
    WHERE d.candidate_id = c.id AND o.filled_qty > 0)"""
SWEEPS: tuple[tuple[str, str, str], ...] = (
    (
        "position checks",
        "SELECT count(*) FROM position_checks WHERE at < ?",
        "DELETE FROM position_checks WHERE at < ?",
    ),
    (
        "run rows",
        "SELECT count(*) FROM runs WHERE started_at < ? AND ended_at IS NOT NULL",
        "DELETE FROM runs WHERE started_at < ? AND ended_at IS NOT NULL",
    ),
    (
        "features of untraded candidates",
        f"SELECT count(*) FROM ({UNTRADED})",
        f"UPDATE candidates SET features = '{{}}' WHERE id IN ({UNTRADED})",
    ),
)


REJECTED = "features of first-stage rejects"


class Cleanup:
    """The only deletions there are: never orders, fills, trades, decisions, adjustments or daily rows."""

    def __init__(self, store: Writes) -> None:
        self._store = store
        self._db = store.db
        self._candidates = Candidates(store)

    def count(self, before: datetime) -> list[Swept]:
        """What `sweep` would take."""
        found = [Swept(what, int(self._db.value(sql, [time_text(before)]))) for what, sql, _ in self._sweeps()]
        return [*found, Swept(REJECTED, self._candidates.forget_features(before, count_only=True))]

    def sweep(self, before: datetime) -> list[Swept]:
        """Take what is older than `before`; each table in a transaction of its own, so that exits get through."""
        found = []
        for what, _, sql in self._sweeps():
            with self._store.transaction(low=True):
                found.append(Swept(what, self._db.run(sql, [time_text(before)])))
        return [*found, Swept(REJECTED, self._candidates.forget_features(before))]

    def _sweeps(self) -> Sequence[tuple[str, str, str]]:
        """Those above, and the notices that were sent, where the desk keeps notices."""
        columns = {row[1] for row in self._db.rows("PRAGMA table_info(notices)")}
        if "sent_at" not in columns:
            return SWEEPS
        where = "FROM notices WHERE sent_at < ?"
        return (*SWEEPS, ("sent notices", f"SELECT count(*) {where}", f"DELETE {where}"))
