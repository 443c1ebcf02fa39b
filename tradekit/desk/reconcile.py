"""Make the books agree with the venue. Every command that trades starts here; start and recovery are the same path."""

from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tradekit.brokers.base import BrokerAccount, BrokerOrder
from tradekit.clock import iso, parse_time
from tradekit.desk.book import book_fills
from tradekit.desk.claims import release_idle
from tradekit.desk.corporate import back_again, came_instead, notice_splits, vanished
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.frozen import EMPTY, frozen, unfreeze
from tradekit.desk.halts import MASTERS
from tradekit.desk.in_time import in_time
from tradekit.desk.orders import called_off, request_cancel, submit_lock
from tradekit.desk.protect import live_protection, protect
from tradekit.desk.sell import working_exit
from tradekit.desk.settle import DOUBTFUL, settle
from tradekit.desk.triggered import escalate_triggered
from tradekit.errors import BrokerError, Busy, Findings, UpstreamError, UsageError
from tradekit.model import Adjustment, Event, Halt, Order
from tradekit.money import ZERO

WORKING = frozenset({"submitted", "open", "partially_filled"})
OVERLAP = timedelta(hours=1)  # fills are read again this far back: a late one is not lost
START = datetime(1970, 1, 1, tzinfo=UTC)
LATE = timedelta(minutes=15)  # so long after an entry was cancelled a fill of it may still turn up
FLOW_KINDS: dict[str, Any] = {
    kind: kind for kind in ("deposit", "withdrawal", "dividend", "interest", "fee", "cash-in-lieu")
}


def reconcile(desk: Desk) -> list[Event]:
    """Catch up with the venue and protect what has just been bought. A second call writes nothing.

    Raises the venue's error at the end: what it does not tell about one order or symbol holds no other one up.
    """
    before, problem = len(desk.events), None
    try:
        listed, problem, _ = caught_up(desk, always=True)
        escalate_triggered(desk, listed)
    except BrokerError as found:  # what is held is protected all the same, then it is said
        problem = found
    for position in in_time(desk, desk.store.positions.open()):
        if live_protection(desk, position) is None and working_exit(desk, position) is None:
            try:
                protect(desk, position, desk.store.marks.get(position.id))
            except BrokerError as found:
                problem = problem or found
    if problem is not None:
        raise problem
    return desk.events[before:]


def raise_findings(desk: Desk) -> None:
    """Findings (7) while something is not settled: what `reconcile` could not make agree with the venue."""
    found = [f"{symbol}: {because}" for (_, symbol), because in frozen(desk).items()]
    live = desk.store.orders.live()
    found += [f"{order.id}: nobody knows its fate" for order in live if order.status in DOUBTFUL]
    missing = desk.store.meta.under("missing:")
    found += [f"{key[8:]}: fewer shares there than owned" for key in missing]
    found += [str(e.data["message"]) for e in desk.events if e.kind in ("alert.late-fill", "alert.external")]
    if found:
        raise Findings("; ".join(found), "tradekit events --alerts; run tradekit reconcile again in a minute")


class CaughtUp(NamedTuple):
    """The venue's working orders, what went wrong when it was asked, and the account before that."""

    listed: list[BrokerOrder]
    problem: UpstreamError | None
    account: BrokerAccount | None = None


def catch_up(desk: Desk) -> None:
    """`caught_up` for who goes on only where all is known. Raises BrokerError, last where it was about one order."""
    problem = caught_up(desk).problem
    if problem is not None:
        raise problem


