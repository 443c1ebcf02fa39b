"""Make the books agree with the venue. Every command that trades starts here; start and recovery are the same path."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tradekit.brokers.base import BrokerOrder
from tradekit.clock import iso, parse_time
from tradekit.desk.book import book_fills
from tradekit.desk.claims import release_idle
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.orders import (
    news,
    note,
    refresh,
    request_cancel,
    submit_lock,
    take_over,
    transmit,
)
from tradekit.desk.protect import protect
from tradekit.errors import Busy, UsageError
from tradekit.model import Adjustment, Event, Halt, Order
from tradekit.money import ZERO

OVERLAP = timedelta(hours=1)  # fills are read again this far back: a late one is not lost
START = datetime(1970, 1, 1, tzinfo=UTC)
GRACE_S = 10.0
FLOW_KINDS: dict[str, Any] = {kind: kind for kind in ("deposit", "withdrawal", "dividend", "interest", "fee")}


def reconcile(desk: Desk) -> list[Event]:
    """Catch up with the venue and protect what has just been bought. A second call writes nothing."""
    before = len(desk.events)
    catch_up(desk)
    for position in desk.store.positions.open():
        if position.protected_by is None:
            protect(desk, position, desk.store.marks.get(position.id))
    return desk.events[before:]


def catch_up(desk: Desk) -> None:
    """Book what was executed, settle what is unknown, retire what is over."""
    live, positions = desk.store.orders.live(), desk.store.positions.open()
    if live or positions or desk.store.meta.get("account_id") is None:
        pin_account(desk)
        book_cash_flows(desk)
        book_fills(desk, desk.broker.fills_since(_since(desk, live)))
        settle(desk)
        notice_external(desk)
        cancel_stale_entries(desk)
        give_back_claims(desk)
    expire_decisions(desk)
    clear_session_halts(desk)


def pin_account(desk: Desk) -> None:
    """The account's id is pinned at first use; another one is refused before any order."""
    found, pinned = desk.broker.account().account_id, desk.store.meta.get("account_id")
    if pinned is None:
        desk.store.meta.set("account_id", found)
        desk.store.meta.set("broker", desk.broker.name)
    elif pinned != found:
        raise UsageError(
            f"this desk trades account {pinned}, the venue answered for {found}",
            "point desk.broker at the right account, or start another desk: tradekit init DIR",
        )


def book_cash_flows(desk: Desk) -> None:
    """Deposits, holdings and the like that came without a trade."""
    known = desk.store.adjustments.all()
    refs = {row.ref for row in known}
    since = max((row.at for row in known), default=START)
    for flow in desk.broker.cash_flows_since(since - OVERLAP if known else START):
        if flow.ref in refs or flow.symbol is not None:
            continue  # foreign shares that come and go are not the desk's
        row = Adjustment(
            id=f"a-{flow.ref}",
            at=flow.at,
            kind=FLOW_KINDS.get(flow.kind, "correction"),
            symbol=flow.symbol,
            qty=flow.qty,
            amount=flow.amount,
            ref=flow.ref,
        )
        with desk.store.transaction():
            if desk.store.book_adjustment(row):
                event(
                    desk,
                    "cash-flow",
                    symbol=flow.symbol,
                    ref=row.id,
                    amount=str(flow.amount),
                )


def _since(desk: Desk, live: list[Order]) -> datetime:
    last = desk.store.fills.latest_at()
    points = [order.created_at for order in live] + ([last - OVERLAP] if last else [])
    return min(points, default=START)


def settle(desk: Desk) -> None:
    """Bring every live order up to what the venue says; judge intended and unknown ones under the submit lock."""
    listed = {order.client_order_id: order for order in desk.broker.open_orders()}
    doubtful = []
    for order in desk.store.orders.live():
        if order.status in ("intended", "unknown"):
            doubtful.append(order)
        elif (answer := listed.get(order.client_order_id)) is not None:
            _follow(desk, order, answer)
        else:
            refresh(desk, order)
    if not doubtful:
        return
    try:
        with submit_lock(desk, wait_s=0):
            for order in doubtful:
                _resolve(desk, order, listed.get(order.client_order_id))
    except Busy:
        return  # somebody is sending: those rows are his for now


def _follow(desk: Desk, order: Order, answer: BrokerOrder) -> None:
    if not news(order, answer):
        return
    with desk.store.transaction():
        changed = take_over(desk, order, answer)
    if changed.status == "rejected":
        event(
            desk,
            "order.rejected",
            symbol=order.symbol,
            ref=order.id,
            error=changed.error,
        )


def _resolve(desk: Desk, order: Order, listed: BrokerOrder | None) -> None:
    """Ask by id and by listing; after two absences a grace time apart send an exit again, an entry while it lives."""
    current = desk.store.orders.get(order.id)
    if current is None or current.status not in ("intended", "unknown"):
        return
    answer = listed or desk.broker.order(order.client_order_id)
    if answer is not None:
        with desk.store.transaction():
            take_over(desk, current, answer)
            event(
                desk,
                "order.adopted",
                symbol=order.symbol,
                ref=order.id,
                status=answer.status,
            )
        return
    if current.status == "intended":
        current = note(
            desk,
            current,
            status="unknown",
            error="no answer was written down",
            kind="order.unknown",
        )
    if not _absent_for_good(desk, current):
        return
    if current.purpose == "entry" and not _entry_lives(desk, current):
        note(
            desk,
            current,
            status="expired",
            error="never reached the venue; its decision is over",
            kind="order.expired",
        )
    else:
        event(desk, "order.sent-again", symbol=order.symbol, ref=order.id)
        transmit(desk, current)


