"""The order protocol: write it down, send once, write the answer down. Who dies between leaves a row to reconcile."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tradekit.base.crashpoint import crash_point
from tradekit.base.deadline import over, step
from tradekit.base.interrupts import shielded
from tradekit.base.locks import Lock
from tradekit.brokers.base import BrokerOrder, OrderRequest
from tradekit.clock import iso
from tradekit.desk.by_hand import ask_to_sell, tell_sent
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once, event
from tradekit.desk.frozen import SPLIT, why_frozen
from tradekit.desk.match import candidates, lookup
from tradekit.desk.pretrade import Ask, refuse, refuse_sell
from tradekit.desk.prices import quote
from tradekit.desk.venue import Seen, look
from tradekit.errors import AuthError, BrokerError, OrderRejected, StoreError, TimeIsOver
from tradekit.ids import client_order_id, order_id
from tradekit.model import FINAL_STATUSES, Order, OrderType, Purpose, Side, Tif
from tradekit.store.orders import TRANSITIONS

UNSETTLED = frozenset({"intended", "submitted", "unknown"})
SURE = timedelta(seconds=60)  # absence proves nothing about an order that was sent less than this ago


@contextmanager
def submit_lock(desk: Desk, *, wait_s: float) -> Iterator[None]:
    """One sender an account at a time; raises Busy after `wait_s`. Who has it already keeps it until the outer end."""
    if desk.sending:
        yield
        return
    with Lock(desk.account_dir / "submit.lock", wait_s=wait_s, what="an order on its way"):
        desk.sending = True
        try:
            yield
        finally:
            desk.sending = False


@contextmanager
def replacing(desk: Desk) -> Iterator[None]:
    """In here an order is taken back and another one takes its place: nobody else of the account sends in between.

    The turn to send comes first, so that who has to wait for it has taken nothing back: raises Busy, or TimeIsOver
    where the command's time went into waiting. A signal is heard at the end.
    """
    with submit_lock(desk, wait_s=desk.settings.exits.submit_wait_s), shielded():
        if over():
            raise TimeIsOver("the command's time is over: nothing was taken back", "the next run goes on from here")
        yield


def taken_back(desk: Desk, order: Order, because: str) -> bool:
    """Whether an order that stands in the way of the next is over for certain. Called while `replacing`.

    Raises BrokerError where the venue cannot be read, before anything is taken back: the next order needs that too.
    """
    with step(desk.settings.exits.send_deadline_s):
        look(desk, for_entry=False)
        return cancel_and_wait(desk, order, because).status in FINAL_STATUSES


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


def send(desk: Desk, order: Order, ask: Ask | None = None) -> Order | None:
    """Check, intend, send, note the answer. None: refused, or the same intent was there already.

    An entry needs `ask`, which the risk gate judges in the transaction that writes the intent; a sell needs shares that
    are the desk's to sell. Nothing is sent under an id whose row is not committed. Raises Busy, BrokerError where
    the venue cannot be read, StoreError.
    """
    entry = order.side == "buy"
    said = desk.settings
    wait_s = said.entry.send_deadline_s if entry else said.exits.submit_wait_s
    with submit_lock(desk, wait_s=wait_s), shielded():
        with step(said.entry.send_deadline_s if entry else said.exits.send_deadline_s):
            seen = look(desk, for_entry=entry)
        if over():
            raise TimeIsOver(f"{order.id} was not sent: the command's time is over", "the next run goes on from here")
        if not _intend(desk, order, seen, ask):
            return None
        crash_point("intent_committed")
        return transmit(desk, order)


def _intend(desk: Desk, order: Order, seen: Seen, ask: Ask | None) -> bool:
    try:
        with desk.store.transaction(low=order.side == "buy"):
            because = refuse(desk, order, seen, ask)
            if because:
                _refused_here(desk, order, because)
            if because is not None or not desk.store.orders.add(order):
                return False
            event(desk, "order.intended", symbol=order.symbol, ref=order.id, **_arrival(desk, order))
    except StoreError as problem:
        if order.side == "sell":
            ask_to_sell(desk, order, problem)
        raise
    return True


def _refused_here(desk: Desk, order: Order, because: str) -> None:
    message = f"{order.id} was not sent: {because}"
    alert_once(desk, "order-refused", message, symbol=order.symbol, ref=order.position_id or order.decision_id)


def send_again(desk: Desk, order: Order) -> Order:
    """Send an order that never arrived once more, under its id. Holds the submit lock; `why_not_again` was asked."""
    event(desk, "order.sent-again", symbol=order.symbol, ref=order.id)
    return transmit(desk, order, again=True)


def why_not_again(desk: Desk, order: Order) -> str | None:
    """What an order that never arrived stood on and is gone; None: it may be sent again.

    A sell is checked as before, without counting itself; an entry goes only while no halt or freeze stands.
    """
    if order.side == "sell":
        before = why_frozen(desk, order.symbol, SPLIT)  # its quantity may be from before the split
        return before or refuse_sell(desk, order, look(desk, for_entry=False))
    if desk.store.halts.open():
        return "a halt is open"
    return called_off(desk, order) or why_frozen(desk, order.symbol)


def called_off(desk: Desk, order: Order) -> str | None:
    """Why an order is not wanted any more although nobody could cancel it yet; None: it is wanted."""
    return desk.store.meta.get(f"called-off:{order.id}")


def transmit(desk: Desk, order: Order, *, again: bool = False) -> Order:
    """Put a written order on the wire, under its own id, and write down what came back. Holds the submit lock.

    Where the answer cannot be written (StoreError) a human is told what is on its way.
    """
    try:
        return _exchange(desk, order, again)
    except StoreError as problem:
        tell_sent(desk, order, problem)
        raise


def _exchange(desk: Desk, order: Order, again: bool) -> Order:
    sent_at = desk.clock.now()
    try:
        answer = desk.broker.submit(request(order))
    except OrderRejected as no:
        return _rejected(desk, order, no, sent_at, again)
    except (BrokerError, AuthError) as problem:
        return _unanswered(desk, order, problem, sent_at, again)
    except Exception as garbage:  # an answer that the adapter could not read is no refusal
        return unsure(desk, order, f"unreadable answer: {type(garbage).__name__}: {garbage}", sent_at)
    crash_point("response_read")
    wrong = mismatch(desk, order, answer)
    if wrong is not None:
        return unsure(desk, order, wrong, sent_at)
    with desk.store.transaction():
        event(desk, "order.sent", symbol=order.symbol, ref=order.id, acknowledged_at=iso(answer.submitted_at))
        noted = take_over(desk, order, answer, submitted_at=sent_at)
    crash_point("response_committed")
    return _refreshed(desk, noted) if answer.filled_qty else noted


def mismatch(desk: Desk, order: Order, answer: BrokerOrder) -> str | None:
    """Why the venue's answer cannot be about this order; None: it can."""
    if answer.client_order_id not in (None, "", order.client_order_id) or answer.symbol != order.symbol:
        return f"the venue answered for {answer.symbol} {answer.client_order_id}"
    if (answer.side, answer.qty) != (order.side, order.qty):
        return f"the venue answered for {answer.side} {answer.qty}, not {order.side} {order.qty}"
    if not answer.broker_order_id:
        return "the venue's answer names no order"
    other = desk.store.orders.by_broker_id(answer.broker_order_id)
    if other is not None and other.id != order.id:
        return f"the venue's answer names {answer.broker_order_id}, which is {other.id}"
    return None