def caught_up(desk: Desk, *, always: bool = False) -> CaughtUp:
    """Book what was executed, settle what is unknown, retire what is over.

    A desk without orders and positions asks the venue nothing, unless `always`. What the venue does not tell about
    single orders comes back as the problem; raises BrokerError where it was about more.
    """
    live, positions = desk.store.orders.live(), desk.store.positions.open()
    listed: list[BrokerOrder] = []
    problem: BrokerError | None = None
    account: BrokerAccount | None = None
    if always or live or positions or loose_ends(desk) or desk.store.meta.get("account_id") is None:
        account = pin_account(desk)
        book_cash_flows(desk)
        book_fills(desk, desk.broker.fills_since(_since(desk, live)))
        listed = list(desk.broker.open_orders())
        settled = settle(desk, listed)
        problem = settled.problem
        notice_external(desk, settled.late)
        withdraw(desk)
        cancel_stale_entries(desk)
        give_back_claims(desk)
    expire_decisions(desk)
    clear_session_halts(desk)
    return CaughtUp(listed, problem, account)


def loose_ends(desk: Desk) -> bool:
    """Whether an entry ended unfilled so lately that the venue may still report a fill of it."""
    recent = desk.store.orders.created_since(desk.clock.now() - LATE, "entry")
    return any(order.status in ("cancelled", "expired") for order in recent)


def pin_account(desk: Desk) -> BrokerAccount:
    """The account, whose id is pinned at first use; another one is refused before any order."""
    found, pinned = desk.broker.account(), desk.store.meta.get("account_id")
    if pinned is None:
        desk.store.meta.set("account_id", found.account_id)
        desk.store.meta.set("broker", desk.broker.name)
    elif pinned != found.account_id:
        raise UsageError(
            f"this desk trades account {pinned}, the venue answered for {found.account_id}",
            "point desk.broker at the right account, or start another desk: tradekit init DIR",
        )
    return found


def book_cash_flows(desk: Desk) -> None:
    """Deposits, holdings and the like that came without a trade."""
    known = desk.store.adjustments.all()
    refs = {row.ref for row in known}
    since = max((row.at for row in known), default=START)
    for flow in desk.broker.cash_flows_since(since - OVERLAP if known else START):
        if flow.ref in refs or flow.qty is not None:
            continue  # foreign shares that come and go are not the desk's; what a symbol pays in money is
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


def notice_external(desk: Desk, unsettled: Set[str] = frozenset()) -> None:
    """Less at the venue than we own, in two reads a grace time apart: somebody sold by hand.

    `unsettled` symbols have sells whose fate or fills are still on their way: nothing is concluded about those.
    """
    owned = {symbol: qty for symbol, qty in desk.store.owned().items() if qty > 0}
    there = {position.symbol: position.qty for position in desk.broker.positions()}
    if owned and not there:
        settled = {symbol: owned[symbol] for symbol in owned.keys() - unsettled}
        if not settled or contradicted(desk, settled):
            return  # nothing is sure: what was known of foreign shares and of freezes stays
    for key in desk.store.meta.under(f"frozen:{EMPTY}:"):
        unfreeze(desk, EMPTY, key.rpartition(":")[2], "the venue tells what it holds")
    split, before = notice_splits(desk, there), desk.store.unmanaged()
    note_foreign(desk, owned, {symbol: qty for symbol, qty in there.items() if symbol not in split})
    absent = desk.store.meta.under("missing:")
    for key in absent:
        if key.removeprefix("missing:") not in owned:
            back_again(desk, key.removeprefix("missing:"))  # it was our own sale after all
    for symbol, qty in owned.items():
        if symbol not in split:
            missing = ZERO if symbol in unsettled else qty - max(ZERO, there.get(symbol, ZERO))
            _missing(desk, symbol, missing, absent.get(f"missing:{symbol}"), there, before)


def contradicted(desk: Desk, owned: Mapping[str, Decimal]) -> bool:
    """An empty list of positions beside an account whose equity is not all cash is a failed read, never "flat".

    Where the equity is unknown, too, only the venue's own fills, or the operator, can say that all were sold.
    """
    account = desk.broker.account()
    if account.equity is None:
        return _doubted(desk, owned)
    if abs(account.equity - account.cash) < 1:
        return False
    message = f"the venue lists no positions, yet its equity is not all cash: {len(owned)} positions are kept"
    alert_once(desk, "positions-contradicted", message, every_s=600)
    return True


