"""The legacy day-trade counter: round trips within one session over the last five (FINRA rule 4210, old form)."""

from datetime import date

from tradekit.desk.desk import Desk

SESSIONS = 5  # the rule's own window


def day_trades_left(desk: Desk, today: date) -> int | None:
    """How many day trades an account under the limit may still make; None where the rule pack does not count them."""
    if desk.settings.risk.day_trade_rule != "legacy":
        return None
    days = {session.day for session in desk.calendar.before(today, SESSIONS - 1)} | {today}
    made = sum(
        trade.session in days and desk.calendar.day(trade.entry_at) == trade.session
        for trade in desk.store.trades.last(500)
    )
    return max(0, desk.settings.risk.legacy_day_trades - made)
