"""The desk's memory: one object with all tables, its transactions, and the booking of fills."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from tradekit.base.deadline import left_to_finish
from tradekit.base.locks import Lock, TwoQueues
from tradekit.errors import Busy, StoreError
from tradekit.model import Adjustment, Fill, Position
from tradekit.money import ZERO, dec
from tradekit.store import schema
from tradekit.store.connection import APPLICATION_ID, BUSY_MS, Db, DiskError, connect
from tradekit.store.decisions import Decisions, RiskChecks, Watchlist
from tradekit.store.fills import Fills
from tradekit.store.learning import ByHand, Cleanup, Days, PoorSignals, PositionChecks
from tradekit.store.meta import Meta
from tradekit.store.orders import Orders
from tradekit.store.positions import Marks, Positions
from tradekit.store.rows import json_of, json_text
from tradekit.store.runtime import Accounts, Adjustments, Events, Halts, Runs, Slots, StrategyState
from tradekit.store.scans import Candidates, Scans, Snapshots
from tradekit.store.sessions import Sessions
from tradekit.store.trades import Trades

if TYPE_CHECKING:  # loaded by the first booking
    from tradekit.store.booking import Booked, Booking
    from tradekit.store.fold import Opening

BEGIN_TRIES = 6  # times busy_timeout, against a program that does not know writer.lock; low writers try once
WRITER_WAIT_S = 30.0  # exits are served first: whoever waits this long meets a program that hangs
LOW_WAIT_S = 10.0


class Store:
    """An open desk.db. Made by open_store; closed by whoever opened it."""

    def __init__(self, db: Db, path: Path, *, readonly: bool, synchronous: str) -> None:
        self.db = db
        self.path = path
        self.readonly = readonly
        self.synchronous = synchronous
        self.aside: dict[str, int] = {}  # rows that this connection changed in one table alone, see table.alone
        self._depth = 0
        self._failed = ""
        self._file = _identity(path)
        self._writer = TwoQueues(path.parent / "writer.lock", wait_s=WRITER_WAIT_S, what="write", to_write=True)
        self._low = Lock(path.parent / "low.lock", wait_s=LOW_WAIT_S, what="write (low)", to_write=True)
        self.meta = Meta(self)
        self.sessions = Sessions(self)
        self.scans = Scans(self)
        self.candidates = Candidates(self)
        self.snapshots = Snapshots(self)
        self.decisions = Decisions(self)
        self.risk_checks = RiskChecks(self)
        self.orders = Orders(self)
        self.fills = Fills(self)
        self.positions = Positions(self)
        self.marks = Marks(self)
        self.trades = Trades(self)
        self.adjustments = Adjustments(self)
        self.halts = Halts(self)
        self.events = Events(self)
        self.slots = Slots(self)
        self.runs = Runs(self)
        self.account = Accounts(self)
        self.strategy_state = StrategyState(self)
        self.watchlist = Watchlist(self.decisions)
        self.watched = ByHand(self)
        self.days = Days(self)
        self.position_checks = PositionChecks(self)
        self.poor_signals = PoorSignals(self)
        self.cleanup = Cleanup(self)

    def close(self) -> None:
        """Close the file and its locks."""
        self.db.close()
        self._writer.close()
        self._low.close()

    @property
    def currency(self) -> str:
        """The desk's quote currency, in which cash is counted."""
        return self.meta.get("currency") or "USD"

    @contextmanager
    def transaction(self, low: bool = False) -> Iterator[None]:
        """All or nothing. Inside another one: its part can fail alone, and is committed with the whole.

        `low` (entries, jobs, reports) queues behind other low writers and stands back while anybody else waits, so
        that an exit meets at most one of them.
        Raises StoreError (read-only, file gone) or Busy.
        """
        if self._depth:
            with self._part():
                yield
            return
        if self.readonly:
            raise StoreError(f"{self.path} is open for reading only", f"make {self.path} and its folder writable")
        if self._failed:  # after a failed sync the system may call the next one good without having written
            raise StoreError(f"nothing more is written after: {self._failed}", "tradekit doctor")
        if low:
            with self._low, self._whole(low=True):
                yield
        else:
            with self._whole():
                yield

    @contextmanager
    def _whole(self, *, low: bool = False) -> Iterator[None]:
        with self._writer.held(politely=low):
            self._still_there()
            try:
                self._begin(1 if low else BEGIN_TRIES)
                self._depth = 1
                yield
                self.db.run("COMMIT")
            except BaseException as error:
                if isinstance(error, DiskError):
                    self._failed = error.message
                self._undo()
                raise
            finally:
                self._depth = 0

    def _begin(self, tries: int) -> None:
        for more in reversed(range(tries)):
            self.db.patience(left_to_finish(BUSY_MS / 1000))
            try:
                self.db.run("BEGIN IMMEDIATE")
                return
            except Busy:
                if not more or left_to_finish(1.0) <= 0:
                    raise

    def _undo(self) -> None:
        with suppress(sqlite3.Error):  # cannot even undo: the next to open the file finds the journal and does
            if self.db.raw.in_transaction:
                self.db.raw.rollback()

    @contextmanager
    def _part(self) -> Iterator[None]:
        name = f"part{self._depth}"
        self.db.run(f"SAVEPOINT {name}")
        self._depth += 1
        try:
            yield
            self.db.run(f"RELEASE {name}")
        except BaseException:
            if self.db.raw.in_transaction:  # SQLite may have rolled everything back itself: disk full
                self.db.run(f"ROLLBACK TO {name}")
                self.db.run(f"RELEASE {name}")
            raise
        finally:
            self._depth -= 1

    def _still_there(self) -> None:
        if _identity(self.path) != self._file:
            raise StoreError(
                f"{self.path} was deleted or replaced meanwhile", "tradekit doctor, which names the newest good backup"
            )

    # Booking: the only way by which positions and trades change

    def book_fill(self, fill: Fill, opens: "Opening | None" = None) -> "Booked":
        """Book a fill once: the fill, its order's totals, the position, the trade, in one transaction.

        A fill whose broker_fill_id is booked changes nothing (new=False). A late fill amends the trade it belongs to.
        UsageError where it names an order that the store does not hold.
        """
        from tradekit.store.booking import Booked

        with self.transaction():
            new, trade, amended, held = self._booking().fill(fill, opens)
            position = self.positions.get(held) if held else None
            if not new:
                position = self.positions.open_for(fill.symbol)
        return Booked(new=new, position=position, trade=trade, amended=amended)

    def book_fills(
        self, fills: Iterable[Fill], progress: Callable[[int, int, datetime], None] = lambda done, total, at: None
    ) -> int:
        """Book an imported statement, as if fill by fill, in bounded transactions; how many fills were new.

        `progress` gets (booked, of, time of the last one). UsageError, before anything is written, for what cannot be
        a fill.
        """
        from tradekit.store.importing import book_fills

        return book_fills(self, self.currency, fills, progress)

    def book_adjustment(
        self, adjustment: Adjustment, opens: "Opening | None" = None, *, session: date | None = None
    ) -> bool:
        """Book an adjustment once and fold its symbol. False: its id was there already.

        Quantities: adopt adds, release, external and cash-in-lieu take away (by their size), a correction goes by
        its sign, a split multiplies (4: four for one). An adopt needs `amount`, what the shares cost in all.
        """
        with self.transaction():
            return self._booking().adjustment(adjustment, opens, session)

    def owned(self) -> dict[str, Decimal]:
        """The quantity of each symbol that the desk owns: buys - sells + adopted - released, scaled by splits."""
        sql = "SELECT symbol, side, qty FROM positions WHERE closed_at IS NULL ORDER BY opened_at, rowid"
        return {symbol: dec(qty) if side == "long" else -dec(qty) for symbol, side, qty in self.db.rows(sql)}

    def symbols(self) -> set[str]:
        """Every symbol that a scan of the last session, a decision, an order or a position is about."""
        tables = ("candidates", "decisions", "orders", "positions")
        sql = " UNION ".join(f"SELECT symbol FROM {table}" for table in tables)
        last = self.scans.all(limit=1)
        seen = self.candidates.found(rejected=True, session=last[-1].session) if last else []
        return {symbol for (symbol,) in self.db.rows(sql)} | {candidate.symbol for candidate in seen}

    def cash_delta(self, *, recount: bool = False) -> Decimal:
        """What fills, fees and adjustments did to the account's cash, exact. `recount` sums all rows again (audit)."""
        if not recount:
            return Decimal(self.meta.get("cash") or 0)
        from tradekit.store.fold import cash_of, cash_of_adjustment

        currency, total = self.currency, ZERO
        for fills in self.fills.pages():
            total += sum((cash_of(fill, currency=currency) for fill in fills), ZERO)
        for rows in self.adjustments.pages():
            total += sum((cash_of_adjustment(row, currency=currency) for row in rows), ZERO)
        return total

    def positions_at(self, at: datetime) -> list[Position]:
        """Open positions as they were at `at`, folded from the fills until then; plan and levels as they are now."""
        from tradekit.store.history import positions_at

        return positions_at(self.db, self.currency, at)

    def unmanaged(self) -> dict[str, Decimal]:
        """What the account was last seen to hold beside the desk: quantity by symbol. {}: nothing, or never looked."""
        text = self.meta.get("unmanaged")
        return {symbol: Decimal(qty) for symbol, qty in json_of(text).items()} if text else {}

    def set_unmanaged(self, holdings: Mapping[str, Decimal]) -> None:
        """Keep what the account holds beside the desk; the same again writes nothing."""
        if dict(holdings) != self.unmanaged():
            found = {symbol: str(qty) for symbol, qty in sorted(holdings.items())}
            self.meta.set("unmanaged", json_text(found) if found else None)

    def _booking(self) -> "Booking":
        from tradekit.store.booking import Booking

        return Booking(self.db, self.currency)


