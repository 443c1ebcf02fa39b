"""The order protocol: write it down, send once, write the answer down. Who dies between leaves a row to reconcile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from tradekit.base.crashpoint import crash_point
from tradekit.base.interrupts import shielded
from tradekit.base.locks import Lock
from tradekit.brokers.base import BrokerOrder, OrderRequest
from tradekit.clock import iso
from tradekit.desk.by_hand import ask_to_sell, tell_sent
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.errors import AuthError, BrokerError, OrderRejected, StoreError
from tradekit.ids import client_order_id, order_id
from tradekit.model import FINAL_STATUSES, Order, OrderType, Purpose, Side, Tif

SUBMIT_WAIT_S = 15.0


@contextmanager
def submit_lock(desk: Desk, *, wait_s: float = SUBMIT_WAIT_S) -> Iterator[None]:
    """One sender an account at a time; raises Busy after `wait_s`."""
    with Lock(desk.account_dir / "submit.lock", wait_s=wait_s, what="an order on its way"):
        yield


def new_order(
    desk: Desk,
    *,
    subject: str,
    purpose: Purpose,
    symbol: str,
    side: Side,
    qty: Decimal,
    type_: OrderType,
    tif: Tif,
    reason: str,
    **more: Any,
) -> Order:
    """An order that nobody has seen yet. `subject` is the decision (entries) or the position it serves."""
    attempt = desk.store.orders.final_count(subject, purpose)
    now = desk.clock.now()
    return Order(
        id=order_id(subject, purpose, attempt),
        client_order_id=client_order_id(desk.id, subject, purpose, attempt),
        session=desk.calendar.day(now),
        symbol=symbol,
        side=side,
        qty=qty,
        type=type_,
        tif=tif,
        purpose=purpose,
        reason=reason,
        created_at=now,
        attempt=attempt,
        run_id=desk.run.id if desk.run else None,
        **more,
    )


def send(desk: Desk, order: Order, gate: Callable[[], bool] = lambda: True) -> Order | None:
    """Intend, send, note the answer. None: the gate refused, or the same intent was there already.

    The gate is asked in the transaction that writes the intent. Nothing is sent under an id whose row is not committed.
    """
    with submit_lock(desk), shielded():
        if not _intend(desk, order, gate):
            return None
        crash_point("intent_committed")
        return transmit(desk, order)


def _intend(desk: Desk, order: Order, gate: Callable[[], bool]) -> bool:
    try:
        with desk.store.transaction(low=order.purpose == "entry"):
            if not gate() or not desk.store.orders.add(order):
                return False
            event(desk, "order.intended", symbol=order.symbol, ref=order.id, **_arrival(desk, order))
    except StoreError as problem:
        if order.purpose != "entry":
            ask_to_sell(desk, order, problem)
        raise
    return True


def transmit(desk: Desk, order: Order) -> Order:
    """Put a written order on the wire, under its own id, and write down what came back. Holds the submit lock.

    Where the answer cannot be written (StoreError) a human is told what is on its way.
    """
    try:
        return _exchange(desk, order)
    except StoreError as problem:
        tell_sent(desk, order, problem)
        raise


def _exchange(desk: Desk, order: Order) -> Order:
    sent_at = desk.clock.now()
    try:
        answer = desk.broker.submit(request(order))
    except OrderRejected as no:
        return note(
            desk,
            order,
            status="rejected",
            error=no.message,
            submitted_at=sent_at,
            kind="order.rejected",
        )
    except (BrokerError, AuthError) as problem:
        return note(
            desk,
            order,
            status="unknown",
            error=problem.message,
            submitted_at=sent_at,
            kind="alert.order-unknown",
        )
    crash_point("response_read")
    if answer.client_order_id not in (None, order.client_order_id) or answer.symbol != order.symbol:
        error = f"the venue answered for {answer.symbol} {answer.client_order_id}"
        return note(
            desk,
            order,
            status="unknown",
            error=error,
            submitted_at=sent_at,
            kind="alert.order-unknown",
        )
    with desk.store.transaction():
        event(desk, "order.sent", symbol=order.symbol, ref=order.id, acknowledged_at=iso(answer.submitted_at))
        noted = take_over(desk, order, answer, submitted_at=sent_at)
    crash_point("response_committed")
    return refresh(desk, noted) if answer.filled_qty else noted


def _arrival(desk: Desk, order: Order) -> dict[str, str]:
    """The quote as the order leaves, for `report fills`."""
    seen = desk.market.quote(order.symbol, desk.clock.now())
    facts = {"side": order.side, "qty": str(order.qty), "purpose": order.purpose}
    return facts if seen is None else {**facts, "bid": str(seen.bid), "ask": str(seen.ask)}


def request(order: Order) -> OrderRequest:
    return OrderRequest(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        qty=order.qty,
        type=order.type,
        tif=order.tif,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        trail_pct=order.trail_pct,
        extended_hours=order.extended_hours,
        decision_price=order.decision_price,
        trigger_at=order.trigger_at,
    )


def note(desk: Desk, order: Order, *, kind: str, **fields: Any) -> Order:
    """Change an order and leave an event, in one transaction; alerts are said aloud."""
    with desk.store.transaction():
        changed = desk.store.orders.change(order.id, updated_at=desk.clock.now(), **fields)
        event(
            desk,
            kind,
            symbol=order.symbol,
            ref=order.id,
            status=changed.status,
            error=changed.error,
        )
    if kind.startswith("alert."):
        desk.say(f"ALERT {order.symbol} {order.id}: {changed.error}")
    return changed


def take_over(desk: Desk, order: Order, answer: BrokerOrder, submitted_at: datetime | None = None) -> Order:
    """Bring our row up to what the venue says; fills are booked elsewhere, by their own ids."""
    fields = news(order, answer, submitted_at)
    if not fields:
        return order
    return desk.store.orders.change(order.id, updated_at=desk.clock.now(), **fields)


def news(order: Order, answer: BrokerOrder, submitted_at: datetime | None = None) -> dict[str, Any]:
    """The fields of our row that the venue's answer changes; {}: it says nothing new."""
    fields: dict[str, Any] = {}
    if order.broker_order_id != answer.broker_order_id:
        fields["broker_order_id"] = answer.broker_order_id
    if order.submitted_at is None:
        fields["submitted_at"] = submitted_at or answer.submitted_at
    if answer.raw_status != order.raw_status:
        fields["raw_status"] = answer.raw_status
    if answer.status != order.status and order.status not in FINAL_STATUSES:
        fields["status"] = answer.status
        if answer.status in ("rejected", "expired", "cancelled"):
            fields["error"] = answer.reason
    return fields


