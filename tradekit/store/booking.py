"""Book a fill or an adjustment: the only way by which positions and trades change.

Each booking folds the symbol again from the start of the episode that it falls into; nothing before can change.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from operator import sub
from typing import Any, NamedTuple

import msgspec

from tradekit.errors import UsageError
from tradekit.model import Adjustment, Fill, Mark, Order, Position, Record, Trade
from tradekit.money import ZERO, book, dec, plain, wire, wires
from tradekit.store.connection import Db
from tradekit.store.fold import (
    NOTHING_SAID,
    Episode,
    Move,
    Opening,
    cash_of,
    cash_of_adjustment,
    entry_prices,
    exit_prices,
    fold,
    from_adjustment,
    from_fill,
)
from tradekit.store.orders import status_after_fill, totals
from tradekit.store.rows import Writer, codec, json_of, json_text, time_of, time_text, written
from tradekit.store.trades import trade_codec

SECOND = timedelta(seconds=1)
LEVELS = ("stop_price", "target_price", "initial_stop")


POSITION = (
    "id", "symbol", "side", "qty", "avg_price", "cost", "opened_at", "session", "closed_at", "strategy", "cap",
    "intent", "plan", "stop_price", "target_price", "initial_stop", "decision_id", "master",
)  # fmt: skip
FOLDED = POSITION.index("strategy")  # the columns before it follow from the fold, the others from the opening
INITIAL_STOP = POSITION.index("initial_stop")
POSITION_WRITERS = (
    *(Writer(POSITION.index(name), float, False) for name in ("qty", "avg_price", "cost")),  # 15 digits at most
    *(Writer(POSITION.index(name), time_text, name == "closed_at") for name in ("opened_at", "closed_at")),
    Writer(POSITION.index("session"), date.isoformat, False),
)
POSITION_INSERT = f"INSERT INTO positions ({', '.join(POSITION)}) VALUES ({', '.join('?' * len(POSITION))})"
POSITION_UPDATE = f"UPDATE positions SET {', '.join(f'{name} = ?' for name in POSITION[1:FOLDED])} WHERE id = ?"


class Booked(Record, frozen=True, kw_only=True):
    """What a booking did. `position` is the open one that it belongs to, `trade` the one that it closed or changed."""

    new: bool
    position: Position | None = None
    trade: Trade | None = None
    amended: bool = False  # a trade that was written before has changed


class Old(NamedTuple):
    id: str
    opened_at: datetime
    initial_stop: Decimal | None


class Booking:
    """Works inside the transaction that the store has opened."""

    def __init__(self, db: Db, currency: str) -> None:
        self._db = db
        self._currency = currency

    def fill(self, fill: Fill, opens: Opening | None) -> tuple[bool, Trade | None, bool, str | None]:
        """Insert, update the order, refold. (new, trade, amended, id of the open position)."""
        fill = msgspec.structs.replace(fill, qty=wire(fill.qty), price=wire(fill.price), fee=wire(fill.fee))
        if not self.insert_fill(fill, opens):
            return False, None, False, None
        if fill.order_id is not None:
            self.fill_order(fill.order_id)
        self.add_cash(cash_of(fill, currency=self._currency))
        return (True, *self.refold(fill.symbol, fill.at, fill.broker_fill_id))

    def insert_fill(self, fill: Fill, opens: Opening | None) -> bool:
        """False: the venue's id is booked already."""
        c = codec(Fill)
        sql = f"INSERT INTO fills ({c.columns}, opens) VALUES ({c.marks}, ?) ON CONFLICT DO NOTHING"
        return self._db.run(sql, (*c.row(fill), _opens(opens))) == 1

    def adjustment(self, row: Adjustment, opens: Opening | None, session: date | None) -> bool:
        """Insert and refold. UsageError for an adopt whose cost is unknown."""
        amount = None if row.amount is None else wire(book(row.amount, self._currency))
        row = msgspec.structs.replace(row, qty=None if row.qty is None else wire(row.qty), amount=amount)
        move = from_adjustment(row, currency=self._currency, opening=opens, session=session)
        if row.kind == "adopt" and (move is None or move.notional is None):
            raise UsageError(f"{row.id}: adopt needs a symbol, a quantity and what the shares cost in all")
        c = codec(Adjustment)
        sql = f"INSERT INTO adjustments ({c.columns}, session, opens) VALUES ({c.marks}, ?, ?) ON CONFLICT DO NOTHING"
        if self._db.run(sql, (*c.row(row), (session or row.at.date()).isoformat(), _opens(opens))) != 1:
            return False
        self.add_cash(cash_of_adjustment(row, currency=self._currency))
        if move is not None and row.symbol is not None:
            if move.kind == "split":
                self._scale_levels(row.symbol, move)
            self.refold(row.symbol, row.at, row.id)
        return True

    def refold(self, symbol: str, at: datetime, trigger: str) -> tuple[Trade | None, bool, str | None]:
        """Fold from the episode that `at` falls into; what the move `trigger` closed, whether an old trade
        changed, and the id of the open position that it belongs to.
        """
        start, old = self.episodes_from(symbol, at)
        moves, homes = self.moves(symbol, start)
        episodes = fold(symbol, moves, lambda name: self._taken(name, start))
        before = self._trades(old)
        for gone in old.keys() - {episode.id for episode in episodes}:
            self._db.run("DELETE FROM positions WHERE id = ?", [gone])
        closed, amended, held = None, bool(before.keys() - {e.id for e in episodes if e.closed_at}), None
        for episode in episodes:
            initial = self._write_position(episode, old.get(episode.id))
            if episode.closed_at is None:
                self._drop_trade(episode.id, before)
                held = episode.id if trigger in episode.moves else None
                continue
            trade = trade_of(episode, self.mark(episode.id), initial, currency=self._currency)
            if trade != before.get(episode.id):
                amended = amended or episode.id in before
                self._write_trade(trade)
            if trigger in episode.moves:
                closed = trade
        self._write_homes(episodes, homes)
        return closed, amended, held

    # What is there

    def episodes_from(self, symbol: str, at: datetime) -> tuple[datetime, dict[str, Old]]:
        """The instant before which nothing changes, and the positions from there on."""
        sql = (
            "SELECT id, opened_at, initial_stop FROM positions "
            "WHERE symbol = ? AND (closed_at IS NULL OR closed_at >= ?) ORDER BY opened_at, rowid"
        )
        start = at
        while True:
            found = [
                Old(id, time_of(opened), None if stop is None else dec(stop))
                for id, opened, stop in self._db.rows(sql, [symbol, time_text(start)])
            ]
            earliest = min((row.opened_at for row in found), default=start)
            if earliest >= start:
                return start, {row.id: row for row in found}
            start = earliest  # an episode that ended in the very instant another began belongs to it

    def _taken(self, name: str, start: datetime) -> bool:
        sql = "SELECT 1 FROM positions WHERE id = ? AND closed_at < ?"
        return self._db.value(sql, [name, time_text(start)]) is not None

    def moves(self, symbol: str, start: datetime) -> tuple[list[Move], dict[str, tuple[str | None, str | None]]]:
        c = codec(Fill)
        columns = ", ".join(f'f."{name}"' for name in c.names)
        fills = self._db.rows(
            f"SELECT {columns}, f.opens, o.purpose, o.reason, f.position_id, f.reversed_into FROM fills f "
            "LEFT JOIN orders o ON o.id = f.order_id WHERE f.symbol = ? AND f.at >= ?",
            [symbol, time_text(start)],
        )
        moves, homes = [], {}
        for row in fills:
            fill = c.record(row)
            opens, purpose, reason, home, turned = row[len(c.names) :]
            why = exit_reason(purpose, reason)
            moves.append(from_fill(fill, currency=self._currency, reason=why, opening=_opening(opens)))
            homes[fill.broker_fill_id] = (home, turned)
        a = codec(Adjustment)
        rows = self._db.rows(
            f"SELECT {a.columns}, session, opens FROM adjustments WHERE symbol = ? AND at >= ?",
            [symbol, time_text(start)],
        )
        for row in rows:
            session, opens = row[len(a.names) :]
            move = from_adjustment(
                a.record(row), currency=self._currency, opening=_opening(opens), session=date.fromisoformat(session)
            )
            if move is not None:
                moves.append(move)
        return moves, homes

    def _trades(self, old: dict[str, Old]) -> dict[str, Trade]:
        if not old:
            return {}
        c = trade_codec()
        sql = f"SELECT {c.columns} FROM trades WHERE id IN ({', '.join('?' * len(old))})"
        return {row[0]: c.record(row) for row in self._db.rows(sql, list(old))}

    # What is written

    def _write_position(self, episode: Episode, old: Old | None) -> Decimal | None:
        """Insert or update; the stop that planned risk counts from."""
        (row,) = zip(*position_columns([episode], self._currency), strict=True)
        if old is not None:
            self._db.run(POSITION_UPDATE, position_update(row))
            return old.initial_stop
        self._db.run(POSITION_INSERT, row)
        stop = row[INITIAL_STOP]
        return None if stop is None else dec(stop)

    def mark(self, position_id: str) -> Mark | None:
        """What was seen of a position; None where nobody watched."""
        c = codec(Mark)
        row = self._db.row(f"SELECT {c.columns} FROM marks WHERE position_id = ?", [position_id])
        return c.record(row) if row else None

    def _write_trade(self, trade: Trade) -> None:
        c = trade_codec()
        self._db.run(f"INSERT OR REPLACE INTO trades ({c.columns}) VALUES ({c.marks})", c.row(trade))

    def _drop_trade(self, id: str, before: dict[str, Trade]) -> None:
        if id in before:
            self._db.run("DELETE FROM trades WHERE id = ?", [id])

    def _write_homes(self, episodes: list[Episode], homes: dict[str, tuple[str | None, str | None]]) -> None:
        found: dict[str, list[str]] = {}
        for episode in episodes:
            for move in episode.moves:
                found.setdefault(move, []).append(episode.id)
        for fill, home in homes.items():
            now = (*found.get(fill, []), None, None)[:2]
            if now != home:
                sql = "UPDATE fills SET position_id = ?, reversed_into = ? WHERE broker_fill_id = ?"
                self._db.run(sql, [*now, fill])

    def fill_order(self, id: str) -> None:
        """An order's status and totals from its fills. UsageError where the store does not hold it."""
        c = codec(Order)
        row = self._db.row(f"SELECT {c.columns} FROM orders WHERE id = ?", [id])
        if row is None:
            raise UsageError(f"a fill names order {id}, which is not in the store", "tradekit orders")
        order = c.record(row)
        fills = self._db.rows("SELECT qty, price, fee FROM fills WHERE order_id = ?", [id])
        qty, average, fees = totals([(dec(q), dec(p), dec(f)) for q, p, f in fills])
        values = [
            status_after_fill(order.status, qty, order.qty),
            float(min(qty, order.qty)),  # a venue that fills more than was asked shows in the position and in audit
            None if average is None else float(average),
            float(fees),
            id,
        ]
        self._db.run("UPDATE orders SET status = ?, filled_qty = ?, avg_price = ?, fees = ? WHERE id = ?", values)

    def add_cash(self, *deltas: Decimal) -> None:
        """Add to the cash that bookings moved, exactly; what moved none leaves no trace."""
        moved = [delta for delta in deltas if delta]
        if moved:
            total = sum(moved, Decimal(self._db.value("SELECT value FROM meta WHERE key = 'cash'") or 0))
            self._db.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('cash', ?)", [str(plain(total))])

    def _scale_levels(self, symbol: str, split: Move) -> None:
        """The open position's levels and mark follow a split that it lived through."""
        sql = (
            f"SELECT id, plan, {', '.join(LEVELS)} FROM positions "
            "WHERE symbol = ? AND closed_at IS NULL AND opened_at <= ?"
        )
        row = self._db.row(sql, [symbol, time_text(split.at)])
        if row is None:
            return
        id, plan, *levels = row
        scaled = [_scaled(None if level is None else dec(level), split.qty) for level in levels]
        sets = ", ".join(f"{name} = ?" for name in LEVELS)
        plan = json_text(scaled_plan(json_of(plan), split.qty))
        self._db.run(f"UPDATE positions SET plan = ?, {sets} WHERE id = ?", [plan, *scaled, id])
        names = ("last_price", "high", "low", "stop_price")
        mark = self._db.row(
            f"SELECT {', '.join(names)} FROM marks WHERE position_id = ? AND at < ?", [id, time_text(split.at)]
        )
        if mark is not None:
            prices = [_scaled(None if price is None else dec(price), split.qty) for price in mark]
            sets = ", ".join(f"{name} = ?" for name in names)
            self._db.run(f"UPDATE marks SET {sets} WHERE position_id = ?", [*prices, id])


