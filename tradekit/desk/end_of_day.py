"""Day trades are flat before the close: a marketable limit first, then the market, then an alert."""

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once, event
from tradekit.desk.pauses import paused
from tradekit.desk.plans import plan_of
from tradekit.desk.sell import sell, working_exit
from tradekit.exits import closing_step
from tradekit.model import Order, Position

HALF_A_DAY_S = 43200  # a sale for the open that the venue refuses again and again is one evening


class Why(NamedTuple):
    """What the order says of itself."""

    because: str
    price: Decimal | None


def end_of_day_order(desk: Desk, position: Position, because: str, price: Decimal | None) -> Order | None:
    """The order that this minute before the close asks for; a limit that did not fill gives way to the market.

    `price` is what was seen when it was decided, in the quote currency.
    """
    why = Why(because, price)
    rules, now = desk.settings.end_of_day, desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if session is None or now >= session.close:
        return _at_next_open(desk, position, why)
    working = working_exit(desk, position)
    step = closing_step(
        now.timestamp(),
        session.close.timestamp(),
        limit_s=rules.limit_s,
        market_s=rules.market_s,
        alert_s=rules.alert_s,
        flat_s=plan_of(position.plan).flat_before_close_s,
        moc=rules.moc,
        moc_cutoff_s=rules.moc_cutoff_s,
    )
    if position.session < session.day:
        step = "market"  # held over from an earlier session: it leaves at once
    if step == "none":
        return None
    if step == "limit" and paused(desk, position.symbol, session.day)[0]:
        step = "market"  # nothing trades: one order rests for the reopening, whatever its price
    if step == "on-close":
        return None if working else _sell(desk, position, why, on_close=True)
    if working is not None and (working.type != "limit" or step == "limit"):
        return None
    return _sell(desk, position, why, limit=step == "limit", instead_of=working)


def _sell(
    desk: Desk,
    position: Position,
    why: Why,
    *,
    limit: bool = False,
    on_close: bool = False,
    on_open: bool = False,
    instead_of: Order | None = None,
) -> Order | None:
    order = sell(
        desk,
        position,
        purpose="exit",
        reason="end-of-day",
        because=why.because,
        level=why.price,
        limit=limit,
        on_close=on_close,
        on_open=on_open,
        instead_of=instead_of,
    )
    if order is not None:
        event(
            desk,
            "exit",
            symbol=position.symbol,
            ref=order.id,
            rule="end-of-day",
            because=why.because,
            position=position.id,
        )
    return order


def _at_next_open(desk: Desk, position: Position, why: Why) -> Order | None:
    """The session is over and it is still here: say so, and queue it for the next open."""
    order = _sell(desk, position, why, on_open=True)
    if order is not None:
        alert_once(
            desk,
            "held-overnight",
            f"{position.symbol}: {position.qty} shares of a day trade are held overnight",
            symbol=position.symbol,
            ref=position.id,
            every_s=HALF_A_DAY_S,
        )
    return order


def warn_late(desk: Desk, position: Position) -> None:
    """A day trade that is still open minutes before the close."""
    if position.intent != "day" or desk.calendar.around_the_clock:
        return
    now = desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if session is None:
        return
    if session.close - timedelta(seconds=desk.settings.end_of_day.alert_s) <= now < session.close:
        alert_once(
            desk,
            "still-open",
            f"{position.symbol}: {position.qty} shares minutes before the close",
            symbol=position.symbol,
            ref=position.id,
        )
