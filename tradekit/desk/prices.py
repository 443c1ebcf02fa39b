"""What the market says of a symbol at this moment, and whether it is young enough to go by."""

from decimal import Decimal

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once
from tradekit.model import Quote


def in_hours(desk: Desk) -> bool:
    """Regular hours are running."""
    return desk.calendar.at(desk.clock.now()) is not None


def fresh_limit_s(desk: Desk, symbol: str) -> float:
    """How old a quote may be: the setting, or one bar where quotes are made of bars."""
    bar = desk.market.bar_seconds(symbol, desk.calendar.day(desk.clock.now()))
    return max(desk.settings.risk.stale_quote_s, float(bar or 0))


def quote(desk: Desk, symbol: str) -> Quote | None:
    """The last quote that the market knows now; None too where the data source breaks down: exits go on without."""
    try:
        return desk.market.quote(symbol, desk.clock.now())
    except Exception as problem:
        message = f"no quotes: {type(problem).__name__}: {problem}"
        alert_once(desk, "quotes-failing", message, every_s=600)
        return None


def fresh_price(desk: Desk, symbol: str) -> Decimal | None:
    """The last price, unless regular hours are running and it is older than the bars of this symbol may be."""
    found = quote(desk, symbol)
    return None if found is None or is_stale(desk, found) else found.last


def is_stale(desk: Desk, seen: Quote) -> bool:
    """Older than risk.stale_bars bars (at least risk.stale_quote_s) while the market is open."""
    if not in_hours(desk):
        return False
    now = desk.clock.now()
    bar = desk.market.bar_seconds(seen.symbol, desk.calendar.day(now)) or 0
    limit = max(desk.settings.risk.stale_quote_s, desk.settings.risk.stale_bars * bar)
    return (now - seen.at).total_seconds() > limit


def last_price(desk: Desk, symbol: str) -> Decimal | None:
    """The last traded price that is visible now, however old."""
    found = quote(desk, symbol)
    return None if found is None else found.last