def exit_reason(purpose: str | None, reason: str | None) -> str:
    """Why a fill closed what it closed: its order's reason; a resting stop's own fill is a hard or trailing stop."""
    if purpose is None:
        return "imported"
    if purpose == "protect":
        return "trailing-stop" if reason and "trailing-stop" in reason else "hard-stop"
    return reason or purpose


def position_columns(episodes: Sequence[Episode], currency: str) -> list[Sequence[Any]]:
    """The columns of POSITION, as the store writes them, for positions that are written for the first time."""
    openings = [each.opening for each in episodes]
    held = [each.qty for each in episodes]
    told = [
        ("{}", None, None) if opening is NOTHING_SAID else _levels(opening, each.split)
        for opening, each in zip(openings, episodes, strict=True)
    ]
    stops = [stop for _, stop, _ in told]
    return written(
        [
            [each.id for each in episodes],
            [each.symbol for each in episodes],
            [each.side for each in episodes],
            wires(held),
            [each.avg_price for each in episodes] if any(held) else entry_prices(episodes),
            [wire(book(each.cost, currency)) if each.cost else ZERO for each in episodes],
            [each.opened_at for each in episodes],
            [each.session for each in episodes],
            [each.closed_at for each in episodes],
            [opening.strategy for opening in openings],
            [opening.cap for opening in openings],
            [opening.intent for opening in openings],
            [plan for plan, _, _ in told],
            stops,
            [target for _, _, target in told],
            stops,
            [opening.decision_id for opening in openings],
            [int(opening.master) for opening in openings],
        ],
        POSITION_WRITERS,
    )


