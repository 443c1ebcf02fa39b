"""Close a position: make room by cancelling our own stop, sell what is ours, put the stop back if the sale failed."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once, event
from tradekit.desk.orders import cancel_and_wait, new_order, send
from tradekit.desk.protect import live_protection, protect
from tradekit.desk.state import in_hours, quote
from tradekit.model import FINAL_STATUSES, Order, OrderType, Position, Purpose, Tif
from tradekit.money import ZERO, dec, floor_tick

LEAVING = ("exit", "liquidate")


def working_exit(desk: Desk, position: Position, live: Sequence[Order] | None = None) -> Order | None:
    """The exit or liquidate order that is already on its way for this position; `live` as in live_protection."""
    for order in desk.store.orders.live_for(position.symbol) if live is None else live:
        if order.purpose in LEAVING and order.position_id == position.id:
            return order
    return None


def sellable(desk: Desk, symbol: str) -> Decimal:
    """min(owned, what the venue has now) less every working or unknown sell."""
    owned = desk.store.owned().get(symbol, ZERO)
    there = sum((p.qty for p in desk.broker.positions() if p.symbol == symbol), ZERO)
    promised = sum(
        (order.qty - order.filled_qty for order in desk.store.orders.live_for(symbol) if order.side == "sell"),
        ZERO,
    )
    return min(owned, there) - promised


def sell(
    desk: Desk,
    position: Position,
    *,
    purpose: Purpose,
    reason: str,
    because: str,
    level: Decimal | None = None,
    trigger_at: datetime | None = None,
    limit: bool = False,
    on_open: bool = False,
    on_close: bool = False,
    discount: float | None = None,
) -> Order | None:
    """Send the order that closes `position`, or None where one is working or our own stop is still being cancelled.

    `level` is the price that asked for the exit, `trigger_at` the start of the bar that touched it. `limit` asks for a
    marketable limit; outside regular hours there is no other kind.
    """
    from tradekit.risk import exit_gate

    if working_exit(desk, position):
        return None
    name = position.id
    resting = live_protection(desk, position)
    if resting is not None:
        resting = cancel_and_wait(desk, resting, f"making room: {reason}")
        if resting.status not in FINAL_STATUSES:
            return None  # the next pass sells, once the venue has let go
    position = desk.store.positions.get(name) or position
    free = sellable(desk, position.symbol)
    qty = min(position.qty, free)
    verdict = exit_gate(qty, free, level)
    if not verdict.approved:
        if position.qty > 0:
            alert_once(
                desk,
                "exit-refused",
                f"{position.symbol}: {verdict.because}",
                symbol=position.symbol,
                ref=position.id,
            )
        return None
    type_, tif, price = _kind(
        desk,
        position,
        limit=limit,
        on_open=on_open,
        on_close=on_close,
        discount=discount,
    )
    order = new_order(
        desk,
        subject=position.id,
        purpose=purpose,
        symbol=position.symbol,
        side="sell",
        qty=qty,
        type_=type_,
        tif=tif,
        reason=reason,
        because=because,
        limit_price=price,
        decision_price=level or position.last_price,
        trigger_at=trigger_at,
        extended_hours=type_ == "limit" and tif == "day" and not in_hours(desk),
        position_id=position.id,
        decision_id=position.decision_id,
    )
    sent = send(desk, order)
    if sent is None:
        return None
    if sent.status == "rejected":
        _keep_safe(desk, position, sent)
    desk.count("exits")
    return sent


def _kind(
    desk: Desk,
    position: Position,
    *,
    limit: bool,
    on_open: bool,
    on_close: bool,
    discount: float | None,
) -> tuple[OrderType, Tif, Decimal | None]:
    if on_open:
        return "market", "opg", None
    if on_close:
        return "market", "cls", None
    if not limit and (in_hours(desk) or not desk.broker.capabilities.extended_hours):
        return "market", "day", None
    seen = quote(desk, position.symbol)
    if seen is None:
        return "market", "day", None
    share = dec(discount if discount is not None else desk.settings.exits.limit_offset)
    return "limit", "day", floor_tick(seen.bid * (1 - share), desk.settings.market.tick)


def _keep_safe(desk: Desk, position: Position, refused: Order) -> None:
    """The sale failed: restore the stop, and stay loud until the next pass has sold it."""
    event(desk, "exit.failed", symbol=position.symbol, ref=refused.id, error=refused.error)
    alert_once(
        desk,
        "exit-failed",
        f"{position.symbol}: the venue refused {refused.id}: {refused.error}",
        ref=position.id,
        every_s=600,
    )
    current = desk.store.positions.get(position.id)
    if current is not None:
        protect(desk, current, desk.store.marks.get(position.id))
