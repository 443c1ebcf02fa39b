"""The resting stop at the venue: sized by what is held, placed at the first fill, moved up with a trail, never down."""

from collections.abc import Sequence
from decimal import Decimal

from tradekit.base.crashpoint import crash_point
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.orders import cancel_and_wait, new_order, send
from tradekit.desk.plans import plan_of, protect_price
from tradekit.desk.state import last_price
from tradekit.exits import protect_reason
from tradekit.model import FINAL_STATUSES, Mark, Order, Position

TRIES = 3


def live_protection(desk: Desk, position: Position, live: Sequence[Order] | None = None) -> Order | None:
    """The protect order of a position that is still working; `live`: the symbol's live orders, where they are known."""
    for order in desk.store.orders.live_for(position.symbol) if live is None else live:
        if order.purpose == "protect" and order.position_id == position.id:
            return order
    return None


def protect(desk: Desk, position: Position, mark: Mark | None, live: Sequence[Order] | None = None) -> Order | None:
    """Keep the right stop at the venue. Returns an order that was sent; safe to call at every pass."""
    level = protect_price(desk, position, mark)
    resting = live_protection(desk, position, live)
    if level is None or "stop" not in desk.broker.capabilities.order_types:
        return None
    if resting is not None and resting.status in ("intended", "unknown"):
        return None  # reconcile settles it first
    if resting is not None and _covers(resting, position, level):
        return None
    if resting is not None:
        level = max(level, resting.stop_price or level)
        gone = cancel_and_wait(desk, resting, f"moving the stop to {level}")
        if gone.status not in FINAL_STATUSES or gone.status == "filled":
            return None
    return _place(desk, position.id, level)


def _covers(resting: Order, position: Position, level: Decimal) -> bool:
    left = resting.qty - resting.filled_qty
    return left == position.qty and resting.stop_price is not None and resting.stop_price >= level


def _place(desk: Desk, name: str, level: Decimal) -> Order | None:
    position = desk.store.positions.get(name)
    if position is None or position.qty <= 0:
        return None
    price = last_price(desk, position.symbol)
    if price is not None and price <= level:
        event(
            desk,
            "stop.unplaceable",
            symbol=position.symbol,
            ref=position.id,
            level=str(level),
            price=str(price),
        )
        return None  # the exit rules of this pass sell it instead
    order = new_order(
        desk,
        subject=position.id,
        purpose="protect",
        symbol=position.symbol,
        side="sell",
        qty=position.qty,
        type_="stop",
        tif="day" if position.intent == "day" else "gtc",
        reason=protect_reason(plan_of(position.plan)),
        because=f"resting stop at {level}",
        stop_price=level,
        position_id=position.id,
        decision_id=position.decision_id,
    )
    sent = send(desk, order)
    if sent is not None and sent.status not in ("rejected", "unknown"):
        desk.store.positions.set_protected(position.id, sent.id)
        crash_point("stop_committed")
        desk.count("stops")
    elif sent is not None and sent.status == "rejected":
        _warn(desk, position, sent)
    return sent


def _warn(desk: Desk, position: Position, refused: Order) -> None:
    tries = sum(
        order.status == "rejected" and order.purpose == "protect"
        for order in desk.store.orders.for_position(position.id)
    )
    if tries == TRIES:
        alert(
            desk,
            "unprotected",
            f"{position.symbol}: no stop after {tries} tries: {refused.error}",
            ref=position.id,
        )
    elif tries > TRIES:
        alert_once(
            desk,
            "unprotected",
            f"{position.symbol}: still no stop: {refused.error}",
            ref=position.id,
        )
