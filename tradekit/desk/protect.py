"""The resting stop at the venue: sized by what is held, placed at the first fill, moved up with a trail, never down."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from tradekit.base.crashpoint import crash_point
from tradekit.base.deadline import finishing
from tradekit.clock import iso, parse_time
from tradekit.desk.desk import Desk
from tradekit.desk.dust import is_dust
from tradekit.desk.events import alert_once, event
from tradekit.desk.frozen import UNPRICED, why_frozen
from tradekit.desk.orders import new_order, replacing, send, taken_back
from tradekit.desk.plans import plan_of, protect_price
from tradekit.desk.pretrade import sellable
from tradekit.desk.prices import fresh_limit_s, in_hours, quote
from tradekit.desk.untraded import told_untraded
from tradekit.desk.venue import look
from tradekit.errors import AuthError, Busy, UpstreamError
from tradekit.exits import protect_reason
from tradekit.model import Mark, Order, Position


def live_protection(desk: Desk, position: Position, live: Sequence[Order] | None = None) -> Order | None:
    """The protect order of a position that is still working; `live`: the symbol's live orders, where they are known."""
    for order in desk.store.orders.live_for(position.symbol) if live is None else live:
        if order.purpose == "protect" and order.position_id == position.id:
            return order
    return None


def protect(
    desk: Desk, position: Position, mark: Mark | None, live: Sequence[Order] | None = None, *, or_sell: bool = True
) -> Order | None:
    """Keep the right stop at the venue. Returns an order that was sent; safe to call at every pass.

    Where the price is through the level already the position is sold at once (`or_sell`).
    """
    level = protect_price(desk, position, mark)
    resting = live_protection(desk, position, live)
    if level is None or "stop" not in desk.broker.capabilities.order_types:
        return None
    if resting is not None and resting.status in ("intended", "unknown"):
        return None  # reconcile settles it first
    if resting is not None and _covers(resting, position, level):
        return None
    if is_dust(desk, position) or why_frozen(desk, position.symbol, *UNPRICED) is not None or _let_go(desk, position):
        return None
    if resting is not None:
        level = max(level, resting.stop_price or level)
        with replacing(desk):
            if not taken_back(desk, resting, f"moving the stop to {level}"):
                return None
            try:
                return _place_at_once(desk, position.id, level, or_sell)
            except (UpstreamError, AuthError, Busy):  # one answer that did not come leaves no position bare
                return _place_at_once(desk, position.id, level, or_sell)
    return _place_at_once(desk, position.id, level, or_sell)


def let_go_until(desk: Desk, position: Position, until: datetime | None) -> None:
    """It is being released: no new stop is placed before that time; None: that is over."""
    desk.store.meta.set(f"releasing:{position.id}", None if until is None else iso(until))


def _let_go(desk: Desk, position: Position) -> bool:
    until = desk.store.meta.get(f"releasing:{position.id}")
    return until is not None and desk.clock.now() < parse_time(until)


def _covers(resting: Order, position: Position, level: Decimal) -> bool:
    left = resting.qty - resting.filled_qty
    return left == position.qty and resting.stop_price is not None and resting.stop_price >= level


def _place_at_once(desk: Desk, name: str, level: Decimal, or_sell: bool) -> Order | None:
    with finishing():  # the shares are uncovered: whatever time is left is for the new stop
        return _place(desk, name, level, or_sell)


def _place(desk: Desk, name: str, level: Decimal, or_sell: bool) -> Order | None:
    position = desk.store.positions.get(name)
    if position is None or position.qty <= 0 or _let_go(desk, position):
        return None
    refused = refusals(desk, position)
    if len(refused) >= desk.settings.exits.stop_tries:
        _stay_loud(desk, position, refused[-1])
        if desk.clock.now() - refused[-1].created_at < _pause(desk, len(refused)):
            return None
    if through(desk, position.symbol, level):
        return _unplaceable(desk, position, level, or_sell)
    qty = min(position.qty, sellable(desk, position.symbol, look(desk, for_entry=False)))
    sent = send(desk, _stop(desk, position, qty, level)) if qty > 0 else None
    if sent is not None and sent.status not in ("rejected", "expired", "unknown"):
        desk.store.positions.set_protected(position.id, sent.id)
        crash_point("stop_committed")
        desk.count("stops")
        return sent
    if position.protected_by not in (None, _working_stop(desk, position)):
        desk.store.positions.set_protected(position.id, None)
    if sent is not None and sent.status == "rejected":
        return _refused(desk, position, sent, level, or_sell)
    return sent


def _working_stop(desk: Desk, position: Position) -> str | None:
    """The id of the stop that works now: perhaps another process has placed one meanwhile."""
    resting = live_protection(desk, position)
    return None if resting is None else resting.id


def _stop(desk: Desk, position: Position, qty: Decimal, level: Decimal) -> Order:
    return new_order(
        desk,
        subject=position.id,
        purpose="protect",
        symbol=position.symbol,
        side="sell",
        qty=qty,
        type_="stop",
        tif="day" if position.intent == "day" else "gtc",
        reason=protect_reason(plan_of(position.plan)),
        because=f"resting stop at {level}",
        stop_price=level,
        position_id=position.id,
        decision_id=position.decision_id,
    )


def through(desk: Desk, symbol: str, level: Decimal) -> bool:
    """A fresh price stands at or under the level, so that no stop can rest there."""
    seen = quote(desk, symbol)
    if seen is None or not in_hours(desk):
        return False
    age = (desk.clock.now() - seen.at).total_seconds()
    return seen.last <= level and age <= fresh_limit_s(desk, symbol)


def _unplaceable(desk: Desk, position: Position, level: Decimal, or_sell: bool) -> Order | None:
    """What the stop was there to prevent has happened: sell now, in this pass."""
    from tradekit.desk.sell import sell

    event(desk, "stop.unplaceable", symbol=position.symbol, ref=position.id, level=str(level))
    if not or_sell or not in_hours(desk):
        return None
    because = f"the price is through the resting stop's level of {level}"
    return sell(desk, position, purpose="exit", reason="stop unplaceable", because=because, level=level)


def _refused(desk: Desk, position: Position, order: Order, level: Decimal, or_sell: bool) -> Order | None:
    if order.raw_status == "stop-through" or through(desk, position.symbol, level):
        return _unplaceable(desk, position, level, or_sell)
    if len(refusals(desk, position)) >= desk.settings.exits.stop_tries:
        _stay_loud(desk, position, order)
    return order


def refusals(desk: Desk, position: Position) -> list[Order]:
    """The stops that the venue refused since the last one that it took, oldest first."""
    stops = [order for order in desk.store.orders.for_position(position.id) if order.purpose == "protect"]
    return refused_last(stops, lambda order: order.status == "rejected")


def refused_last(orders: Sequence[Order], refused: Callable[[Order], bool]) -> list[Order]:
    """The orders at the end of the row that were refused, oldest first."""
    return list(takewhile(refused, reversed(orders)))[::-1]


def _stay_loud(desk: Desk, position: Position, refused: Order) -> None:
    if told_untraded(desk, position, refused):
        return
    message = f"{position.symbol}: no stop rests at the venue: {refused.error}"
    every_s = desk.settings.exits.unprotected_every_s
    alert_once(desk, "unprotected", message, symbol=position.symbol, ref=position.id, every_s=every_s)


def _pause(desk: Desk, refused: int) -> timedelta:
    rules = desk.settings.exits
    return timedelta(seconds=min(rules.stop_retry_s * 2.0 ** (refused - rules.stop_tries), rules.longest_stop_retry_s))
