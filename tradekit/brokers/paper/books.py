"""paper.db, the exchange's side: orders, fills, the cash ledger, holdings, guards and closing equities.

Every change is one transaction under `paper.lock`; amounts are REAL of at most 15 digits, the cash balance is
kept as exact text. Times are UTC text of one width, so that they sort.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

from tradekit.base.locks import Lock
from tradekit.clock import parse_time
from tradekit.errors import StoreError
from tradekit.model import Side
from tradekit.money import ZERO, dec, real, wire

APPLICATION_ID = 0x746B7062  # "tkpb"
VERSION = 1
LOCK_WAIT_S = 10.0
WORKING = ("open", "partially_filled")

SCHEMA = (
    """CREATE TABLE meta (
        key   TEXT PRIMARY KEY,  -- account_id, currency, created_at, now (last time played), cash (exact), next_order
        value TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE orders (
        n INTEGER PRIMARY KEY,        -- arrival
        id TEXT NOT NULL UNIQUE,      -- P{n}
        client_order_id TEXT NOT NULL UNIQUE,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        qty REAL NOT NULL CHECK (qty > 0),
        type TEXT NOT NULL,
        tif TEXT NOT NULL,
        limit_price REAL,
        stop_price REAL,
        trail_pct REAL,
        extended_hours INTEGER NOT NULL,
        submitted_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,     -- when it happened on the tape
        changed_at TEXT NOT NULL,     -- when the engine knew it
        seen_to TEXT NOT NULL,        -- bars that start before this are behind the order
        expires_at TEXT,              -- NULL: good till cancelled
        cancel_at TEXT,
        settle_at TEXT,               -- when the cancel is final
        watermark REAL,
        triggered_at TEXT,
        reserve REAL NOT NULL,        -- price at which a buy holds cash
        filled_qty REAL NOT NULL CHECK (filled_qty >= 0 AND filled_qty <= qty),
        avg_price REAL,
        status TEXT NOT NULL CHECK (status IN ('open', 'partially_filled', 'filled', 'cancelled', 'expired')),
        raw_status TEXT NOT NULL,
        reason TEXT
    ) STRICT""",
    "CREATE INDEX orders_changed ON orders (changed_at)",
    """CREATE TABLE fills (
        id TEXT PRIMARY KEY,          -- {order}-{k}
        order_id TEXT NOT NULL REFERENCES orders (id),
        at TEXT NOT NULL,             -- a fill at a bar's open: its start; inside a bar: its end
        known_at TEXT NOT NULL,
        bar_start TEXT NOT NULL,
        session TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        qty REAL NOT NULL CHECK (qty > 0),
        price REAL NOT NULL CHECK (price > 0),
        fee REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX fills_order ON fills (order_id)",
    "CREATE INDEX fills_known ON fills (known_at)",
    "CREATE INDEX fills_bar ON fills (symbol, bar_start)",
    """CREATE TABLE ledger (
        n INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        known_at TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('deposit', 'withdrawal', 'hold', 'fill', 'fee', 'reset')),
        ref TEXT,                     -- the fill
        symbol TEXT,
        qty REAL,                     -- hold, reset: shares in (or out, below 0)
        amount REAL NOT NULL          -- cash in (or out, below 0)
    ) STRICT""",
    """CREATE TABLE holdings (
        symbol TEXT PRIMARY KEY,
        qty REAL NOT NULL CHECK (qty > 0),
        avg_price REAL                -- NULL: some of it came without a price
    ) STRICT""",
    """CREATE TABLE guards (
        symbol TEXT PRIMARY KEY,
        level REAL NOT NULL,
        touched INTEGER NOT NULL      -- 1: a bar reached it and the desk has not spoken since
    ) STRICT""",
    """CREATE TABLE closes (
        session TEXT PRIMARY KEY,
        equity REAL                   -- at the session's close; NULL: some price was unknown
    ) STRICT""",
)


@dataclass
class PaperOrder:
    """An order as the exchange sees it; the columns of `orders`."""

    n: int
    id: str
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    type: str
    tif: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_pct: Decimal | None
    extended_hours: bool
    submitted_at: datetime
    updated_at: datetime
    changed_at: datetime
    seen_to: datetime
    expires_at: datetime | None
    cancel_at: datetime | None
    settle_at: datetime | None
    watermark: Decimal | None
    triggered_at: datetime | None
    reserve: Decimal
    filled_qty: Decimal
    avg_price: Decimal | None
    status: str
    raw_status: str
    reason: str | None

    @property
    def remaining(self) -> Decimal:
        return self.qty - self.filled_qty

    @property
    def working(self) -> bool:
        return self.status in WORKING


@dataclass(frozen=True)
class PaperFill:
    """One execution; the columns of `fills`."""

    id: str
    order_id: str
    at: datetime
    known_at: datetime
    bar_start: datetime
    session: date
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal


@dataclass
class Holding:
    qty: Decimal
    avg_price: Decimal | None


@dataclass
class Guard:
    level: Decimal
    touched: bool


@dataclass
class State:
    """What the engine keeps in memory between calls; reloaded when another process has written."""

    now: datetime
    cash: Decimal
    next_order: int
    orders: list[PaperOrder] = field(default_factory=list)  # working ones, in arrival order
    holdings: dict[str, Holding] = field(default_factory=dict)
    guards: dict[str, Guard] = field(default_factory=dict)


_DECIMALS = {
    "qty", "limit_price", "stop_price", "trail_pct", "watermark", "reserve", "filled_qty", "avg_price", "price",
    "fee", "amount", "level", "equity",
}  # fmt: skip
_TIMES = {
    "submitted_at", "updated_at", "changed_at", "seen_to", "expires_at", "cancel_at", "settle_at", "triggered_at",
    "at", "known_at", "bar_start",
}  # fmt: skip
_ORDER_COLUMNS = tuple(f.name for f in fields(PaperOrder))
_values: Callable[[PaperOrder], tuple[object, ...]] = attrgetter(*_ORDER_COLUMNS)
_FILL_COLUMNS = tuple(f.name for f in fields(PaperFill))


class Books:
    """The file, its rows and its transactions. Raises StoreError for a missing, foreign or newer file."""

    def __init__(self, path: Path, *, create: bool, synchronous: str = "FULL") -> None:
        if not create and not path.exists():
            raise StoreError(f"{path}: there is no paper account here", "tradekit init")
        self.path = path
        self._lock = Lock(path.with_name("paper.lock"), wait_s=LOCK_WAIT_S, what="paper account", to_write=True)
        self._version_seen: int | None = None
        self._written: dict[int, tuple[object, ...]] = {}  # orders as they are in the file
        try:
            self._db = _connect(path, synchronous)
            self._check()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path}: {error}", "tradekit doctor") from error

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    @property
    def is_new(self) -> bool:
        """True until `found` has written the schema."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0]) == 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One write transaction under paper.lock; rolled back when the body raises."""
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StoreError(f"{self.path}: {error}", "tradekit doctor") from error

    def found(self, account_id: str, currency: str, at: datetime) -> None:
        """Write the schema and an empty account; inside a transaction."""
        for statement in SCHEMA:
            self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        for key, value in (
            ("account_id", account_id), ("currency", currency), ("created_at", stamp(at)), ("now", stamp(at)),
            ("cash", "0"), ("next_order", "1"),
        ):  # fmt: skip
            self._db.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (key, value))

    def changed_elsewhere(self) -> bool:
        """Has another connection committed since the last `load`?"""
        return bool(self._db.execute("PRAGMA data_version").fetchone()[0] != self._version_seen)

    def load(self) -> State:
        """The account as the file has it."""
        self._version_seen = self._db.execute("PRAGMA data_version").fetchone()[0]
        self._written.clear()
        meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        return State(
            now=parse_time(meta["now"]),
            cash=Decimal(meta["cash"]),
            next_order=int(meta["next_order"]),
            orders=self.orders("status IN ('open', 'partially_filled') ORDER BY n"),
            holdings={
                symbol: Holding(dec(qty), None if avg is None else dec(avg))
                for symbol, qty, avg in self._db.execute("SELECT symbol, qty, avg_price FROM holdings ORDER BY symbol")
            },
            guards={
                symbol: Guard(dec(level), bool(touched))
                for symbol, level, touched in self._db.execute("SELECT symbol, level, touched FROM guards")
            },
        )

    def save(self, state: State) -> None:
        """Time, cash and the working orders' progress; inside a transaction."""
        for key, value in (
            ("now", stamp(state.now)),
            ("cash", str(state.cash)),
            ("next_order", str(state.next_order)),
        ):
            self._db.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        for order in state.orders:
            if self._written.get(order.n) != _values(order):
                self.put_order(order)

    def meta(self, key: str) -> str:
        return str(self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])

    def put_order(self, order: PaperOrder) -> None:
        columns = ", ".join(_ORDER_COLUMNS)
        marks = ", ".join("?" * len(_ORDER_COLUMNS))
        changes = ", ".join(f"{name} = excluded.{name}" for name in _ORDER_COLUMNS[1:])
        sql = f"INSERT INTO orders ({columns}) VALUES ({marks}) ON CONFLICT (n) DO UPDATE SET {changes}"
        self._written[order.n] = values = _values(order)
        self._db.execute(sql, [_disk(value) for value in values])

    def orders(self, where: str, *values: object) -> list[PaperOrder]:
        """Orders by a condition of this package's own making."""
        sql = f"SELECT {', '.join(_ORDER_COLUMNS)} FROM orders WHERE {where}"
        return [PaperOrder(**_row(_ORDER_COLUMNS, row)) for row in self._db.execute(sql, values).fetchall()]

    def add_fill(self, fill: PaperFill) -> None:
        marks = ", ".join("?" * len(_FILL_COLUMNS))
        sql = f"INSERT INTO fills ({', '.join(_FILL_COLUMNS)}) VALUES ({marks})"
        self._db.execute(sql, [_disk(getattr(fill, name)) for name in _FILL_COLUMNS])

    def fills(self, where: str, *values: object) -> list[PaperFill]:
        """Fills by a condition of this package's own making."""
        sql = f"SELECT {', '.join(_FILL_COLUMNS)} FROM fills WHERE {where}"
        return [PaperFill(**_row(_FILL_COLUMNS, row)) for row in self._db.execute(sql, values).fetchall()]

    def used(self, symbol: str, bar_start: datetime) -> Decimal:
        """How much of the symbol's orders this bar has filled already."""
        return sum(
            (fill.qty for fill in self.fills("symbol = ? AND bar_start = ?", symbol, stamp(bar_start))),
            ZERO,
        )

    def note(
        self,
        at: datetime,
        known_at: datetime,
        kind: str,
        amount: Decimal,
        *,
        ref: str | None = None,
        symbol: str | None = None,
        qty: Decimal | None = None,
    ) -> None:
        """One ledger row; `amount` is cash in, below 0 out."""
        self._db.execute(
            "INSERT INTO ledger (at, known_at, kind, ref, symbol, qty, amount) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [_disk(x) for x in (at, known_at, kind, ref, symbol, qty, amount)],
        )

    def flows(self, since: datetime) -> list[tuple[int, datetime, str, str | None, Decimal | None, Decimal]]:
        """Ledger rows that are no trade, known at or after `since`: (n, at, kind, symbol, qty, amount)."""
        sql = """SELECT n, at, kind, symbol, qty, amount FROM ledger
                 WHERE kind NOT IN ('fill', 'fee') AND known_at >= ? ORDER BY n"""
        return [
            (
                n,
                parse_time(at),
                kind,
                symbol,
                None if qty is None else dec(qty),
                dec(amount),
            )
            for n, at, kind, symbol, qty, amount in self._db.execute(sql, (stamp(since),)).fetchall()
        ]

    def put_holding(self, symbol: str, holding: Holding | None) -> None:
        self._db.execute("DELETE FROM holdings WHERE symbol = ?", (symbol,))
        if holding is not None and holding.qty > 0:
            row = [symbol, _disk(holding.qty), _disk(holding.avg_price)]
            self._db.execute("INSERT INTO holdings (symbol, qty, avg_price) VALUES (?, ?, ?)", row)

    def put_guard(self, symbol: str, guard: Guard | None) -> None:
        self._db.execute("DELETE FROM guards WHERE symbol = ?", (symbol,))
        if guard is not None:
            row = (symbol, real(guard.level), int(guard.touched))
            self._db.execute("INSERT INTO guards (symbol, level, touched) VALUES (?, ?, ?)", row)

    def put_close(self, session: date, equity: Decimal | None) -> None:
        sql = "INSERT INTO closes (session, equity) VALUES (?, ?) ON CONFLICT DO UPDATE SET equity = excluded.equity"
        self._db.execute(sql, (session.isoformat(), _disk(equity)))

    def close_equity(self, session: date) -> Decimal | None:
        row = self._db.execute("SELECT equity FROM closes WHERE session = ?", (session.isoformat(),)).fetchone()
        return None if row is None or row[0] is None else dec(row[0])

    def _check(self) -> None:
        version, app, tables = (
            int(self._db.execute(sql).fetchone()[0])
            for sql in ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
        )
        if tables and app != APPLICATION_ID:
            raise StoreError(f"{self.path} is not a paper account", "move it away, then tradekit init")
        if version > VERSION:
            raise StoreError(f"{self.path} has schema {version}, this tradekit knows {VERSION}", "use a newer tradekit")


def stamp(at: datetime) -> str:
    """UTC text of one width: `2026-02-13T14:35:00.000000Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _connect(path: Path, synchronous: str) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None, timeout=LOCK_WAIT_S, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA journal_mode = TRUNCATE")  # WAL loses nothing here: each call reads and writes a few rows
    db.execute(f"PRAGMA synchronous = {'OFF' if synchronous == 'OFF' else 'FULL'}")
    return db


def _disk(value: object) -> object:
    if isinstance(value, Decimal):
        return real(wire(value))
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, date):
        return value.isoformat()
    return int(value) if isinstance(value, bool) else value


def _row(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: _memory(name, value) for name, value in zip(names, row, strict=True)}


def _memory(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _DECIMALS:
        return dec(value)
    if name in _TIMES:
        return parse_time(str(value))
    if name == "session":
        return date.fromisoformat(str(value))
    return bool(value) if name == "extended_hours" else value
