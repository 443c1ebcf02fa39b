"""What each order cost against the price it was decided at, and how long it took to happen."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tradekit.model import Decision, Event, Fill, Order, Record
from tradekit.money import ZERO, dec, shown_average


class OrderFills(Record, frozen=True, kw_only=True):
    """One order with fills. Prices and fees in `currency`; `_bp` are hundredths of a percent, + is a cost to us."""

    order_id: str
    at: datetime  # written down
    symbol: str
    side: str
    purpose: str
    reason: str
    status: str
    qty: Decimal
    filled_qty: Decimal
    fills: int
    decision_price: Decimal | None  # of the decision, or the level that asked for the exit
    arrival_price: Decimal | None  # middle of the quote when the order was written; None: it was not recorded
    avg_price: Decimal
    slippage_bp: float | None  # fill against decision_price
    arrival_slippage_bp: float | None
    fees: Decimal
    fees_estimated: bool
    currency: str
    decide_s: float | None  # decision (or trigger) to the written order
    send_s: float | None  # written to sent
    ack_s: float | None  # sent to the venue's answer
    fill_s: float | None  # sent to the first fill
    last_fill_s: float | None  # sent to the last fill


def fills_report(
    orders: Sequence[Order],
    fills: Sequence[Fill],
    decisions: Mapping[str, Decision],
    events: Sequence[Event] = (),
    *,
    currency: str = "USD",
) -> list[OrderFills]:
    """A row per order that has fills, in the order they were written. Fills without an order are not ours to judge."""
    by_order: dict[str, list[Fill]] = {}
    for fill in fills:
        if fill.order_id is not None:
            by_order.setdefault(fill.order_id, []).append(fill)
    notes = _notes(events)
    return [
        _row(order, by_order[order.id], decisions, notes.get(order.id, {}), currency)
        for order in sorted(orders, key=lambda order: (order.created_at, order.id))
        if order.id in by_order
    ]


def slippage_bp(side: str, wanted: Decimal | None, got: Decimal | None) -> float | None:
    """How much worse than `wanted` the fill was, in bp of `wanted`; below 0 it was better."""
    if wanted is None or got is None or wanted <= 0:
        return None
    worse = got - wanted if side == "buy" else wanted - got
    return round(float(worse / wanted) * 10_000, 4)


def average(fills: Sequence[Fill]) -> Decimal | None:
    """The quantity-weighted price of fills, to 12 digits; None without any."""
    qty = sum((fill.qty for fill in fills), ZERO)
    return shown_average(sum((fill.qty * fill.price for fill in fills), ZERO), qty) if qty else None


def _notes(events: Sequence[Event]) -> dict[str, dict[str, object]]:
    """What was written beside each order: `bid` and `ask` when it was intended, `acknowledged_at` by the venue."""
    found: dict[str, dict[str, object]] = {}
    for event in events:
        if event.ref is not None and event.kind.startswith("order."):
            known = found.setdefault(event.ref, {})
            known.update({k: v for k, v in event.data.items() if k in ("bid", "ask", "acknowledged_at")})
    return found


def _row(
    order: Order, fills: Sequence[Fill], decisions: Mapping[str, Decision], notes: Mapping[str, object], currency: str
) -> OrderFills:
    fills = sorted(fills, key=lambda fill: (fill.at, fill.id))
    price = average(fills) or ZERO
    arrival = _middle(notes)
    return OrderFills(
        order_id=order.id,
        at=order.created_at,
        symbol=order.symbol,
        side=order.side,
        purpose=order.purpose,
        reason=order.reason,
        status=order.status,
        qty=order.qty,
        filled_qty=sum((fill.qty for fill in fills), ZERO),
        fills=len(fills),
        decision_price=_level(order),
        arrival_price=arrival,
        avg_price=price,
        slippage_bp=slippage_bp(order.side, _level(order), price),
        arrival_slippage_bp=slippage_bp(order.side, arrival, price),
        fees=sum((fill.fee for fill in fills), ZERO),
        fees_estimated=any(fill.fee_estimated for fill in fills),
        currency=currency,
        decide_s=_seconds(_decided_at(order, decisions), order.created_at),
        send_s=_seconds(order.created_at, order.submitted_at),
        ack_s=_seconds(order.submitted_at, _time(notes.get("acknowledged_at"))),
        fill_s=_seconds(order.submitted_at, fills[0].at),
        last_fill_s=_seconds(order.submitted_at, fills[-1].at),
    )


def _level(order: Order) -> Decimal | None:
    """What the fill is compared with: the decision's price, the exit's level, or a resting stop's own."""
    return order.decision_price if order.decision_price is not None else order.stop_price


def _decided_at(order: Order, decisions: Mapping[str, Decision]) -> datetime | None:
    """Entries: the decision's time. Exits: the start of the bar that touched the level, where one did."""
    if order.purpose != "entry":
        return order.trigger_at
    decision = decisions.get(order.decision_id or "")
    return decision.at if decision else None


def _middle(notes: Mapping[str, object]) -> Decimal | None:
    bid, ask = notes.get("bid"), notes.get("ask")
    if not (isinstance(bid, str | int | float) and isinstance(ask, str | int | float)):
        return None
    return (dec(bid) + dec(ask)) / 2


def _time(text: object) -> datetime | None:
    if isinstance(text, datetime):
        return text
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    if since is None or until is None:
        return None
    return round((until - since).total_seconds(), 6)
