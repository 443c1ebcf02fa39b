"""Book a fill or an adjustment: the only way by which positions and trades change.

Each booking folds the symbol again from the start of the episode that it falls into; nothing before can change.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tradekit.errors import UsageError
from tradekit.model import Adjustment, Fill, Mark, Order, Position, Record, Trade
from tradekit.money import ZERO, book, dec, wire
from tradekit.store.connection import Db
from tradekit.store.fold import Episode, Move, Opening, cash_of, cash_of_adjustment, fold, from_adjustment, from_fill
from tradekit.store.orders import status_after_fill, totals
from tradekit.store.rows import codec, json_of, json_text, time_of, time_text
from tradekit.store.trades import trade_codec

LEVELS = ("stop_price", "target_price", "initial_stop")


class Booked(Record, frozen=True, kw_only=True):
    """What a booking did. `position` is the open one that it belongs to, `trade` the one that it closed or changed."""

    new: bool
    position: Position | None = None
    trade: Trade | None = None
    amended: bool = False  # a trade that was written before has changed


class _Old(NamedTuple):
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
            self._fill_order(fill.order_id)
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
            trade = self._trade(episode, initial)
            if trade != before.get(episode.id):
                amended = amended or episode.id in before
                self._write_trade(trade)
            if trigger in episode.moves:
                closed = trade
        self._write_homes(episodes, homes)
        return closed, amended, held

    # What is there

    def episodes_from(self, symbol: str, at: datetime) -> tuple[datetime, dict[str, _Old]]:
        """The instant before which nothing changes, and the positions from there on."""
        sql = (
            "SELECT id, opened_at, initial_stop FROM positions "
            "WHERE symbol = ? AND (closed_at IS NULL OR closed_at >= ?) ORDER BY opened_at, rowid"
        )
        start = at
        while True:
            found = [
                _Old(id, time_of(opened), None if stop is None else dec(stop))
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

    def _trades(self, old: dict[str, _Old]) -> dict[str, Trade]:
        if not old:
            return {}
        c = trade_codec()
        sql = f"SELECT {c.columns} FROM trades WHERE id IN ({', '.join('?' * len(old))})"
        return {row[0]: c.record(row) for row in self._db.rows(sql, list(old))}

    # What is written

    def _write_position(self, episode: Episode, old: _Old | None) -> Decimal | None:
        """Insert or update; the stop that planned risk counts from."""
        closed_at = None if episode.closed_at is None else time_text(episode.closed_at)
        numbers = [float(wire(x)) for x in (episode.qty, episode.avg_price, book(episode.cost, self._currency))]
        facts = [episode.symbol, episode.side, *numbers, time_text(episode.opened_at), episode.session.isoformat()]
        if old is not None:
            sql = (
                "UPDATE positions SET symbol = ?, side = ?, qty = ?, avg_price = ?, cost = ?, opened_at = ?, "
                "session = ?, closed_at = ? WHERE id = ?"
            )
            self._db.run(sql, [*facts, closed_at, episode.id])
            return old.initial_stop
        opening = episode.opening
        stop, target = (_scaled(level, episode.split) for level in (opening.stop_price, opening.target_price))
        sql = (
            "INSERT INTO positions (id, symbol, side, qty, avg_price, cost, opened_at, session, closed_at, strategy, "
            "cap, intent, plan, stop_price, target_price, initial_stop, decision_id, master) "
            f"VALUES ({', '.join('?' * 18)})"
        )
        self._db.run(
            sql,
            [
                episode.id, *facts, closed_at, opening.strategy, opening.cap, opening.intent,
                json_text(scaled_plan(opening.plan, episode.split)), stop, target, stop, opening.decision_id,
                int(opening.master),
            ],
        )  # fmt: skip
        return None if stop is None else dec(stop)

    def _trade(self, episode: Episode, initial_stop: Decimal | None) -> Trade:
        c = codec(Mark)
        sql = f"SELECT {c.columns} FROM marks WHERE position_id = ?"
        row = self._db.row(sql, [episode.id])
        return trade_of(episode, c.record(row) if row else None, initial_stop, currency=self._currency)

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

    def _fill_order(self, id: str) -> None:
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

    def add_cash(self, delta: Decimal) -> None:
        if delta:
            total = Decimal(self._db.value("SELECT value FROM meta WHERE key = 'cash'") or 0) + delta
            self._db.run("INSERT OR REPLACE INTO meta (key, value) VALUES ('cash', ?)", [str(total)])

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


def trade_of(episode: Episode, mark: Mark | None, initial_stop: Decimal | None, *, currency: str = "USD") -> Trade:
    """The trade of a closed episode. `initial_stop` is the first stop that was set; the opening's plan stands in."""
    if episode.closed_at is None or episode.closed_session is None or episode.exit_price is None:
        raise ValueError(f"{episode.id} is still open")
    opening, long = episode.opening, episode.side == "long"
    entry, exit_price = episode.entry_price, episode.exit_price
    gross, fees = wire(book(episode.gross, currency)), wire(book(episode.fees, currency))
    net = wire(gross - fees)
    stop = initial_stop if initial_stop is not None else _planned_stop(opening, entry, long)
    distance = ZERO if stop is None else (entry - stop if long else stop - entry)
    risk = wire(book(distance * episode.in_qty, currency)) if distance > 0 else None
    best, worst = _excursions(episode, mark, entry, long)
    return Trade(
        id=episode.id,
        symbol=episode.symbol,
        side=episode.side,
        strategy=opening.strategy,
        qty=wire(episode.in_qty),
        entry_at=episode.opened_at,
        entry_price=entry,
        exit_at=episode.closed_at,
        exit_price=exit_price,
        exit_reason=episode.exit_reason,
        exits=[part | {"qty": wire(part["qty"])} for part in episode.exits],
        gross=gross,
        fees=fees,
        net=net,
        return_pct=float(net / episode.in_notional) if episode.in_notional else None,
        planned_risk=risk,
        r_multiple=float(net / risk) if risk else None,
        mfe=best,
        mae=worst,
        hold_s=int((episode.closed_at - episode.opened_at).total_seconds()),
        regime=opening.regime,
        session=episode.closed_session,
        decision_id=opening.decision_id,
        strategy_version=opening.strategy_version,
        because=opening.because,
    )


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


def _excursions(episode: Episode, mark: Mark | None, entry: Decimal, long: bool) -> tuple[float | None, float | None]:
    """Best and worst price since entry against it, as fractions; None where nobody watched."""
    if mark is None or mark.high is None or mark.low is None or not entry:
        return None, None
    traded = [part["price"] for part in episode.exits]
    high, low = float(max(mark.high, *traded) / entry - 1), float(min(mark.low, *traded) / entry - 1)
    return (high, low) if long else (-low, -high)


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
