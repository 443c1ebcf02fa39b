"""What all tables have in common: the common words of the store, over one record type and one time column."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from typing import Any, ClassVar, Generic, Protocol

from tradekit.store.connection import Db, Row
from tradekit.store.rows import Codec, R, codec, time_text


class Writes(Protocol):
    """Who opens transactions: the Store."""

    db: Db
    aside: dict[str, int]

    def transaction(self, low: bool = False) -> AbstractContextManager[None]: ...


@contextmanager
def alone(store: Writes, table: str) -> Iterator[None]:
    """What is written inside changes this one table: lists that are not made of it stay as they were read."""
    before = store.db.raw.total_changes
    try:
        yield
    finally:
        store.aside[table] = store.aside.get(table, 0) + store.db.raw.total_changes - before


class Table(Generic[R]):
    """One table of records. Subclasses name it, its record, its time column and its key."""

    name: ClassVar[str]
    kind: type[R]
    time: ClassVar[str] = "at"
    key: ClassVar[str] = "id"
    made_of: ClassVar[tuple[str, ...]] = ()  # tables that are written alone and that the lists are made of too
    remembered: ClassVar[int] = 0  # rows that are kept as records: a pass, and the next one, asks for the same again

    def __init__(self, store: Writes) -> None:
        self._store = store
        self._db = store.db
        self._known: dict[Row, R] = {}
        self._lists: dict[str, tuple[tuple[int, int], list[R]]] = {}

    @property
    def _codec(self) -> Codec[R]:
        return codec(self.kind)

    def get(self, id: str) -> R | None:
        """The record of an id, None without one."""
        found = self._where(f"{self.key} = ?", [id])
        return found[0] if found else None

    def add(self, record: R) -> bool:
        """Write a record down. False: its id was there already, and nothing changed."""
        return self.add_many([record]) == 1

    def add_many(self, records: Iterable[R]) -> int:
        """Write records down in one transaction; how many were new."""
        c = self._codec
        sql = f"INSERT INTO {self.name} ({c.columns}) VALUES ({c.marks}) ON CONFLICT ({self.key}) DO NOTHING"
        rows = c.rows(records)
        if not rows:
            return 0
        with self._store.transaction():
            return self._db.run(sql, rows[0]) if len(rows) == 1 else self._db.run_many(sql, rows)

    def all(
        self,
        *,
        session: date | None = None,
        symbol: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        as_of: datetime | None = None,
    ) -> list[R]:
        """Records oldest first: since <= time < until, time <= as_of; `limit` keeps the newest ones."""
        where, values = self._filters(session, symbol, since, until, as_of)
        return self._where(where, values, limit=limit)

    def count(self) -> int:
        return int(self._db.value(f"SELECT count(*) FROM {self.name}"))

    def pages(self, size: int = 5000) -> Iterator[list[R]]:
        """All records in the order they were written, a page at a time; no read stays open between pages."""
        after = 0
        while True:
            sql = f"SELECT {self._codec.columns}, rowid FROM {self.name} WHERE rowid > ? ORDER BY rowid LIMIT {size}"
            rows = self._db.rows(sql, [after])
            if not rows:
                return
            after = rows[-1][-1]
            yield [self._codec.record(row) for row in rows]

    def _filters(
        self,
        session: date | None,
        symbol: str | None,
        since: datetime | None,
        until: datetime | None,
        as_of: datetime | None,
    ) -> tuple[str, list[Any]]:
        parts: list[tuple[str, Any]] = []
        if session is not None:
            parts.append(("session = ?", session.isoformat()))
        if symbol is not None:
            parts.append(("symbol = ?", symbol))
        if since is not None:
            parts.append((f"{self.time} >= ?", time_text(since)))
        if until is not None:
            parts.append((f"{self.time} < ?", time_text(until)))
        if as_of is not None:
            parts.append((f"{self.time} <= ?", time_text(as_of)))
        return " AND ".join(part for part, _ in parts), [value for _, value in parts]

    def _where(
        self, where: str, values: Sequence[Any] = (), *, limit: int | None = None, order: str | None = None
    ) -> list[R]:
        """Records of a condition, oldest first; `limit` keeps the last ones of that order."""
        order = order or f"{self.time}, rowid"
        sql = f"SELECT {self._codec.columns} FROM {self.name}" + (f" WHERE {where}" if where else "")
        if limit is None:
            rows = self._db.rows(f"{sql} ORDER BY {order}", values)
        else:
            backwards = ", ".join(f"{part.strip()} DESC" for part in order.split(","))
            rows = self._db.rows(f"{sql} ORDER BY {backwards} LIMIT {int(limit)}", values)[::-1]
        return self._records(rows)

    def _records(self, rows: Sequence[Row]) -> list[R]:
        """The records of rows; a row that was seen before is the record that it was then."""
        if not self.remembered:
            read = self._codec.record
            return [read(row) for row in rows]
        known = self._known
        if len(known) > self.remembered:
            known.clear()
        found = []
        for row in rows:
            record = known.get(row)
            if record is None:
                record = known[row] = self._record(row)
            found.append(record)
        return found

    def _kept(self, name: str, read: Callable[[], list[R]]) -> list[R]:
        """What `read` gives, read again only when the file has changed: a pass asks for the same list many times.

        What this connection wrote into tables that the list is not made of does not count.
        """
        found = self._db.state()  # before the rows: what changes in between is read again the next time
        if found is None:
            return read()
        state = found[0] - sum(n for table, n in self._store.aside.items() if table not in self.made_of), found[1]
        kept = self._lists.get(name)
        if kept is None or kept[0] != state:
            kept = self._lists[name] = state, read()
        return kept[1].copy()

    def _record(self, row: Row) -> R:
        return self._codec.record(row)

    def _write(self, sql: str, values: Sequence[Any]) -> int:
        with self._store.transaction():
            return self._db.run(sql, values)
