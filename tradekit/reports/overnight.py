"""What is held over night: each position with its stop, and what it would cost if things went wrong."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tradekit.model import Mark, Order, Position, Record
from tradekit.money import ZERO, book

GAP = Decimal("0.05")
STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


class Held(Record, frozen=True, kw_only=True):
    """One open position. Money in the desk's currency, losses below 0; fractions of the price or of desk equity."""

    id: str
    symbol: str
    side: str
    intent: str
    strategy: str | None
    qty: Decimal
    avg_price: Decimal
    last_price: Decimal | None
    unrealized: Decimal | None
    value: Decimal | None
    desk_stop: Decimal | None  # the level that the desk watches
    live_stop: Decimal | None  # rests at the venue; None: nobody sells while the desk is asleep
    tif: str | None
    stop_order: str | None
    distance: float | None  # from the last price to the live stop
    age_s: float
    loss_at_stop: Decimal | None  # against the entry, at the live stop (else the desk's)
    loss_at_gap: Decimal | None  # from the last price, at a gap of -5 %
    note: str


class Overnight(Record, frozen=True, kw_only=True):
    """All open positions together."""

    at: datetime
    currency: str
    positions: int
    unprotected: int
    value: Decimal | None
    desk_equity: Decimal | None
    if_all_stops_fill: Decimal | None  # against the entries
    if_all_stops_fill_pct: float | None
    if_all_gap: Decimal | None  # from the last prices
    if_all_gap_pct: float | None
    held: list[Held]


def overnight(
    positions: Sequence[Position],
    orders: Sequence[Order],
    marks: Mapping[str, Mark],
    *,
    at: datetime,
    desk_equity: Decimal | None,
    currency: str = "USD",
) -> Overnight:
    """`orders`: the live ones; `desk_equity`: of the last snapshot. A sum over unknown parts is None."""
    rows = [_held(p, orders, marks.get(p.id), at, currency) for p in positions]
    stops, gaps = _total([row.loss_at_stop for row in rows]), _total([row.loss_at_gap for row in rows])
    return Overnight(
        at=at,
        currency=currency,
        positions=len(rows),
        unprotected=sum(row.live_stop is None for row in rows),
        value=_total([row.value for row in rows]),
        desk_equity=desk_equity,
        if_all_stops_fill=stops,
        if_all_stops_fill_pct=_share(stops, desk_equity),
        if_all_gap=gaps,
        if_all_gap_pct=_share(gaps, desk_equity),
        held=rows,
    )


def _held(p: Position, orders: Sequence[Order], mark: Mark | None, at: datetime, currency: str) -> Held:
    sign = 1 if p.side == "long" else -1
    price = p.last_price if p.last_price is not None else (mark.last_price if mark else None)
    stop = next((o for o in orders if o.symbol == p.symbol and o.purpose == "protect" and o.type in STOPS), None)
    level = stop.stop_price if stop else None
    worst = level if level is not None else p.stop_price
    notes = [] if level is not None else ["no stop at the venue"]
    if stop is not None and stop.tif == "day":
        notes.append("the stop ends with the session")
    if stop is not None and stop.qty - stop.filled_qty < p.qty:
        notes.append(f"the stop covers {stop.qty - stop.filled_qty} of {p.qty}")
    if p.intent == "day":
        notes.append("a day trade that is still open")
    return Held(
        id=p.id,
        symbol=p.symbol,
        side=p.side,
        intent=p.intent,
        strategy=p.strategy,
        qty=p.qty,
        avg_price=p.avg_price,
        last_price=price,
        unrealized=None if price is None else book(sign * (price - p.avg_price) * p.qty, currency),
        value=None if price is None else book(price * p.qty, currency),
        desk_stop=p.stop_price,
        live_stop=level,
        tif=stop.tif if stop else None,
        stop_order=stop.id if stop else None,
        distance=float(sign * (price - level) / price) if price and level is not None else None,
        age_s=(at - p.opened_at).total_seconds(),
        loss_at_stop=None if worst is None else book(sign * (worst - p.avg_price) * p.qty, currency),
        loss_at_gap=None if price is None else book(-GAP * price * p.qty, currency),
        note="; ".join(notes),
    )


def _total(parts: Sequence[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return sum(known, ZERO) if len(known) == len(parts) else None


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return None if part is None or not whole else float(part / whole)
