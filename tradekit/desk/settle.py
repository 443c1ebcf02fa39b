"""Bring every live order up to what the venue says, and find out about those whose fate nobody knows."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from tradekit.brokers.base import BrokerOrder
from tradekit.clock import iso, parse_time
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once, event
from tradekit.desk.frozen import MATCH, freeze, frozen, unfreeze
from tradekit.desk.match import Listing, candidates, lookup, row_of
from tradekit.desk.orders import SURE, adopt, follow, news, note, send_again, submit_lock, take_over, why_not_again
from tradekit.errors import BrokerError, Busy
from tradekit.model import FINAL_STATUSES, LIVE_STATUSES, Order

DOUBTFUL = frozenset({"intended", "unknown"})
LONGEST_S = 120.0  # between two tries to send an order that does not arrive
FILLS_LATE = timedelta(seconds=60)


class Settled(NamedTuple):
    """Symbols with sells whose fate or fills are still on their way; the first look-up that failed, if one did."""

    late: set[str]
    problem: BrokerError | None


def settle(desk: Desk, listed: Sequence[BrokerOrder]) -> Settled:
    """One look at all live orders. What the venue does not tell about one order holds no other one up."""
    live, late, there = desk.store.orders.live(), set(), Listing(listed)
    problems: list[BrokerError] = []
    for order in live:
        unclear = order.status not in DOUBTFUL
        with _noted(problems):
            unclear = unclear and _settle(desk, order, there.get(order))
        if unclear and order.side == "sell":
            late.add(order.symbol)
    doubtful = [order for order in live if order.status in DOUBTFUL]
    if doubtful:
        _resolve_all(desk, doubtful, listed, problems)
    _thaw(desk)
    live = desk.store.orders.live()
    _late_arrivals(desk, listed, live, problems)
    late |= {order.symbol for order in live if order.side == "sell" and order.status in DOUBTFUL}
    return Settled(late, problems[0] if problems else None)


@contextmanager
def _noted(problems: list[BrokerError]) -> Iterator[None]:
    """The venue's failure is kept for the end; what it was about stays as it is."""
    try:
        yield
    except BrokerError as problem:
        problems.append(problem)


def _settle(desk: Desk, order: Order, listed: BrokerOrder | None) -> bool:
    """Follow one order whose place is known. True: the venue calls it final, its fills are not there yet."""
    if listed is not None:
        if news(order, listed):
            with desk.store.transaction():
                take_over(desk, order, listed)
        return False
    found = lookup(desk, order)
    if found is None:
        _vanished(desk, order)
        return True
    changed = follow(desk, order, found)
    if changed.status == "rejected":
        event(desk, "order.rejected", symbol=order.symbol, ref=order.id, error=changed.error)
    late = changed.status in LIVE_STATUSES and found.status in FINAL_STATUSES
    if late:
        _fills_missing(desk, changed, found)
    return late


def _fills_missing(desk: Desk, order: Order, found: BrokerOrder) -> None:
    if desk.clock.now() - found.updated_at >= FILLS_LATE:
        message = f"{order.id} is {found.status} with {found.filled_qty}, but only {order.filled_qty} came as fills"
        alert_once(desk, "fills-missing", message, symbol=order.symbol, ref=order.id)


def _vanished(desk: Desk, order: Order) -> None:
    """The venue had it and does not know it any more, by listing and by id, twice a grace time apart: it is gone."""
    if absent_for(desk, order) >= timedelta(seconds=desk.broker.capabilities.grace_s):
        note(desk, order, status="cancelled", error="the venue does not know it any more", kind="order.vanished")
        _seen(desk, order)


def _resolve_all(
    desk: Desk, doubtful: Sequence[Order], listed: Sequence[BrokerOrder], problems: list[BrokerError]
) -> None:
    """Intended and unknown rows are judged only under the submit lock: an intent may be on its way right now."""
    try:
        with submit_lock(desk, wait_s=0):
            for order in doubtful:
                current = desk.store.orders.get(order.id)
                if current is not None and current.status in DOUBTFUL:
                    with _noted(problems):
                        _resolve(desk, current, listed)
    except Busy:
        return  # somebody is sending: those rows are his for now


def _resolve(desk: Desk, order: Order, listed: Sequence[BrokerOrder]) -> None:
    """Ask by id and by listing; what is found is adopted, what is absent twice is sent again or given up."""
    found = candidates(desk, order, listed)
    if len(found) > 1 and all(x.status in FINAL_STATUSES and not x.filled_qty for x in found):
        found = found[:1]  # whichever it is, it is over and nothing came of it
    if len(found) > 1:
        names = ", ".join(sorted(answer.broker_order_id for answer in found))
        freeze(desk, MATCH, order.symbol, f"{order.id} may be any of {names}", ref=order.id)
    elif found:
        _seen(desk, order)
        adopt(desk, order, found[0])
    else:
        _absent(desk, order)


