"""Statements: many fills at once, in the order of their times, through the fold that books a single one.

Symbols that only get younger fills go on from where they stand, a batch at a time; one that gets an older fill is
folded again from there. A batch is a transaction of its own, so that exits wait for one batch at most; a first import
into a desk with nothing that could wait is one transaction, and its indexes are built at the end.
"""

import gc
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from itertools import islice
from operator import attrgetter, eq

import msgspec

from tradekit.errors import UsageError
from tradekit.model import Fill, Mark
from tradekit.money import all_on_wire, wire
from tradekit.store.booking import (
    POSITION,
    POSITION_UPDATE,
    Booking,
    Old,
    exit_reason,
    position_columns,
    position_update,
    trade_columns,
)
from tradekit.store.connection import Db
from tradekit.store.fold import Episode, advance, cash_of_move, fold, from_fill
from tradekit.store.rows import codec, json_text, time_text
from tradekit.store.table import Writes
from tradekit.store.trades import trade_codec

BATCH = 20_000  # fills a transaction: a fifth of a second
CHUNK = 2_000  # fills that are folded and written together: what they make stays in the processor's cache
CACHE_KB = 64_000  # SQLite's, while an import runs
LEAST, MOST = Decimal("1e-100"), Decimal("1e17")  # what a quantity, a price or their product can be
REASON = exit_reason(None, None)

Progress = Callable[[int, int, datetime], None]


def book_fills(
    store: Writes, currency: str, fills: Iterable[Fill], progress: Progress = lambda done, total, at: None
) -> int:
    """Book what is not booked yet; how many fills were new. `progress` gets (done, of, time of the last fill).

    Everything is checked before anything is written: UsageError for what cannot be a fill. Interrupted between two
    batches, what is booked is a whole number of them, and the same call again books the rest.
    """
    todo = _in_order(fills)
    if not todo:
        return 0
    with _undisturbed(store.db):
        return _Import(store, currency, todo, progress).run()


