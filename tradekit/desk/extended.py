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
    """How far under the bid the next limit goes: one step more than the last, at most `most` as in `at_most`."""
    step = desk.settings.exits.limit_offset
    return min(step * (tries(desk, position) + 1), at_most(desk, position, most))


def at_most(desk: Desk, position: Position, most: float | None = None) -> float:
    """The largest discount, a fraction: `most`, else what the operator who asked for the sale said, or the setting."""
    if most is not None:
        return most
    kept = desk.store.meta.get(f"max-discount:{position.id}")
    return desk.settings.exits.max_discount if kept is None else float(kept)


def keep_bound(desk: Desk, position: Position, most: float | None) -> None:
    """Whoever goes on with this sale later gives way no further either."""
    desk.store.meta.set(f"max-discount:{position.id}", None if most is None else str(most))


def tries(desk: Desk, position: Position) -> int:
    """Limits that have been out in these extended hours already."""
    found = 0
    for order in desk.store.orders.for_position(position.id):
        if order.purpose in ("exit", "liquidate"):
            found = found + 1 if order.extended_hours and _same_stretch(desk, order) else 0
    return found


def gives_way(desk: Desk, position: Position, working: Order, most: float | None = None) -> bool:
    """A limit of extended hours has waited its time while the symbol trades, and something better can take its place:
    a limit that asks less, or the market once regular hours run. `most` as in `at_most`.
    """
    if not working.extended_hours or working.status in ("intended", "unknown"):
        return False
    now, session = desk.clock.now(), desk.calendar.at(desk.clock.now())
    since = working.created_at if session is None else max(working.created_at, session.open)
    if now - since < timedelta(seconds=desk.settings.exits.reprice_s) or not trades_now(desk, position.symbol):
        return False
    return session is not None or has_room(desk, position, most)


def has_room(desk: Desk, position: Position, most: float | None = None) -> bool:
    """The next limit would ask less than the last."""
    return desk.settings.exits.limit_offset * tries(desk, position) < at_most(desk, position, most)


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