def _absent_for_good(desk: Desk, order: Order) -> bool:
    """The venue did not know the order twice, a grace time apart."""
    key, now = f"absent:{order.id}", desk.clock.now()
    first = desk.store.meta.get(key)
    if first is None:
        desk.store.meta.set(key, iso(now))
        return False
    return (now - parse_time(first)).total_seconds() >= GRACE_S


def _entry_lives(desk: Desk, order: Order) -> bool:
    decision = desk.store.decisions.get(order.decision_id) if order.decision_id else None
    return decision is not None and decision.expires_at is not None and desk.clock.now() < decision.expires_at


def notice_external(desk: Desk) -> None:
    """Less at the venue than we own, in two reads a grace time apart: somebody sold by hand."""
    owned = {symbol: qty for symbol, qty in desk.store.owned().items() if qty > 0}
    there = {position.symbol: position.qty for position in desk.broker.positions()}
    note_foreign(desk, owned, there)
    now, absent = desk.clock.now(), desk.store.meta.under("missing:")
    for symbol, qty in owned.items():
        missing = qty - max(ZERO, there.get(symbol, ZERO))
        key = f"missing:{symbol}"
        first = absent.get(key)
        if missing <= 0:
            if first is not None:
                desk.store.meta.set(key, None)
            continue
        if first is None:
            desk.store.meta.set(key, iso(now))
        elif (now - parse_time(first)).total_seconds() >= GRACE_S:
            _close_external(desk, symbol, missing)
            desk.store.meta.set(key, None)


def note_foreign(desk: Desk, owned: dict[str, Decimal], there: dict[str, Decimal]) -> None:
    """What the account holds beyond ours, for `positions` to show with a lock."""
    extra = {symbol: qty - owned.get(symbol, ZERO) for symbol, qty in there.items()}
    found = {symbol: qty for symbol, qty in sorted(extra.items()) if qty > 0}
    if found != desk.store.unmanaged():
        desk.store.set_unmanaged(found)


def _close_external(desk: Desk, symbol: str, missing: Decimal) -> None:
    now = desk.clock.now()
    position = desk.store.positions.open_for(symbol)
    row = Adjustment(
        id=f"x-{symbol}-{now:%Y%m%dT%H%M%S}",
        at=now,
        kind="external",
        symbol=symbol,
        qty=missing,
        amount=None,
        ref=position.id if position else None,
    )
    with desk.store.transaction():
        desk.store.book_adjustment(row)
        alert(
            desk,
            "external",
            f"{symbol}: {missing} shares left the account without an order of this desk",
            symbol=symbol,
            ref=row.id,
        )


def cancel_stale_entries(desk: Desk) -> None:
    """What an entry has not filled after its time is cancelled; what it filled is kept."""
    now, limit = desk.clock.now(), timedelta(seconds=desk.settings.entry.cancel_after_s)
    for order in desk.store.orders.live():
        waits = (
            order.purpose == "entry"
            and order.tif != "opg"
            and order.status in ("open", "partially_filled", "submitted")
        )
        if waits and order.raw_status != "pending_cancel" and now >= (order.submitted_at or order.created_at) + limit:
            request_cancel(desk, order, f"unfilled after {limit.total_seconds():.0f} s")


def give_back_claims(desk: Desk) -> None:
    """Symbols that this desk is done with are free for the account's other desks."""
    try:
        with submit_lock(desk, wait_s=0):
            release_idle(desk)
    except Busy:
        return  # an order is on its way; the next pass does it


def expire_decisions(desk: Desk) -> None:
    """Pending and waiting decisions whose time is over."""
    now = desk.clock.now()
    for decision in [*desk.store.decisions.pending(), *desk.store.decisions.waiting()]:
        if decision.expires_at is not None and now >= decision.expires_at:
            with desk.store.transaction():
                desk.store.decisions.set_status(decision.id, "expired")
                event(
                    desk,
                    "decision.expired",
                    symbol=decision.symbol,
                    ref=decision.id,
                    was=decision.status,
                )


def clear_session_halts(desk: Desk) -> None:
    """A daily-loss halt ends with its session; so does a streak where no real money is at stake."""
    today = desk.calendar.day(desk.clock.now())
    for halt in desk.store.halts.open():
        if _ends_with_session(desk, halt) and halt.session is not None and halt.session < today:
            with desk.store.transaction():
                desk.store.halts.clear(halt.id, desk.clock.now())
                event(desk, "halt.cleared", ref=halt.id, because="a new session")


def _ends_with_session(desk: Desk, halt: Halt) -> bool:
    if halt.kind == "daily-loss":
        return True
    return halt.kind in ("consecutive-losses", "reject-streak") and not desk.broker.capabilities.live


def warn_unknown(desk: Desk) -> None:
    """Orders whose fate nobody knows stay loud."""
    for order in desk.store.orders.live():
        if order.status == "unknown":
            alert_once(
                desk,
                "order-unknown",
                f"{order.id}: nobody knows whether it reached the venue",
                ref=order.id,
            )
