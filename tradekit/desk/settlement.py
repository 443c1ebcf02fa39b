"""Settled cash of an account that may not spend unsettled money."""

from datetime import date
from decimal import Decimal

from tradekit.calendar import Calendar
from tradekit.desk.desk import Desk
from tradekit.money import ZERO

# (trades from, sessions until they settle): SEC rule 15c6-1 as amended, United States
SETTLES_AFTER = ((date(1995, 6, 7), 3), (date(2017, 9, 5), 2), (date(2024, 5, 28), 1))


def settles_after(day: date) -> int:
    """Sessions between a trade and its settlement."""
    return max((row for row in SETTLES_AFTER if row[0] <= day), default=SETTLES_AFTER[0])[1]


def settled_cash(desk: Desk, cash: Decimal) -> Decimal:
    """Cash less the proceeds of sales that have not settled today; never below 0. On 24/7 desks all cash is settled."""
    if desk.calendar.around_the_clock:
        return cash
    today = desk.calendar.day(desk.clock.now())
    days = [session.day for session in desk.calendar.before(today, 3)] + [today]
    sales = [fill for day in days for fill in desk.store.fills.all(session=day) if fill.side == "sell"]
    unsettled = [f.qty * f.price - f.fee for f in sales if not is_settled(desk.calendar, f.session, today)]
    return max(ZERO, cash - sum(unsettled, ZERO))


def is_settled(calendar: Calendar, sold: date, today: date) -> bool:
    """Whether a sale of the session `sold` has settled by the session `today`."""
    return len([session for session in calendar.between(sold, today) if session.day > sold]) >= settles_after(sold)