def unsure(desk: Desk, order: Order, error: str, sent_at: datetime) -> Order:
    """Nobody knows whether it is at the venue: never failed, never forgotten, settled by reconcile."""
    kind = "alert.order-unknown"
    with desk.store.transaction():
        now = desk.store.orders.get(order.id) or order
        if now.status not in UNSETTLED:
            return now  # another process has met it at the venue meanwhile and booked its fills
        return note(desk, order, status="unknown", error=error, submitted_at=sent_at, kind=kind)


def _unanswered(desk: Desk, order: Order, problem: BrokerError | AuthError, sent_at: datetime, again: bool) -> Order:
    if getattr(problem, "sent", True) or again:
        return unsure(desk, order, problem.message, sent_at)
    error = f"never left this machine: {problem.message}"
    return note(desk, order, status="expired", error=error, kind="alert.order-not-sent")


def _rejected(desk: Desk, order: Order, no: OrderRejected, sent_at: datetime, again: bool) -> Order:
    """A refusal is final, unless the venue has the order already: refused as a duplicate, or sent a second time."""
    if is_duplicate(no) or again:
        there = _find(desk, order)
        if there is not None:
            return adopt(desk, order, there)
        if is_duplicate(no) or desk.clock.now() - order.created_at < SURE:
            return unsure(desk, order, f"sent again and refused: {no.message}", sent_at)
    raw = {"raw_status": no.why} if no.why else {}
    return note(
        desk, order, status="rejected", error=no.message, submitted_at=sent_at, kind="order.rejected", **raw
    )  # fmt: skip