def _doubted(desk: Desk, owned: Mapping[str, Decimal]) -> bool:
    """Nothing listed, equity unknown: the answer of a broken venue. Freezes the symbols until it tells more."""
    today = desk.calendar.day(desk.clock.now()).isoformat()
    said = desk.store.meta.under(f"{EMPTY}-ok:")
    if all(said.get(f"{EMPTY}-ok:{symbol}") == today for symbol in owned) or _sold_elsewhere(desk, owned):
        return False
    because = (
        "the venue lists no positions and does not say what the account is worth: they are kept; when it tells either, "
        "it goes on by itself. tradekit resume says that they were sold by hand"
    )
    with desk.store.transaction():
        for symbol in owned:
            if desk.store.meta.get(f"frozen:{EMPTY}:{symbol}") is None:
                desk.store.meta.set(f"frozen:{EMPTY}:{symbol}", because)
    alert_once(desk, "positions-contradicted", f"{', '.join(sorted(owned))}: {because}", every_s=600)
    return True


def _sold_elsewhere(desk: Desk, owned: Mapping[str, Decimal]) -> bool:
    """Whether the venue's fills tell of sales, not of this desk, of everything that is owned."""
    opened = {position.symbol: position.opened_at for position in desk.store.positions.open()}
    since, sold = {symbol: opened.get(symbol, START) for symbol in owned}, dict.fromkeys(owned, ZERO)
    for fill in desk.broker.fills_since(min(since.values())):
        if fill.side != "sell" or fill.symbol not in sold or fill.at < since[fill.symbol]:
            continue  # sales from before it was bought were of other shares
        if not desk.store.fills.known(fill.broker_fill_id):
            sold[fill.symbol] += fill.qty
    return all(sold[symbol] >= qty for symbol, qty in owned.items())


def _missing(
    desk: Desk,
    symbol: str,
    missing: Decimal,
    first: str | None,
    there: Mapping[str, Decimal],
    before: Mapping[str, Decimal],
) -> None:
    """`first`: when the same was seen before, and what came in its place; `before`: foreign shares at the last look."""
    now, (since, _, became) = desk.clock.now(), (first or "").partition(" ")
    if missing <= 0:
        if first is not None:
            back_again(desk, symbol)
        return
    position = desk.store.positions.open_for(symbol)
    if first is None:
        came = came_instead(desk, position, there, before) if position and missing == position.qty else ""
        desk.store.meta.set(f"missing:{symbol}", f"{iso(now)} {came}".rstrip())
    elif (now - parse_time(since)).total_seconds() >= desk.broker.capabilities.grace_s:
        if position is not None and missing == position.qty and vanished(desk, position, there, became):
            return
        _close_external(desk, symbol, missing)
        back_again(desk, symbol)


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


def withdraw(desk: Desk) -> None:
    """A sell whose position is gone would sell what is not ours: it is taken back."""
    managed = {position.id for position in desk.store.positions.open()}
    for order in desk.store.orders.live():
        if order.side == "sell" and order.position_id not in managed and order.raw_status != "pending_cancel":
            request_cancel(desk, order, "its position is closed")


def cancel_stale_entries(desk: Desk) -> None:
    """What an entry has not filled after its time is cancelled, and what was called off; what it filled is kept."""
    now, limit = desk.clock.now(), timedelta(seconds=desk.settings.entry.cancel_after_s)
    for order in desk.store.orders.live():
        if order.purpose != "entry" or order.status not in WORKING or order.raw_status == "pending_cancel":
            continue
        because = called_off(desk, order)
        if because is None and order.tif != "opg" and now >= (order.submitted_at or order.created_at) + limit:
            because = f"unfilled after {limit.total_seconds():.0f} s"
        if because is not None:
            request_cancel(desk, order, because)


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
    if halt.kind in ("daily-loss", MASTERS):
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