def _levels(opening: Opening, split: Decimal) -> tuple[str, float | None, float | None]:
    """(plan, stop, target) of what was opened before a split, as they are after it."""
    plan = json_text(scaled_plan(opening.plan, split))
    return plan, _scaled(opening.stop_price, split), _scaled(opening.target_price, split)


def position_update(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """What POSITION_UPDATE takes of such a row."""
    return (*row[1:FOLDED], row[0])


def trade_of(episode: Episode, mark: Mark | None, initial_stop: Decimal | None, *, currency: str = "USD") -> Trade:
    """The trade of a closed episode. `initial_stop` is the first stop that was set; the opening's plan stands in."""
    facts = [value for (value,) in trade_columns([episode], [mark], [initial_stop], currency=currency)]
    shown: list[Any] = [plain(fact) if isinstance(fact, Decimal) else fact for fact in facts]
    return Trade(**dict(zip(Trade.__struct_fields__, shown, strict=True)))


def trade_columns(
    episodes: Sequence[Episode], marks: Sequence[Mark | None], stops: Sequence[Decimal | None], *, currency: str
) -> list[Sequence[Any]]:
    """The fields of `trade_of` in the order of Trade, of many: what an import writes without a record in between.

    ValueError for an episode that is still open.
    """
    closed = [each.closed_at for each in episodes]
    if None in closed or not all(each.out_qty for each in episodes):
        still = [each.id for each in episodes if each.closed_at is None or not each.out_qty]
        raise ValueError(f"still open: {', '.join(still)}")
    openings = [each.opening for each in episodes]
    entries = entry_prices(episodes)
    gross, fees = wires(each.gross for each in episodes), wires(each.fees for each in episodes)  # sums of booked money
    net = wires(map(sub, gross, fees))
    risks = [
        None if stop is None and opening is NOTHING_SAID else _risk(each, entry, stop, currency)
        for each, opening, entry, stop in zip(episodes, openings, entries, stops, strict=True)
    ]
    ranges = [
        (None, None) if mark is None else _excursions(each, mark, entry)
        for each, mark, entry in zip(episodes, marks, entries, strict=True)
    ]
    return [
        [each.id for each in episodes],
        [each.symbol for each in episodes],
        [each.side for each in episodes],
        [opening.strategy for opening in openings],
        wires(each.in_qty for each in episodes),
        [each.opened_at for each in episodes],
        entries,
        closed,
        exit_prices(episodes),
        [each.exit_reason for each in episodes],
        [each.exits for each in episodes],
        gross,
        fees,
        net,
        [float(won / each.in_notional) if each.in_notional else None for won, each in zip(net, episodes, strict=True)],
        risks,
        [float(won / risk) if risk else None for won, risk in zip(net, risks, strict=True)],
        [best for best, _ in ranges],
        [worst for _, worst in ranges],
        [(each.closed_at - each.opened_at) // SECOND for each in episodes if each.closed_at],
        [opening.regime for opening in openings],
        [each.closed_session for each in episodes],
        [opening.decision_id for opening in openings],
        [opening.strategy_version for opening in openings],
        [opening.because for opening in openings],
    ]


def _risk(episode: Episode, entry: Decimal, stop: Decimal | None, currency: str) -> Decimal | None:
    """What was at risk between the entry and the first stop, or the plan's; None where it did not lie beyond."""
    long = episode.side == "long"
    if stop is None:
        stop = _planned_stop(episode.opening, entry, long)
    if stop is None:
        return None
    distance = entry - stop if long else stop - entry
    return wire(book(distance * episode.in_qty, currency)) if distance > 0 else None


def scaled_plan(plan: dict[str, Any], factor: Decimal) -> dict[str, Any]:
    """A plan whose absolute levels follow a split."""
    if factor == 1:
        return plan
    names = [name for name in ("stop_price", "target_price") if plan.get(name) is not None]
    return plan | {name: float(wire(dec(plan[name]) / factor)) for name in names}


def _planned_stop(opening: Opening, entry: Decimal, long: bool) -> Decimal | None:
    stop = opening.plan.get("stop")
    if stop is None:
        return None
    distance = entry * dec(stop)
    return entry - distance if long else entry + distance


def _excursions(episode: Episode, mark: Mark, entry: Decimal) -> tuple[float | None, float | None]:
    """Best and worst price since entry against it, as fractions; None where nobody watched."""
    if mark.high is None or mark.low is None or not entry:
        return None, None
    traded = [part["price"] for part in episode.exits]
    high, low = float(max(mark.high, *traded) / entry - 1), float(min(mark.low, *traded) / entry - 1)
    return (high, low) if episode.side == "long" else (-low, -high)


def _scaled(level: Decimal | None, factor: Decimal) -> float | None:
    return None if level is None else float(wire(level / factor))


def _opens(opens: Opening | None) -> str | None:
    return None if opens is None else json_text(opens)


def _opening(text: str | None) -> Opening | None:
    if text is None:
        return None
    found = json_of(text)
    for name in ("stop_price", "target_price"):
        if found.get(name) is not None:
            found[name] = dec(found[name])
    return Opening(**found)