def open_store(path: Path, *, create: bool = False, readonly: bool = False, synchronous: str = "FULL") -> Store:
    """Open a desk's memory, or make it (`create`; an existing one is opened as it is).

    `synchronous` is FULL; replays, which can be played again, may say OFF. Raises StoreError: missing, of a newer
    schema, not tradekit's, damaged. An older schema is migrated after a backup.
    """
    path = Path(path)
    there = path.is_file() and path.stat().st_size > 0
    if not there and not create:
        raise StoreError(f"{path} is missing", f"tradekit init {path.parent}, or tradekit restore")
    if not there:
        _make(path, synchronous)
    db = connect(path, readonly=readonly, synchronous=synchronous)
    try:
        _check_version(db, readonly=readonly)
    except BaseException:
        db.close()
        raise
    return Store(db, path, readonly=readonly, synchronous=synchronous)


def _make(path: Path, synchronous: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", f"make {path.parent} writable") from error
    db = connect(path, create=True, synchronous=synchronous)
    try:
        db.run("BEGIN IMMEDIATE")
        if not db.value("SELECT count(*) FROM sqlite_master"):  # another init may have been quicker
            schema.create(db)
        db.run("COMMIT")
    finally:
        db.close()


def _check_version(db: Db, *, readonly: bool) -> None:
    application = db.value("PRAGMA application_id")
    version = int(db.value("PRAGMA user_version"))
    if application != APPLICATION_ID:
        raise StoreError(f"{db.path} is not a tradekit database", "point -C at a desk, or: tradekit init DIR")
    if version > schema.VERSION:
        raise StoreError(
            f"{db.path} has schema {version}, this tradekit knows {schema.VERSION}", "install the newer tradekit again"
        )
    if version < schema.VERSION:
        if readonly:
            raise StoreError(f"{db.path} has the older schema {version}", "a command that writes brings it up to date")
        from tradekit.store.migrations import migrate

        with Lock(db.path.parent / "writer.lock", wait_s=WRITER_WAIT_S, what="migrate"):
            migrate(db, int(db.value("PRAGMA user_version")))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