def _absent(desk: Desk, order: Order) -> None:
    if order.status == "intended":
        order = note(desk, order, status="unknown", error="no answer was written down", kind="order.unknown")
    if absent_for(desk, order) < _patience(desk, order):
        return
    if order.broker_order_id is not None:
        _vanished(desk, order)
    elif desk.broker.capabilities.client_ids == "none":
        freeze(desk, MATCH, order.symbol, f"no order at the venue looks like {order.id}", ref=order.id)
    elif order.purpose == "entry" and not entry_lives(desk, order):
        _give_up(desk, order, "never reached the venue; its decision is over")
    else:
        _once_more(desk, order)


def _once_more(desk: Desk, order: Order) -> None:
    """The same intent under the same id, for as long as what it stands on is there; each wait twice the one before."""
    if desk.broker.capabilities.client_ids != "unique" and _age(desk, order) < SURE:
        return  # there a closed order's id may be used again: wait until every look-up would show it
    if why_not_again(desk, order) is not None:
        _give_up(desk, order, "never reached the venue; what it stood on is gone")
        return
    tries = int(desk.store.meta.get(f"resent:{order.id}") or 0) + 1
    desk.store.meta.set(f"resent:{order.id}", str(tries))
    desk.store.meta.set(f"absent:{order.id}", None)
    if send_again(desk, order).status != "unknown":
        _seen(desk, order)


def _give_up(desk: Desk, order: Order, why: str) -> None:
    if _age(desk, order) >= SURE:
        note(desk, order, status="expired", error=why, kind="order.expired")
        _seen(desk, order)


def _age(desk: Desk, order: Order) -> timedelta:
    return desk.clock.now() - (order.submitted_at or order.created_at)


def _patience(desk: Desk, order: Order) -> timedelta:
    tries = int(desk.store.meta.get(f"resent:{order.id}") or 0)
    return timedelta(seconds=min(desk.broker.capabilities.grace_s * 2.0**tries, LONGEST_S))


def absent_for(desk: Desk, order: Order) -> timedelta:
    """How long ago the venue was first seen not to know this order; the first look writes the time down."""
    key, now = f"absent:{order.id}", desk.clock.now()
    first = desk.store.meta.get(key)
    if first is None:
        desk.store.meta.set(key, iso(now))
        return timedelta(0)
    return now - parse_time(first)


def _seen(desk: Desk, order: Order) -> None:
    """It is settled: what was noted while it was absent is not needed any more."""
    for key in (f"absent:{order.id}", f"resent:{order.id}"):
        if desk.store.meta.get(key) is not None:
            desk.store.meta.set(key, None)


def entry_lives(desk: Desk, order: Order) -> bool:
    """The decision behind an entry has not expired."""
    decision = desk.store.decisions.get(order.decision_id) if order.decision_id else None
    return decision is not None and decision.expires_at is not None and desk.clock.now() < decision.expires_at


def _thaw(desk: Desk) -> None:
    """A symbol is free again when none of its orders is in doubt."""
    held = [symbol for kind, symbol in frozen(desk) if kind == MATCH]
    for symbol in held:
        if not any(order.status in DOUBTFUL for order in desk.store.orders.live_for(symbol)):
            unfreeze(desk, MATCH, symbol, "every order of it is accounted for")


def _late_arrivals(
    desk: Desk, listed: Sequence[BrokerOrder], live: Sequence[Order], problems: list[BrokerError]
) -> None:
    """An order of ours that works at the venue though our books closed it is taken back; its fills are booked."""
    known = {order.client_order_id for order in live}
    for answer in listed:
        row = row_of(desk, answer) if answer.client_order_id not in known else None
        if row is None or row.status in LIVE_STATUSES or answer.raw_status == "pending_cancel":
            continue
        with _noted(problems):
            _take_back(desk, row, answer)


def _take_back(desk: Desk, row: Order, answer: BrokerOrder) -> None:
    now = lookup(desk, row)
    if now is None or now.status not in LIVE_STATUSES or now.broker_order_id != answer.broker_order_id:
        return  # the listing was old
    message = f"{row.id} works at the venue though it was {row.status}: it is cancelled"
    alert_once(desk, "late-order", message, symbol=row.symbol, ref=row.id, every_s=60)
    try:
        desk.broker.cancel(answer.broker_order_id)
    except BrokerError as problem:
        event(desk, "order.cancel-failed", symbol=row.symbol, ref=row.id, error=problem.message)
