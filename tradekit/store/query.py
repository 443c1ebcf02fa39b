"""Somebody else's SQL: read-only, on a private copy, bounded in time, rows and bytes.

A copy because an open read keeps the desk from committing; an authorizer because opening a file read-only alone
still lets ATTACH and VACUUM INTO create files.
"""

import sqlite3
from pathlib import Path
from typing import Any

from tradekit.base.interrupts import shielded, signalled
from tradekit.clock import SystemClock
from tradekit.errors import UsageError
from tradekit.model import Record
from tradekit.store.backup import snapshot
from tradekit.store.connection import translated

LONGEST_SQL = 100_000
LONGEST_VALUE = 10_000_000
HEAP_BYTES = 256 * 1024 * 1024
_STEPS = 10_000  # of SQLite's machine between two looks at the clock
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_FORBIDDEN = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}


class Answer(Record, frozen=True, kw_only=True):
    """Rows by column name; `more` where the row limit cut them off."""

    rows: list[dict[str, Any]]
    columns: list[str]
    more: bool


def query(path: Path, sql: str, *, limit: int = 1000, timeout_s: float = 10.0) -> Answer:
    """Run one SELECT over a copy of a database.

    UsageError with SQLite's own words for anything that is not one allowed SELECT, and where time runs out.
    StoreError where the file cannot be read.
    """
    if not sql.strip():
        raise UsageError("there is no SQL", 'tradekit sql "SELECT * FROM orders"')
    db = _open(path)
    clock = SystemClock()
    deadline = clock.monotonic() + timeout_s
    failed: Exception | None = None
    try:
        with shielded():  # SQLite swallows what a signal raises in its callback: Ctrl-C would look like a time limit
            try:
                _fence(db)
                db.set_progress_handler(lambda: signalled() or clock.monotonic() > deadline, _STEPS)
                found = db.execute(sql)
                rows = found.fetchmany(limit + 1)
                names = _names([column[0] for column in found.description or ()])
            except (sqlite3.Error, sqlite3.Warning) as error:
                failed = error
    finally:
        db.close()
    if failed is not None:
        raise _refused(failed, timeout_s)
    shown = [{name: _value(value) for name, value in zip(names, row, strict=True)} for row in rows[:limit]]
    return Answer(rows=shown, columns=names, more=len(rows) > limit)


def _open(path: Path) -> sqlite3.Connection:
    for attempt in (1, 2):
        copy = snapshot(path)
        try:
            db = sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
            db.execute("SELECT count(*) FROM sqlite_master").fetchall()
            return db
        except sqlite3.Error as error:  # a newer copy may have replaced this one between the two lines
            if attempt == 2:
                raise translated(error, path) from error
    raise AssertionError


def _fence(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA hard_heap_limit = {HEAP_BYTES}").fetchall()
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA trusted_schema = 0")
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_SQL)
    db.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
    db.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, database: str | None, inner: str | None) -> int:
    if action not in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _refused(error: Exception, timeout_s: float) -> UsageError:
    text = str(error)
    if text == "interrupted":
        return UsageError(f"sql: stopped after {timeout_s:g} s", "ask for less, or --timeout SECONDS")
    if "not authorized" in text or "prohibited" in text:
        return UsageError(f"sql: {text}", "only SELECT is allowed here")
    return UsageError(f"sql: {text}", "docs/schema.md lists tables and columns")


def _names(names: list[str]) -> list[str]:
    """Column names, each once: a second `id` becomes `id:2`."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return unique


def _value(value: Any) -> Any:
    return f"<{len(value)} bytes>" if isinstance(value, bytes) else value