class _Import:
    """One import. `_todo[_at:]` is what streams, sorted as the fold sorts; `_late` what needs its past again."""

    def __init__(self, store: Writes, currency: str, todo: list[Fill], progress: Progress) -> None:
        self._store, self._db, self._currency = store, store.db, currency
        self._booking = Booking(store.db, currency)
        self._todo, self._at = todo, 0
        self._late: dict[str, list[Fill]] = {}
        self._held: dict[str, Episode] = {}  # open positions as they stand
        self._rows: dict[str, Old] = {}  # those of them that have a row
        self._moved: set[str] = set()  # symbols whose open position is not written as it stands
        self._used: set[str] = set()  # ids of positions, of the last minute
        self._taken: Callable[[str], bool] = self._has_row
        self._version: int | None = None
        self._new, self._total, self._progress = 0, len(todo), progress

    def run(self) -> int:
        with self._store.transaction(low=True):
            whole = len(self._todo) > BATCH and _untouched(self._db)
            if whole:
                self._taken = lambda name: False
                with _without_indexes(self._db):
                    while self._at < len(self._todo):
                        self._tell(self._batch())
                    self._write_open()
        while not whole:
            with self._store.transaction(low=True):
                last = self._step()
            if last is None:
                break
            self._tell(last)
        return self._new

    def _tell(self, at: datetime) -> None:
        left = len(self._todo) - self._at + sum(map(len, self._late.values()))
        self._progress(self._total - left, self._total, at)

    def _step(self) -> datetime | None:
        """One bounded transaction's work; the time of its last fill. What others wrote meanwhile is looked at first."""
        version = self._db.value("PRAGMA data_version")
        if version != self._version:
            self._version = version
            self._look()
        if self._late:
            return self._refold()
        if self._at == len(self._todo):
            return None
        last = self._batch()
        self._write_open()
        return last

    def _look(self) -> None:
        """Leave out what is booked, and tell symbols that go on from those that start again earlier."""
        rest = self._todo[self._at :] + [fill for fills in self._late.values() for fill in fills]
        known = _known(self._db, rest)
        rest = sorted((fill for fill in rest if fill.broker_fill_id not in known), key=_place)
        self._held, self._rows, self._used = {}, {}, set()
        early: dict[str, Fill] = {}
        for fill in rest:
            if fill.symbol not in early:
                early[fill.symbol] = fill
        again = {fill.symbol for fill in rest if fill.order_id is not None}
        again |= {symbol for symbol, fill in early.items() if not self._goes_on(symbol, fill.at)}
        self._late = defaultdict(list)
        for fill in rest:
            if fill.symbol in again:
                self._late[fill.symbol].append(fill)
        self._todo, self._at = [fill for fill in rest if fill.symbol not in again] if again else rest, 0

    def _goes_on(self, symbol: str, at: datetime) -> bool:
        """Whether every move of a symbol is older than `at`; then its open position is at hand."""
        sql = (
            "SELECT max(at) FROM (SELECT max(at) AS at FROM fills WHERE symbol = ?1 "
            "UNION ALL SELECT max(at) FROM adjustments WHERE symbol = ?1)"
        )
        last = self._db.value(sql, [symbol])
        if last is None:
            return True
        if last >= time_text(at):
            return False
        start, old = self._booking.episodes_from(symbol, at)
        if old:
            moves, _ = self._booking.moves(symbol, start)
            episode = fold(symbol, moves, lambda name: name not in old)[-1]
            if episode.closed_at is None:
                self._held[symbol], self._rows[episode.id] = episode, old[episode.id]
        return True

    def _has_row(self, name: str) -> bool:
        return self._db.value("SELECT 1 FROM positions WHERE id = ?", [name]) is not None

    def _refold(self) -> datetime:
        """Symbols whose past changes, whole ones up to a batch."""
        n = 0
        while self._late and n < BATCH:
            symbol, fills = self._late.popitem()
            _insert(self._db, fills, [None] * len(fills), [None] * len(fills))
            for id in {fill.order_id for fill in fills if fill.order_id is not None}:
                self._booking.fill_order(id)
            self._booking.add_cash(*(cash_of_move(from_fill(fill, currency=self._currency)) for fill in fills))
            self._booking.refold(symbol, fills[0].at, fills[0].broker_fill_id)
            n += len(fills)
        self._new += n
        return fills[-1].at

    def _batch(self) -> datetime:
        """The next fills, but for the positions that are open at their end; the time of the last one."""
        end = min(self._at + BATCH, len(self._todo))
        while self._at < end:
            last = self._stream(end)
        return last

    def _stream(self, end: int) -> datetime:
        """The next chunk, not beyond `end`: each fill moves its symbol one step on."""
        part = self._todo[self._at : min(self._at + CHUNK, end)]
        currency, held, used, taken = self._currency, self._held, self._used, self._taken
        done: list[Episode] = []
        homes: list[str | None] = []
        turned: list[str | None] = []
        cash: list[Decimal] = []
        for fill in part:
            symbol = fill.symbol
            before, move = held.get(symbol), from_fill(fill, currency=currency, reason=REASON)
            after = advance(symbol, before, move, done, used, taken)
            cash.append(cash_of_move(move))
            if after is not before:
                if after is None:
                    del held[symbol]
                else:
                    held[symbol] = after
            home = before or after
            homes.append(home.id if home else None)
            turned.append(after.id if after and before and after is not before else None)
        _insert(self._db, part, homes, turned)
        self._booking.add_cash(*cash)
        self._moved.update(map(_SYMBOL, part))
        self._write_closed(done)
        last = part[-1].at.replace(second=0, microsecond=0)
        opened = [*done, *held.values()]
        self._used = {episode.id for episode in opened if episode.opened_at >= last}
        self._at += len(part)
        self._new += len(part)
        return part[-1].at

    def _write_closed(self, closed: list[Episode]) -> None:
        """Positions and trades of a chunk, before the positions that opened in it: a symbol has one open position."""
        self._write_positions(closed)
        watched = [self._watched(episode.id) for episode in closed] if self._rows else [(None, None)] * len(closed)
        marks, stops = [mark for mark, _ in watched], [stop for _, stop in watched]
        c = trade_codec()
        trades = trade_columns(closed, marks, stops, currency=self._currency)
        self._db.insert("trades", c.names, c.written(trades, sound=True))

    def _write_open(self) -> None:
        opened = [self._held[symbol] for symbol in self._moved if symbol in self._held]
        self._moved = set()
        self._write_positions(opened)
        for episode in opened:
            self._rows.setdefault(episode.id, Old(episode.id, episode.opened_at, None))

    def _write_positions(self, episodes: list[Episode]) -> None:
        old = [episode for episode in episodes if episode.id in self._rows]
        new = [episode for episode in episodes if episode.id not in self._rows] if old else episodes
        rows = zip(*position_columns(old, self._currency), strict=True)
        self._db.run_many(POSITION_UPDATE, map(position_update, rows))
        self._db.insert("positions", POSITION, position_columns(new, self._currency))

    def _watched(self, id: str) -> tuple[Mark | None, Decimal | None]:
        """What was seen of a position, and its first stop: only one that had a row before can have them."""
        old = self._rows.pop(id, None)
        return (None, None) if old is None else (self._booking.mark(id), old.initial_stop)


_AT: Callable[[Fill], datetime] = attrgetter("at")
_ID: Callable[[Fill], str] = attrgetter("broker_fill_id")
_SYMBOL: Callable[[Fill], str] = attrgetter("symbol")


def _place(fill: Fill) -> tuple[datetime, bool, str]:
    return fill.at, fill.side != "buy", fill.broker_fill_id


