"""What happened around the trading: runs, events, slots, halts, account rows, strategies' memory."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tradekit.errors import StoreError
from tradekit.model import Account, Adjustment, Event, Halt, Run, Slot
from tradekit.money import dec
from tradekit.store.connection import Db
from tradekit.store.rows import json_of, json_text, time_of, time_text
from tradekit.store.table import Table, Writes

SCHEMA = """
CREATE TABLE runs (
    id            TEXT PRIMARY KEY,  -- second and command
    command       TEXT NOT NULL,
    argv          TEXT NOT NULL,     -- redacted
    started_at    TEXT NOT NULL,
    ended_at      TEXT,              -- NULL: at work, or killed
    exit_code     INTEGER,
    counts        TEXT NOT NULL,     -- JSON
    clock         TEXT NOT NULL,     -- system, virtual or scaled
    code_version  TEXT NOT NULL,
    settings_hash TEXT NOT NULL
) STRICT;
CREATE INDEX runs_started ON runs (started_at);
CREATE INDEX runs_command ON runs (command, started_at);

CREATE TABLE events (
    id      TEXT PRIMARY KEY,
    at      TEXT NOT NULL,
    session TEXT,
    run_id  TEXT,              -- no foreign key: an event is never refused
    kind    TEXT NOT NULL,     -- alert.* is for a human
    symbol  TEXT,
    ref     TEXT,              -- id of what it is about
    data    TEXT NOT NULL      -- JSON
) STRICT;
CREATE INDEX events_at ON events (at);
CREATE INDEX events_session ON events (session, kind);
CREATE INDEX events_ref ON events (ref);

CREATE TABLE slots (
    name    TEXT NOT NULL,
    session TEXT NOT NULL,
    due_at  TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'missed', 'skipped')),
    run_id  TEXT,
    PRIMARY KEY (name, due_at)  -- each slot runs once at each of its times, or is recorded as missed
) STRICT;

CREATE TABLE halts (
    id         TEXT PRIMARY KEY,
    at         TEXT NOT NULL,
    kind       TEXT NOT NULL,     -- manual, daily-loss, drawdown, consecutive-losses, reject-streak
    reason     TEXT NOT NULL,
    flatten    INTEGER NOT NULL CHECK (flatten IN (0, 1)),
    by         TEXT NOT NULL,
    cleared_at TEXT,              -- NULL: in force
    session    TEXT
) STRICT;
CREATE INDEX halts_open ON halts (id) WHERE cleared_at IS NULL;

CREATE TABLE account (
    at            TEXT PRIMARY KEY,
    equity        REAL,           -- NULL: some price was unknown
    cash          REAL NOT NULL,
    buying_power  REAL NOT NULL,
    desk_equity   REAL,
    exposure      REAL NOT NULL,
    exposure_pct  REAL,           -- fraction of desk equity
    positions     INTEGER NOT NULL,
    daily_pnl     REAL,
    daily_pnl_pct REAL,
    peak_equity   REAL,
    drawdown      REAL,           -- fraction below the peak
    session       TEXT
) STRICT;
CREATE INDEX account_session ON account (session);

CREATE TABLE adjustments (
    id      TEXT PRIMARY KEY,
    at      TEXT NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('deposit', 'withdrawal', 'dividend', 'interest', 'fee', 'split',
                'cash-in-lieu', 'correction', 'adopt', 'release', 'external', 'hold')),  -- hold: foreign shares
    symbol  TEXT,
    qty     REAL,                 -- of a split the factor: 4 is four for one
    amount  REAL,                 -- money; of an adopt what the shares cost in all
    ref     TEXT,                 -- the broker's id of it
    session TEXT NOT NULL,        -- the UTC date where nobody named one
    opens   TEXT                  -- JSON: what it opens when it comes first
) STRICT;
CREATE INDEX adjustments_symbol ON adjustments (symbol, at);
CREATE INDEX adjustments_at ON adjustments (at);

