"""adopt and release: what the account holds becomes the desk's to manage, or stops being so."""

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from tradekit.desk.book import set_levels
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.orders import cancel_and_wait
from tradekit.desk.plans import plan_of
from tradekit.desk.protect import protect
from tradekit.desk.reconcile import reconcile
from tradekit.desk.sell import working_exit
from tradekit.desk.state import last_price
from tradekit.errors import DataError, UsageError
from tradekit.ids import position_id, stamp
from tradekit.model import Adjustment, AdjustmentKind, Position
from tradekit.money import ZERO
from tradekit.store import Opening


@dataclass(frozen=True)
class AdoptOptions:
    symbol: str
    strategy: str | None = None  # whose exit plan it gets; None: the first that the desk scans with


def adopt(desk: Desk, options: AdoptOptions) -> Position:
    """Take the account's own shares of a symbol under management, with a live exit plan from now on."""
    reconcile(desk)
    symbol = options.symbol
    held = desk.store.positions.open_for(symbol)
    if held is not None:
        return held
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
    with desk.store.transaction():
        desk.store.book_adjustment(row, opens)
        event(desk, "adopt", symbol=symbol, ref=row.id, qty=str(extra))
        set_levels(desk, position_id(symbol, now))
    position = desk.store.positions.open_for(symbol)
    assert position is not None
    protect(desk, position, desk.store.marks.get(position.id))
    return desk.store.positions.open_for(symbol) or position


def exit_plan(desk: Desk, strategy: str) -> dict[str, object]:
    """A strategy's exits, with what desk.yaml changes in them."""
    own = desk.strategies[strategy].exits
    changes = desk.settings.exits.plans.get(strategy)
    found: dict[str, object] = msgspec.to_builtins(own) if changes is None else changes.over(own)
    return found


def release(desk: Desk, symbol: str) -> Position:
    """Stop managing a position: its stop is withdrawn, its shares stay in the account and are never sold."""
    reconcile(desk)
    position = desk.store.positions.open_for(symbol)
    if position is None:
        raise UsageError(
            f"{symbol} is no position of this desk",
            "tradekit positions shows what is managed",
        )
    working = working_exit(desk, position)
    if working is not None:
        raise UsageError(
            f"{symbol} is being sold by {working.id}",
            f"tradekit cancel {working.id}, then release",
        )
    for order in desk.store.orders.live_for(symbol):
        cancel_and_wait(desk, order, "released")
    row = _row(desk, "release", symbol, position.qty, None)
    with desk.store.transaction():
        desk.store.book_adjustment(row)
        event(desk, "release", symbol=symbol, ref=row.id, qty=str(position.qty))
    desk.broker.guard(symbol, None)
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