def is_duplicate(no: OrderRejected) -> bool:
    """The venue refused an id because it knows it."""
    return no.why == "duplicate" or "must be unique" in no.message or "duplicate" in no.message.lower()


def _find(desk: Desk, order: Order) -> BrokerOrder | None:
    """The order as the venue has it, None where it does not say or cannot be asked."""
    try:
        found = candidates(desk, order, desk.broker.open_orders())
    except BrokerError:
        return None
    return found[0] if len(found) == 1 else None


def adopt(desk: Desk, order: Order, answer: BrokerOrder) -> Order:
    """What the venue has is ours: bring the row up to it; the second time nothing is written."""
    with desk.store.transaction():
        taken = take_over(desk, order, answer)
        if taken is not order:
            event(desk, "order.adopted", symbol=order.symbol, ref=order.id, status=taken.status)
    return taken


def _arrival(desk: Desk, order: Order) -> dict[str, str]:
    """The quote as the order leaves, for `report fills`."""
    seen = quote(desk, order.symbol)
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
    if not news(order, answer, submitted_at):
        return order
    order = desk.store.orders.get(order.id) or order  # another process may have brought it further meanwhile
    fields = news(order, answer, submitted_at)
    return desk.store.orders.change(order.id, updated_at=desk.clock.now(), **fields)


def news(order: Order, answer: BrokerOrder, submitted_at: datetime | None = None) -> dict[str, Any]:
    """The fields of our row that the venue's answer changes; {}: it says nothing new."""
    fields: dict[str, Any] = {}
    if order.broker_order_id != answer.broker_order_id:
        fields["broker_order_id"] = answer.broker_order_id
    if order.submitted_at is None or submitted_at is not None:
        fields["submitted_at"] = submitted_at or answer.submitted_at
    if answer.raw_status != order.raw_status:
        fields["raw_status"] = answer.raw_status
    status = answer.status
    if status in FINAL_STATUSES and answer.filled_qty > order.filled_qty:
        status = "partially_filled" if order.filled_qty else "open"  # final when its fills are booked, not before
    if status in TRANSITIONS[order.status]:  # an answer that is older than what we know moves nothing back
        fields["status"] = status
        if answer.status in ("rejected", "expired", "cancelled"):
            fields["error"] = answer.reason
    return fields


def request_cancel(desk: Desk, order: Order, because: str) -> Order:
    """Ask the venue to cancel, then read the order back: filled is booked, gone is closed by reconcile."""
    if order.broker_order_id is None:  # perhaps it never arrived: then it must not be sent again, else it is cancelled
        if order.purpose == "entry" and called_off(desk, order) is None:
            desk.store.meta.set(f"called-off:{order.id}", because)
        return order
    with shielded():
        if order.raw_status != "pending_cancel":
            event(desk, "order.cancel-asked", symbol=order.symbol, ref=order.id, because=because)
        try:
            desk.broker.cancel(order.broker_order_id)
            crash_point("cancel_sent")
        except (BrokerError, OrderRejected) as problem:
            event(desk, "order.cancel-failed", symbol=order.symbol, ref=order.id, error=problem.message)
        return _refreshed(desk, order)


def _refreshed(desk: Desk, order: Order) -> Order:
    """`refresh`; where the venue cannot be read the order stays as it is, to be asked again."""
    try:
        return refresh(desk, order)
    except BrokerError:
        return desk.store.orders.get(order.id) or order


def refresh(desk: Desk, order: Order) -> Order:
    """One order as the venue has it now, with its fills booked."""
    answer = lookup(desk, order)
    return order if answer is None else follow(desk, order, answer)


def follow(desk: Desk, order: Order, answer: BrokerOrder) -> Order:
    """Book what the venue says it filled, then bring the row up to it."""
    from tradekit.desk.book import book_fills

    if answer.filled_qty > order.filled_qty:
        book_fills(desk, desk.broker.fills_since(order.created_at))
        order = desk.store.orders.get(order.id) or order
    with desk.store.transaction():
        return take_over(desk, order, answer)


def cancel_and_wait(desk: Desk, order: Order, because: str) -> Order:
    """Cancel and ask again until the order is final or the venue's settling time is over; bounded in every case."""
    order = request_cancel(desk, order, because)
    deadline = desk.clock.monotonic() + desk.broker.capabilities.settle_s
    while order.status not in FINAL_STATUSES and desk.clock.monotonic() < deadline and not over():
        desk.clock.sleep(0.5)
        order = _refreshed(desk, order)
    return order