CREATE TABLE strategy_state (
    name TEXT PRIMARY KEY,        -- of the strategy
    data TEXT NOT NULL            -- JSON
) STRICT;
"""


class Runs(Table[Run]):
    """One row per command that could change something."""

    name = "runs"
    kind = Run
    remembered = 1024
    time = "started_at"

    def start(self, run: Run) -> Run:
        """Write a run down. A second one of the same second gets `-2` behind its id: use what comes back."""
        base, n = run.id, 2
        with self._store.transaction():
            while self.get(run.id) is not None:
                run, n = msgspec.structs.replace(run, id=f"{base}-{n}"), n + 1
            self.add(run)
        return run

    def finish(self, id: str, ended_at: datetime, exit_code: int, counts: dict[str, int]) -> None:
        """Write down how a run ended."""
        sql = "UPDATE runs SET ended_at = ?, exit_code = ?, counts = ? WHERE id = ?"
        self._write(sql, [time_text(ended_at), exit_code, json_text(counts), id])

    def unfinished(self, command: str | None = None) -> list[Run]:
        """Runs (of a command) that have not ended: at work, or killed."""
        if command is None:
            return self._where("ended_at IS NULL")
        return self._where("ended_at IS NULL AND command = ?", [command])

    def last_of_each(self) -> list[Run]:
        """The newest run of every command."""
        sql = "rowid IN (SELECT rowid FROM (SELECT rowid, max(started_at) FROM runs GROUP BY command))"
        return self._where(sql)


class Events(Table[Event]):
    """What happened, in the order it was written."""

    name = "events"
    kind = Event

    def alerts(self, since: datetime | None = None, **filters: Any) -> list[Event]:
        """Events that a human must see."""
        return [e for e in self.all(since=since, **filters) if e.kind.startswith("alert.")]

    def about(self, ref: str) -> list[Event]:
        """Events about an id."""
        return self._where("ref = ?", [ref])


class Slots(Table[Slot]):
    """The schedule as it was run."""

    name = "slots"
    kind = Slot
    remembered = 1024
    time = "due_at"
    key = "name, due_at"

    def get(self, name: str, session: date | None = None) -> Slot | None:  # a slot has two keys
        """A slot of a session; without one the newest of that name."""
        where, values = ("name = ? AND session = ?", [name, session.isoformat()]) if session else ("name = ?", [name])
        found = self._where(where, values, limit=1)
        return found[0] if found else None

    def save(self, slot: Slot) -> None:
        """Write a slot down, over its old state."""
        c = self._codec
        sql = (
            f"INSERT INTO slots ({c.columns}) VALUES ({c.marks}) ON CONFLICT (name, due_at) "
            "DO UPDATE SET session = excluded.session, state = excluded.state, run_id = excluded.run_id"
        )
        self._write(sql, c.row(slot))

    def on(self, session: date) -> list[Slot]:
        """The slots of a session in the order they were due."""
        return self._where("session = ?", [session.isoformat()])

    def last_done(self, since: date, until: datetime) -> dict[str, datetime]:
        """By slot, the latest due time at which it succeeded, of the sessions from `since` on."""
        sql = "SELECT name, max(due_at) FROM slots WHERE state = 'done' AND session >= ? AND due_at <= ? GROUP BY name"
        rows = self._db.rows(sql, [since.isoformat(), time_text(until)])
        return {name: time_of(at) for name, at in rows}

    def missed(self, session: date, until: datetime) -> dict[str, int]:
        """By slot, how many of its times in a session were missed."""
        sql = "SELECT name, count(*) FROM slots WHERE state = 'missed' AND session = ? AND due_at <= ? GROUP BY name"
        return dict(self._db.rows(sql, [session.isoformat(), time_text(until)]))


class Halts(Table[Halt]):
    """Why nothing may be bought."""

    name = "halts"
    kind = Halt
    remembered = 1024

    def open(self) -> list[Halt]:
        """Halts in force."""
        return self._where("cleared_at IS NULL")

    def change(self, id: str, *, flatten: bool, reason: str) -> Halt:
        """Change what an open halt says; StoreError where there is none."""
        if self._write("UPDATE halts SET flatten = ?, reason = ? WHERE id = ?", [int(flatten), reason, id]) != 1:
            raise StoreError(f"there is no halt {id}", "tradekit status")
        found = self.get(id)
        assert found is not None
        return found

    def clear(self, id: str, at: datetime) -> None:
        """End a halt; one that has ended keeps its time."""
        self._write("UPDATE halts SET cleared_at = ? WHERE id = ? AND cleared_at IS NULL", [time_text(at), id])


class Accounts(Table[Account]):
    """The account as the desk saw it."""

    name = "account"
    kind = Account
    key = "at"

    def add(self, record: Account) -> bool:
        """Write a row down; a second one of the same instant replaces the first."""
        c = self._codec
        return self._write(f"INSERT OR REPLACE INTO account ({c.columns}) VALUES ({c.marks})", c.row(record)) == 1

    def latest(self, at: datetime | None = None) -> Account | None:
        """The newest row (at or before `at`)."""
        found = self.all(as_of=at, limit=1)
        return found[0] if found else None

    def latest_before(self, session: date) -> Account | None:
        """The last row of the sessions before this one."""
        found = self._where("session < ?", [session.isoformat()], limit=1)
        return found[0] if found else None

    def peak(self, since: datetime | None = None) -> Decimal | None:
        """The highest desk equity that was written down (at or after `since`); None without any."""
        sql = "SELECT max(desk_equity) FROM account WHERE at >= ?"
        value = self._db.value(sql, [time_text(since) if since else ""])
        return None if value is None else dec(value)


class Adjustments(Table[Adjustment]):
    """Quantities and money that came or went without a fill. Written by Store.book_adjustment only."""

    name = "adjustments"
    kind = Adjustment
    remembered = 1024


class StrategyState:
    """One JSON row for each strategy that needs memory."""

    def __init__(self, store: Writes) -> None:
        self._store = store
        self._db: Db = store.db

    def get(self, name: str) -> dict[str, Any]:
        """What a strategy remembered; {} before the first time."""
        text = self._db.value("SELECT data FROM strategy_state WHERE name = ?", [name])
        return dict(json_of(text)) if text else {}

    def set(self, name: str, data: dict[str, Any]) -> None:
        """Remember, over what was there."""
        sql = "INSERT OR REPLACE INTO strategy_state (name, data) VALUES (?, ?)"
        with self._store.transaction():
            self._db.run(sql, [name, json_text(data)])
