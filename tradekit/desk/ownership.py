"""adopt and release: what the account holds becomes the desk's to manage, or stops being so.

Also what only an operator knows of shares that went: `adopt NEW --was OLD` after a symbol change, `release OLD --paid`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import msgspec

from tradekit.desk.book import set_levels
from tradekit.desk.claims import claim, others
from tradekit.desk.corporate import back_again, factor_of
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.orders import replacing, submit_lock, taken_back
from tradekit.desk.plans import plan_of
from tradekit.desk.prices import last_price
from tradekit.desk.protect import let_go_until, protect
from tradekit.desk.reconcile import reconcile
from tradekit.desk.sell import working_exit
from tradekit.errors import BrokerError, DataError, UsageError
from tradekit.ids import position_id, stamp
from tradekit.model import Adjustment, AdjustmentKind, Mark, Position
from tradekit.money import ZERO, wire
from tradekit.store import Opening


@dataclass(frozen=True)
class AdoptOptions:
    symbol: str
    strategy: str | None = None  # whose exit plan it gets; None: the first that the desk scans with
    was: str | None = None  # the symbol under which the desk bought it


def adopt(desk: Desk, options: AdoptOptions) -> Position:
    """Take the account's own shares of a symbol under management, with a live exit plan from now on."""
    reconcile(desk)
    symbol = options.symbol
    held = desk.store.positions.open_for(symbol)
    if held is not None:
        return held
    if options.was is not None:
        return _renamed(desk, options.was, symbol)
    there = next((p for p in desk.broker.positions() if p.symbol == symbol), None)
    extra = (there.qty if there else ZERO) - desk.store.owned().get(symbol, ZERO)
    if there is None or extra <= 0:
        raise UsageError(
            f"{symbol}: the account holds no shares that are not managed",
            "tradekit positions shows what is held",
        )
    price = there.avg_price or last_price(desk, symbol)
    if price is None:
        raise DataError(
            f"{symbol}: nobody knows a price to start from",
            "tradekit data import FILE --timeframe 1d",
        )
    strategy = options.strategy or desk.settings.scan.strategies[0]
    now = desk.clock.now()
    plan = exit_plan(desk, strategy)
    opens = Opening(
        position_id=position_id(symbol, now),
        strategy=strategy,
        cap=desk.cap(symbol),
        intent=plan_of(plan).intent,
        plan=plan,
        stop_price=None,
        target_price=None,
        decision_id=None,
        master=False,
        regime=None,
        strategy_version=desk.code_version,
        because="adopted by the operator",
    )
    row = _row(desk, "adopt", symbol, extra, extra * price)
    with _claimed(desk, symbol), desk.store.transaction():
        desk.store.book_adjustment(row, opens)
        event(desk, "adopt", symbol=symbol, ref=row.id, qty=str(extra))
        set_levels(desk, position_id(symbol, now))
    position = desk.store.positions.open_for(symbol)
    assert position is not None
    protect(desk, position, desk.store.marks.get(position.id))
    return desk.store.positions.open_for(symbol) or position


@contextmanager
def _claimed(desk: Desk, symbol: str) -> Iterator[None]:
    """Two desks of one account must not both manage the same shares."""
    with submit_lock(desk, wait_s=desk.settings.exits.submit_wait_s):
        if symbol in others(desk):
            raise UsageError(f"{symbol}: another desk of this account manages it", "release it there first")
        claim(desk, symbol)
        yield


def _renamed(desk: Desk, old: str, new: str) -> Position:
    """Carry a position over to the symbol that its shares have now; UsageError where the account says otherwise."""
    position, mark = _gone(desk, old)
    there = next((p.qty for p in desk.broker.positions() if p.symbol == new), ZERO) - desk.store.owned().get(new, ZERO)
    factor = factor_of(position.qty, there)
    if factor is None:
        fix = f"tradekit release {old} --paid CASH, then tradekit adopt {new}"
        raise UsageError(
            f"{new}: the account holds {there}, which is no whole multiple of the {position.qty} {old}", fix
        )
    with _claimed(desk, new), desk.store.transaction():
        if factor != 1:
            ratio = wire(Decimal(factor.numerator) / Decimal(factor.denominator))
            desk.store.book_adjustment(_row(desk, "split", old, ratio, None))
            position, mark = desk.store.positions.open_for(old) or position, desk.store.marks.get(position.id)
        name = position_id(new, desk.clock.now())
        opens = Opening(
            position_id=name,
            strategy=position.strategy,
            cap=position.cap,
            intent=position.intent,
            plan=position.plan,
            stop_price=position.stop_price,
            target_price=position.target_price,
            decision_id=position.decision_id,
            master=position.master,
            regime=None,
            strategy_version=desk.code_version,
            because=f"was {old} until its symbol changed",
        )
        desk.store.book_adjustment(_row(desk, "release", old, position.qty, None))
        row = _row(desk, "adopt", new, there, position.qty * position.avg_price)
        desk.store.book_adjustment(row, opens)
        desk.store.positions.set_plan(name, position.plan, position.stop_price, position.target_price)
        if mark is not None:
            desk.store.marks.save([msgspec.structs.replace(mark, position_id=name)])
        event(desk, "renamed", symbol=new, ref=row.id, was=old, qty=str(there))
        back_again(desk, old)
    carried = desk.store.positions.open_for(new)
    assert carried is not None
    protect(desk, carried, desk.store.marks.get(carried.id))
    return desk.store.positions.open_for(new) or carried