def request_cancel(desk: Desk, order: Order, because: str) -> Order:
    """Ask the venue to cancel, then read the order back: filled is booked by reconcile, gone is closed."""
    if order.broker_order_id is None:
        return order
    with shielded():
        if order.raw_status != "pending_cancel":
            event(
                desk,
                "order.cancel-asked",
                symbol=order.symbol,
                ref=order.id,
                because=because,
            )
        try:
            desk.broker.cancel(order.broker_order_id)
            crash_point("cancel_sent")
        except BrokerError as problem:
            event(
                desk,
                "order.cancel-failed",
                symbol=order.symbol,
                ref=order.id,
                error=problem.message,
            )
        return refresh(desk, order)


def refresh(desk: Desk, order: Order) -> Order:
    """One order as the venue has it now, with its fills booked."""
    from tradekit.desk.book import book_fills

    answer = desk.broker.order(order.client_order_id)
    if answer is None:
        return order
    if answer.filled_qty > order.filled_qty:
        book_fills(desk, desk.broker.fills_since(order.created_at))
        order = desk.store.orders.get(order.id) or order
    with desk.store.transaction():
        return take_over(desk, order, answer)


def cancel_and_wait(desk: Desk, order: Order, because: str) -> Order:
    """Cancel and ask again until the order is final or the venue's settling time is over."""
    order = request_cancel(desk, order, because)
    deadline = desk.clock.monotonic() + desk.broker.capabilities.settle_s
    while order.status not in FINAL_STATUSES and desk.clock.monotonic() < deadline:
        desk.clock.sleep(0.5)
        order = refresh(desk, order)
    return order