def _in_order(fills: Iterable[Fill]) -> list[Fill]:
    """Each fill once, in the order in which they fold. UsageError for one that no ledger can hold."""
    found = list(fills)
    if not found:
        return []
    if len(set(map(_ID, found))) < len(found):  # the first one counts
        found = list({fill.broker_fill_id: fill for fill in reversed(found)}.values())[::-1]
    if not _all_sound(found):
        found = [_sound(fill) for fill in found]
    found.sort(key=_AT)
    times = list(map(_AT, found))
    ties = [i for i, tie in enumerate(map(eq, times, islice(times, 1, None))) if tie]
    end = 0
    for start in ties:
        if start < end:
            continue
        end = bisect_right(times, times[start], start)
        found[start:end] = sorted(found[start:end], key=_place)
    return found


def _all_sound(fills: Sequence[Fill]) -> bool:
    """Whether `_sound` would change and refuse nothing, as far as extremes tell: without looking at each."""
    bases = {symbol.replace("-", "/").partition("/")[0] for symbol in set(map(_SYMBOL, fills))}
    if bases & set(map(attrgetter("fee_asset"), fills)):
        return False
    columns = [list(map(attrgetter(name), fills)) for name in ("qty", "price", "fee")]
    (least_qty, most_qty), (least_price, most_price), (least_fee, most_fee) = (
        (min(column), max(column)) for column in columns
    )
    within = least_qty > LEAST and least_price > LEAST and most_qty * most_price < MOST
    return within and least_fee > -MOST and most_fee < MOST and all(map(all_on_wire, columns))


def _sound(fill: Fill) -> Fill:
    """With 15 digits, as `book_fill` keeps them. UsageError where qty or price is not above 0, or the worth absurd."""
    qty, price, fee = wire(fill.qty), wire(fill.price), wire(fill.fee)
    base_fee = fee if fee and fill.symbol.replace("-", "/").partition("/")[0] == fill.fee_asset else 0
    if not (LEAST < qty < MOST and LEAST < price < MOST and -MOST < fee < MOST and qty * price < MOST):
        raise UsageError(f"{fill.broker_fill_id}: {fill.side} {fill.qty} {fill.symbol} at {fill.price} is not a fill")
    if base_fee and base_fee >= qty:
        raise UsageError(f"{fill.broker_fill_id}: a fee of {fee} {fill.fee_asset} takes all of {qty}")
    if qty == fill.qty and price == fill.price and fee == fill.fee:
        return fill
    return msgspec.structs.replace(fill, qty=qty, price=price, fee=fee)


def _insert(db: Db, fills: list[Fill], homes: Sequence[str | None], turned: Sequence[str | None]) -> None:
    """Fills, out of `_in_order`, with the positions that they belong to and those that their rests opened."""
    c = codec(Fill)
    db.insert("fills", (*c.names, "position_id", "reversed_into"), [*c.columns_of(fills, sound=True), homes, turned])


def _known(db: Db, fills: list[Fill]) -> set[str]:
    """Ids at the broker of those that are booked."""
    found: set[str] = set()
    if db.value("SELECT 1 FROM fills LIMIT 1") is None:
        return found
    sql = "SELECT broker_fill_id FROM fills WHERE broker_fill_id IN (SELECT value FROM json_each(?))"
    for i in range(0, len(fills), BATCH):
        ids = json_text([fill.broker_fill_id for fill in fills[i : i + BATCH]])
        found.update(id for (id,) in db.rows(sql, [ids]))
    return found


def _untouched(db: Db) -> bool:
    """Whether the desk never traded: nobody waits for it, and no symbol has a past."""
    tables = ("fills", "positions", "orders", "adjustments WHERE symbol IS NOT NULL")
    return not any(db.value(f"SELECT 1 FROM {table} LIMIT 1") for table in tables)


@contextmanager
def _without_indexes(db: Db) -> Iterator[None]:
    """Inside the transaction that is open: sorted once at the end, an index costs a third of row by row. That of open
    positions stays: it is small, and says at once what is wrong.
    """
    sql = (
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name IN ('fills', 'positions', 'trades') "
        "AND sql IS NOT NULL AND name <> 'positions_one_open_per_symbol'"
    )
    found = db.rows(sql)
    for name, _ in found:
        db.run(f"DROP INDEX {name}")
    yield
    for _, text in found:
        db.run(text)


@contextmanager
def _undisturbed(db: Db) -> Iterator[None]:
    """More cache for SQLite, and no search for cycles among millions of records that have none."""
    pages, collecting = db.value("PRAGMA cache_size"), gc.isenabled()
    db.rows(f"PRAGMA cache_size = -{CACHE_KB}")
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        db.rows(f"PRAGMA cache_size = {pages}")