def _gone(desk: Desk, symbol: str) -> tuple[Position, Mark | None]:
    """A position whose shares are in the account no more and whose orders are over."""
    position = _managed(desk, symbol)
    left = sum((p.qty for p in desk.broker.positions() if p.symbol == symbol), ZERO)
    if left > 0:
        raise UsageError(f"{symbol}: the account still holds {left}", "tradekit positions")
    with replacing(desk):
        _take_all_back(desk, symbol, "its shares are gone")
    return position, desk.store.marks.get(position.id)


def _take_all_back(desk: Desk, symbol: str, because: str) -> None:
    """No order of the symbol works any more; BrokerError where the venue does not call one over in its time."""
    for order in desk.store.orders.live_for(symbol):
        if not taken_back(desk, order, because):
            raise BrokerError(
                f"{symbol}: {order.id} may still fill: {desk.broker.name} was asked to cancel it and does not call it "
                "over yet",
                "the same command again in a minute",
            )


def _managed(desk: Desk, symbol: str) -> Position:
    position = desk.store.positions.open_for(symbol)
    if position is None:
        raise UsageError(f"{symbol} is no position of this desk", "tradekit positions shows what is managed")
    return position


def exit_plan(desk: Desk, strategy: str) -> dict[str, object]:
    """A strategy's exits, with what desk.yaml changes in them."""
    own = desk.strategies[strategy].exits
    changes = desk.settings.exits.plans.get(strategy)
    found: dict[str, object] = msgspec.to_builtins(own) if changes is None else changes.over(own)
    return found


def release(desk: Desk, symbol: str, paid: Decimal | None = None) -> Position:
    """Stop managing a position: its stop is withdrawn, its shares stay in the account and are never sold.

    `paid`: the shares are gone, delisted or taken over, and so much money came for them in all, quote currency.
    Raises BrokerError while the stop may still fill at the venue: then it stays managed and gets no other stop until
    the command, run again, has released it or its time (deadlines.other) is over.
    """
    reconcile(desk)
    if paid is not None:
        return _paid_out(desk, symbol, paid)
    position = _managed(desk, symbol)
    _not_being_sold(desk, position)
    with replacing(desk):
        _not_being_sold(desk, position)
        let_go_until(desk, position, desk.clock.now() + timedelta(seconds=desk.settings.deadlines.other))
        _take_all_back(desk, symbol, "released")
        position = _still_held(desk, position)
        row = _row(desk, "release", symbol, position.qty, None)
        with desk.store.transaction():
            desk.store.book_adjustment(row)
            let_go_until(desk, position, None)
            event(desk, "release", symbol=symbol, ref=row.id, qty=str(position.qty))
    desk.broker.guard({symbol: None})
    return position


def _not_being_sold(desk: Desk, position: Position) -> None:
    working = working_exit(desk, position)
    if working is not None:
        raise UsageError(
            f"{position.symbol} is being sold by {working.id}",
            f"tradekit cancel {working.id}, then release",
        )


def _still_held(desk: Desk, position: Position) -> Position:
    """The position as it is now that none of its orders can fill any more."""
    current = desk.store.positions.get(position.id)
    if current is None or current.qty <= 0:
        raise UsageError(f"{position.symbol}: its stop filled before the venue cancelled it", "tradekit trades")
    return current


def _paid_out(desk: Desk, symbol: str, paid: Decimal) -> Position:
    position, _ = _gone(desk, symbol)
    row = _row(desk, "cash-in-lieu", symbol, position.qty, paid)
    with desk.store.transaction():
        desk.store.book_adjustment(row)
        event(desk, "release", symbol=symbol, ref=row.id, qty=str(position.qty), paid=str(paid))
        back_again(desk, symbol)
    desk.broker.guard({symbol: None})
    return position


def _row(desk: Desk, kind: AdjustmentKind, symbol: str, qty: Decimal, amount: Decimal | None) -> Adjustment:
    now = desk.clock.now()
    return Adjustment(
        id=f"{kind}-{symbol}-{stamp(now)}",
        at=now,
        kind=kind,
        symbol=symbol,
        qty=qty,
        amount=amount,
        ref=None,
    )
