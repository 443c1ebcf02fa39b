"""Outside regular hours an exit is a limit under the bid that gives way step by step: no market order trades there."""

from datetime import timedelta

from tradekit.desk.desk import Desk
from tradekit.desk.prices import fresh_limit_s, in_hours, quote
from tradekit.model import Order, Position


def nothing_trades(desk: Desk) -> bool:
    """Neither regular nor extended hours are running: what is sent now can only wait for an open."""
    if in_hours(desk) or desk.calendar.around_the_clock:
        return False
    can, now = desk.broker.capabilities, desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if not can.extended_hours or session is None:
        return True
    first = session.open - timedelta(seconds=can.extended_before_s)
    return not first <= now < session.close + timedelta(seconds=can.extended_after_s)


def discount_now(desk: Desk, position: Position, most: float | None = None) -> float:
    """How far under the bid the next limit goes: one step more than the last, `most` (or the setting) at the most."""
    step = desk.settings.exits.limit_offset
    return min(step * (tries(desk, position) + 1), desk.settings.exits.max_discount if most is None else most)


def keep_bound(desk: Desk, position: Position, most: float | None) -> None:
    """The CLOSE that goes on with an operator's sale gives way no further than that; None: than the setting."""
    desk.store.meta.set(f"max-discount:{position.id}", None if most is None else str(most))


def bound_of(desk: Desk, position: Position, reason: str) -> float | None:
    """The largest discount that was said for a sale with this reason, a fraction; None: nothing was."""
    kept = desk.store.meta.get(f"max-discount:{position.id}") if reason == "decision" else None
    return None if kept is None else float(kept)


def tries(desk: Desk, position: Position) -> int:
    """Limits that have been out in these extended hours already."""
    found = 0
    for order in desk.store.orders.for_position(position.id):
        if order.purpose in ("exit", "liquidate"):
            found = found + 1 if order.extended_hours and _same_stretch(desk, order) else 0
    return found


def gives_way(desk: Desk, position: Position, working: Order, most: float | None = None) -> bool:
    """A limit of extended hours has waited its time while the symbol trades, and something better can take its place:
    a limit that asks less (`most`, or the setting, at the most), or the market once regular hours run.
    """
    if not working.extended_hours or working.status in ("intended", "unknown"):
        return False
    now, session = desk.clock.now(), desk.calendar.at(desk.clock.now())
    since = working.created_at if session is None else max(working.created_at, session.open)
    if now - since < timedelta(seconds=desk.settings.exits.reprice_s) or not trades_now(desk, position.symbol):
        return False
    most = bound_of(desk, position, working.reason) if most is None else most
    return session is not None or has_room(desk, position, most)


def has_room(desk: Desk, position: Position, most: float | None = None) -> bool:
    """The next limit would ask less than the last."""
    limit = desk.settings.exits.max_discount if most is None else most
    return desk.settings.exits.limit_offset * tries(desk, position) < limit


def trades_now(desk: Desk, symbol: str) -> bool:
    """A fresh quote: giving way to nobody would only cost."""
    seen = quote(desk, symbol)
    return seen is not None and (desk.clock.now() - seen.at).total_seconds() <= fresh_limit_s(desk, symbol)


def _same_stretch(desk: Desk, order: Order) -> bool:
    now = desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if desk.calendar.day(order.created_at) != desk.calendar.day(now) or session is None:
        return session is None
    return (order.created_at < session.open) == (now < session.open)
