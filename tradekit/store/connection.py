"""The one place that opens desk.db: settings set and read back, errors in tradekit's words.

Statements fetch everything and close before anybody works with the rows: in TRUNCATE mode an open read
keeps every writer from committing.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tradekit.errors import Busy, StoreError
from tradekit.store.filesystem import is_network

APPLICATION_ID = 0x74726B31  # "trk1"
BUSY_MS = 5000
SYNCHRONOUS = {"OFF": 0, "NORMAL": 1, "FULL": 2}

Row = tuple[Any, ...]


class DiskError(StoreError):
    """The disk or the file failed under a statement: whoever wrote does not know what is on it, and must not go on."""


def journal_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> str:
    """`wal` where the linked SQLite cannot lose commits in a WAL reset, else `truncate`."""
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    return "wal" if fixed else "truncate"


class Db:
    """A connection that fetches and closes, and raises StoreError or Busy instead of sqlite3's errors."""

    def __init__(self, raw: sqlite3.Connection, path: Path) -> None:
        self.raw = raw
        self.path = path
        self._busy_ms = BUSY_MS

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        try:
            return self.raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, None without one. The query says LIMIT 1 where it could find many."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row; None without one."""
        found = self.rows(sql, values)
        return found[0][0] if found else None

    def state(self) -> tuple[int, int] | None:
        """Equal as long as nobody has changed the file; None inside a transaction, which may be undone."""
        if self.raw.in_transaction:
            return None
        return self.raw.total_changes, int(self.value("PRAGMA data_version"))

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; how many rows it changed."""
        try:
            return self.raw.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run one statement for each row; how many rows they changed."""
        try:
            return self.raw.executemany(sql, rows).rowcount
        except sqlite3.Error as error:
            raise translated(error, self.path) from error

    def insert(self, table: str, names: Sequence[str], columns: Sequence[Sequence[Any]]) -> int:
        """Insert rows that are given as columns. What a column says all the way down stands in the statement: binding
        it for each row, above all a None, costs more than writing it.
        """
        if not columns or not columns[0]:
            return 0
        texts, bound = [], []
        for column in columns:
            text = _constant(column)
            texts.append(text or "?")
            if text is None:
                bound.append(column)
        if not bound:  # how many rows there are, a bound column says
            texts[0], bound = "?", [columns[0]]
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(texts)})"
        return self.run_many(sql, zip(*bound, strict=True))

    def patience(self, seconds: float) -> None:
        """How long a statement waits for a lock that another program holds."""
        wanted = max(1, int(1000 * seconds))
        if wanted != self._busy_ms:
            self.run(f"PRAGMA busy_timeout = {wanted}")
            self._busy_ms = wanted

    def script(self, sql: str) -> None:
        """Run statements inside the transaction that is open (sqlite3's executescript would commit it)."""
        statement = ""
        for line in sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                self.run(statement)
                statement = ""
        if statement.strip():
            self.run(statement)

    def backup(self, target: sqlite3.Connection) -> None:
        """Copy everything into another open connection, in one step."""
        self.raw.backup(target)

    def close(self) -> None:
        self.raw.close()


def connect(path: Path, *, create: bool = False, readonly: bool = False, synchronous: str = "FULL") -> Db:
    """Open a file with the settings of every connection. Raises StoreError.

    `readonly` is SQLite's query_only: a reader must still be able to roll back what a killed writer left.
    """
    mode = "rwc" if create else "rw"
    try:
        raw = sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_MS / 1000
        )
    except sqlite3.Error as error:
        raise translated(error, path) from error
    db = Db(raw, path)
    try:
        _settle(db, readonly=readonly, synchronous=synchronous)
    except BaseException:
        db.close()
        raise
    return db


def _settle(db: Db, *, readonly: bool, synchronous: str) -> None:
    wanted: dict[str, int | str] = {
        "foreign_keys": 1,
        "busy_timeout": BUSY_MS,
        "synchronous": SYNCHRONOUS[synchronous],
        "trusted_schema": 0,
        "cell_size_check": 1,  # a damaged page is met when it is read, not when it has done harm
    }
    if readonly:
        wanted["query_only"] = 1
    else:
        wanted["journal_mode"] = _journal_for(db.path)
    for name, value in wanted.items():
        db.rows(f"PRAGMA {name} = {value}")
        found = db.value(f"PRAGMA {name}")
        if found != value:  # a failed sync while switching once kept the old journal mode silently
            raise StoreError(
                f"{db.path}: {name} is {found}, not {value}", "check the disk and the permissions, then try again"
            )


def _journal_for(path: Path) -> str:
    mode = journal_mode()
    return "truncate" if mode == "wal" and is_network(path) else mode  # WAL needs memory that hosts do not share


def translated(error: sqlite3.Error, path: Path) -> StoreError | Busy:
    """What an sqlite3 error means to the person who runs the desk."""
    text = str(error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{path.name}: {text}", "another program keeps it locked; try again")
    hints = {
        sqlite3.SQLITE_CORRUPT: "tradekit doctor, which names the newest good backup",
        sqlite3.SQLITE_NOTADB: f"{path} is damaged or not a database: tradekit doctor names the newest good backup",
        sqlite3.SQLITE_READONLY: f"make {path} and its folder writable",
        sqlite3.SQLITE_CANTOPEN: f"make {path} and its folder readable and writable",
        sqlite3.SQLITE_FULL: f"free some space on the disk of {path}",
        sqlite3.SQLITE_IOERR: f"check the disk of {path} (dmesg), then: tradekit doctor",
    }
    if code in hints:
        return DiskError(f"{path.name}: {text}", hints[code])
    return StoreError(f"{path.name}: {text}")


def _constant(column: Sequence[Any]) -> str | None:
    """The SQL of the one value that a column holds; None where it holds several, or one that SQL spells differently."""
    value = column[0]
    if column[-1] != value or len(column) == 1:
        return None
    text = None
    if value is None:
        text = "NULL"
    elif type(value) is int:
        text = str(value)
    elif type(value) is str and len(value) <= 100 and "\0" not in value:  # a statement has a longest length
        text = "'" + value.replace("'", "''") + "'"
    return text if text is not None and column.count(value) == len(column) else None
