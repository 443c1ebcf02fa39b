"""Trading pauses read from the bars: a symbol that prints nothing for minutes inside the session is halted."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from tradekit.desk.desk import Desk


def silence(desk: Desk) -> timedelta:
    """Without a bar for so long a symbol is halted."""
    return timedelta(seconds=desk.settings.market.silence_s)


def paused(desk: Desk, symbol: str, session: date) -> tuple[bool, datetime | None]:
    """(halted now, when it last reopened in this session). A pause is a `silence`, 2 bars where longer.

    Without a bar today nothing is known of a pause: other rules judge stale data.
    """
    now = desk.clock.now()
    bars = desk.market.day_bars(symbol, session, now)
    if not bars:
        return False, None
    least = max(silence(desk), 2 * (bars[-1].end - bars[-1].start))
    reopened = [late.start for early, late in pairwise(bars) if late.start - early.end >= least]
    halted = desk.calendar.at(now) is not None and now - bars[-1].end >= least
    return halted, reopened[-1] if reopened else None
