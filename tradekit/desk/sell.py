"""Close a position: make room by cancelling our own stop, sell what is ours, put the stop back if the sale failed."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tradekit.base.deadline import finishing, over
from tradekit.desk.desk import Desk
from tradekit.desk.dust import is_dust
from tradekit.desk.events import alert_once, event
from tradekit.desk.extended import bound_of, discount_now, nothing_trades
from tradekit.desk.match import row_of
from tradekit.desk.orders import new_order, refresh, replacing, send, taken_back
from tradekit.desk.pretrade import sellable
from tradekit.desk.prices import in_hours, quote
from tradekit.desk.protect import live_protection, protect, refused_last
from tradekit.desk.untraded import told_untraded
from tradekit.desk.venue import look
from tradekit.errors import AuthError, BrokerError, Busy, UpstreamError, UsageError
from tradekit.model import Order, OrderType, Position, Purpose, Tif
from tradekit.money import dec, floor_tick

LEAVING = ("exit", "liquidate")


class Hour(NamedTuple):
    """How the hour wants a position closed: the words of `sell`."""

    limit: bool
    on_open: bool
    on_close: bool
    discount: float | None


class Kind(NamedTuple):
    """The sort of order that closes it then."""

    type: OrderType
    tif: Tif
    limit_price: Decimal | None


def working_exit(desk: Desk, position: Position, live: Sequence[Order] | None = None) -> Order | None:
    """The exit or liquidate order that is already on its way for this position; `live` as in live_protection."""
    for order in desk.store.orders.live_for(position.symbol) if live is None else live:
        if order.purpose in LEAVING and order.position_id == position.id:
            return order
    return None


def sell(
    desk: Desk,
    position: Position,
    *,
    purpose: Purpose,
    reason: str,
    because: str,
    level: Decimal | None = None,
    trigger_at: datetime | None = None,
    instead_of: Order | None = None,
    limit: bool = False,
    on_open: bool = False,
    on_close: bool = False,
    discount: float | None = None,
) -> Order | None:
    """Send the order that closes `position`, or None where one is working or our own stop is still being cancelled.
    A CLOSE that was decided is used when the venue has not refused the sale; else it stays pending for the next pass.

    `level` is the price that asked for the exit, `trigger_at` the start of the bar that touched it; `instead_of` is a
    working sale that gives way to this one. `limit` asks for a marketable limit; outside regular hours there is no
    other kind, and `discount` is the most it gives way. Raises Busy, TimeIsOver or BrokerError with nothing taken back
    where another process sends for the account, no time is left or the venue cannot be read.
    """
    if _is_leaving(desk, position, instead_of) or is_dust(desk, position):
        return None
    refused = refusals(desk, position)
    if purpose == "exit" and refused and desk.clock.now() - refused[-1].created_at < _pause(desk, len(refused)):
        return None  # still loud, tried again later
    on_open = on_open or (not on_close and nothing_trades(desk))
    limit = limit or (in_hours(desk) and len(refused) % 2 == 1)  # refused as a market order: the other kind
    discount = bound_of(desk, position, reason) if discount is None else discount
    hour = Hour(limit=limit, on_open=on_open, on_close=on_close, discount=discount)
    facts = {"purpose": purpose, "reason": reason, "because": because, "trigger_at": trigger_at}
    with replacing(desk):
        if _is_leaving(desk, position, instead_of):
            return None  # whoever had the turn before has sold it
        _kind(desk, position, hour)  # what the venue cannot do is said while the stop is there
        if not _room(desk, position, instead_of, f"making room: {reason}"):
            return None  # the next pass sells, once the venue has let go
        sent = _in_its_place(desk, position, hour, facts, level)
    if sent is not None:
        desk.count("exits")
        if not was_refused(sent):
            desk.store.decisions.close_used(position.id)
    return sent


def _is_leaving(desk: Desk, position: Position, instead_of: Order | None) -> bool:
    """Sold, or on its way out by another order than the one that gives way."""
    current, working = desk.store.positions.get(position.id), working_exit(desk, position)
    gone = current is None or current.qty <= 0
    return gone or (working is not None and (instead_of is None or working.id != instead_of.id))


def was_refused(order: Order) -> bool:
    """Nothing of it is, or ever was, at the venue: whoever asked for the sale still wants it."""
    return order.status == "rejected" or (order.status == "expired" and order.broker_order_id is None)


def refusals(desk: Desk, position: Position) -> list[Order]:
    """The exits that the venue refused since the last one that it took, oldest first."""
    sales = [order for order in desk.store.orders.for_position(position.id) if order.purpose in LEAVING]
    return refused_last(sales, was_refused)


def _pause(desk: Desk, refused: int) -> timedelta:
    rules = desk.settings.exits
    return timedelta(seconds=min(rules.retry_s * 2.0 ** (refused - 1), rules.longest_retry_s))


def _room(desk: Desk, position: Position, instead_of: Order | None, because: str) -> bool:
    """Our own stop and what gives way are out of the way, for certain."""
    standing = [order for order in (instead_of, live_protection(desk, position)) if order is not None]
    return all(taken_back(desk, order, because) for order in standing)


def _in_its_place(
    desk: Desk, position: Position, hour: Hour, facts: dict[str, Any], level: Decimal | None
) -> Order | None:
    """The sale, or the stop again where the sale cannot be sent: whatever time is left is for one of them."""
    with finishing():
        try:
            sent = _send(desk, position, hour, facts, level)
            if sent is not None and _is_held(sent) and _free(desk, position.symbol):
                sent = _send(desk, position, hour, facts, level)
        except (UpstreamError, AuthError, Busy):
            with suppress(UpstreamError, AuthError, Busy):
                _put_back(desk, position)
            raise
        if sent is None or sent.status in ("rejected", "expired"):
            _keep_safe(desk, position, sent)
        return sent


def _send(desk: Desk, position: Position, hour: Hour, facts: dict[str, Any], level: Decimal | None) -> Order | None:
    """One order for what is left of the position and free to sell; None: there is nothing, and it says so."""
    from tradekit.risk import exit_gate

    position = desk.store.positions.get(position.id) or position
    free = sellable(desk, position.symbol, look(desk, for_entry=False))
    qty = min(position.qty, free)
    verdict = exit_gate(qty, free, level)
    if not verdict.approved:
        if position.qty > 0:
            message = f"{position.symbol}: {verdict.because}"
            alert_once(desk, "exit-refused", message, symbol=position.symbol, ref=position.id)
        return None
    kind = _kind(desk, position, hour)
    order = new_order(
        desk,
        subject=position.id,
        symbol=position.symbol,
        side="sell",
        qty=qty,
        type_=kind.type,
        tif=kind.tif,
        limit_price=kind.limit_price,
        decision_price=level or position.last_price,
        extended_hours=kind.type == "limit" and kind.tif == "day" and not in_hours(desk),
        position_id=position.id,
        decision_id=position.decision_id,
        **facts,
    )
    return send(desk, order)


def _kind(desk: Desk, position: Position, hour: Hour) -> Kind:
    if hour.on_open:
        return Kind("market", _on_open(desk, position), None)
    if hour.on_close:
        return Kind("market", "cls", None)
    if not hour.limit and (in_hours(desk) or not desk.broker.capabilities.extended_hours):
        return Kind("market", "day", None)
    seen = quote(desk, position.symbol)
    if seen is None:
        return Kind("market", "day", None)
    share = desk.settings.exits.limit_offset if in_hours(desk) else discount_now(desk, position, hour.discount)
    price = floor_tick(seen.bid * (1 - dec(share)), desk.settings.market.tick_of(position.symbol))
    return Kind("limit", "day", price)


def _on_open(desk: Desk, position: Position) -> Tif:
    """On-open where the venue still takes it; else a day order, which waits for the open all the same."""
    now = desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if "opg" not in desk.broker.capabilities.tifs:
        if in_hours(desk):
            hint = "ask again after the close, or leave --at-open away"
            raise UsageError(f"{position.symbol}: {desk.broker.name} has no on-open orders", hint)
        return "day"
    until = timedelta(seconds=desk.settings.entry.on_open_until_s)
    late = session is not None and session.open - until <= now < session.open
    return "day" if late else "opg"


def _is_held(sent: Order) -> bool:
    """Refused because another order holds the shares."""
    return sent.status == "rejected" and (sent.raw_status == "held" or "held" in (sent.error or "").lower())


def _free(desk: Desk, symbol: str) -> bool:
    """Take back every resting sell of ours that the venue still has, and see that they are gone."""
    mine = [(answer, row) for answer in _sells(desk, symbol) if (row := row_of(desk, answer)) is not None]
    for answer, row in mine:
        event(desk, "order.cancel-asked", symbol=symbol, ref=row.id, because="it holds the shares of an exit")
        try:
            desk.broker.cancel(answer.broker_order_id)
        except BrokerError as problem:
            event(desk, "order.cancel-failed", symbol=symbol, ref=row.id, error=problem.message)
    deadline = desk.clock.monotonic() + desk.broker.capabilities.settle_s
    names = {answer.broker_order_id for answer, _ in mine}
    while names & {answer.broker_order_id for answer in _sells(desk, symbol)}:
        if desk.clock.monotonic() >= deadline or over():
            return False
        desk.clock.sleep(0.5)
    for _, row in mine:
        refresh(desk, row)
    return bool(mine)


def _sells(desk: Desk, symbol: str) -> list[Any]:
    return [answer for answer in desk.broker.open_orders() if answer.symbol == symbol and answer.side == "sell"]


def _keep_safe(desk: Desk, position: Position, refused: Order | None) -> None:
    """The sale failed: restore the stop, and stay loud until a later pass has sold it."""
    if refused is not None:
        event(desk, "exit.failed", symbol=position.symbol, ref=refused.id, error=refused.error)
        message = f"{position.symbol}: the venue refused {refused.id}: {refused.error}"
        if not told_untraded(desk, position, refused):
            alert_once(desk, "exit-failed", message, ref=position.id, every_s=600)
    _put_back(desk, position)


def _put_back(desk: Desk, position: Position) -> None:
    """Its stop again, where nothing sells it."""
    current = desk.store.positions.get(position.id)
    if current is not None and current.qty > 0 and working_exit(desk, current) is None:
        protect(desk, current, desk.store.marks.get(position.id), or_sell=False)
