"""A resting stop that was triggered and does not fill: taken back and sold at market, with an alert."""

from collections.abc import Sequence

from tradekit.brokers.base import BrokerOrder
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once
from tradekit.desk.in_time import one_symbol
from tradekit.desk.match import row_of
from tradekit.desk.prices import in_hours, quote
from tradekit.desk.sell import sell
from tradekit.model import LIVE_STATUSES, Order


def escalate_triggered(desk: Desk, listed: Sequence[BrokerOrder]) -> list[Order]:
    """The sells that took the place of stuck stops; `listed` are the venue's working orders."""
    found = []
    for answer in listed:
        row = row_of(desk, answer) if answer.triggered_at is not None else None
        if row is None or row.purpose != "protect" or row.status not in LIVE_STATUSES:
            continue
        with one_symbol(desk, row.symbol):
            if _stuck(desk, answer) and (order := _sell_at_market(desk, row)) is not None:
                found.append(order)
    return found


def _stuck(desk: Desk, answer: BrokerOrder) -> bool:
    """Trading went on for long enough after the trigger; a halted symbol's stop waits for the reopening."""
    seen = quote(desk, answer.symbol)
    if not in_hours(desk) or seen is None or answer.triggered_at is None:
        return False
    session = desk.calendar.at(desk.clock.now())
    since = answer.triggered_at if session is None else max(answer.triggered_at, session.open)
    return (seen.at - since).total_seconds() >= desk.settings.exits.triggered_unfilled_s


def _sell_at_market(desk: Desk, row: Order) -> Order | None:
    position = desk.store.positions.get(row.position_id) if row.position_id else None
    if position is None or position.qty <= 0:
        return None
    message = f"{row.symbol}: the stop at {row.stop_price} was triggered and did not fill; it is sold at market"
    alert_once(desk, "stop-stuck", message, symbol=row.symbol, ref=row.id)
    return sell(desk, position, purpose="exit", reason=row.reason, because=message, level=row.stop_price)
