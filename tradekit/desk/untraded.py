"""A held symbol that does not trade any more, delisted perhaps: said once a day, not at each pass and each try.

Nothing is given up for it: exits and stops are tried at their pace, and the day it trades again all is as before.
"""

from collections.abc import Iterator
from datetime import date
from itertools import islice

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once
from tradekit.desk.prices import quote
from tradekit.model import Order, Position, Session

DAY_S = 86400
ASKED = 20  # other symbols, until one has a price of the session


def told_untraded(desk: Desk, position: Position, refused: Order) -> bool:
    """Whether the symbol of an order that the venue refused does not trade; then an alert says so, once a day."""
    since = untraded_since(desk, position.symbol)
    if since is None:
        return False
    message = (
        f"{position.symbol}: nothing has traded since {since}, and the venue refuses its orders ({refused.error}); "
        f"it is still tried. Delisted? tradekit release {position.symbol} lets the shares go, with --paid CASH once "
        "they are gone from the account"
    )
    alert_once(desk, "untraded", message, symbol=position.symbol, ref=position.id, every_s=DAY_S)
    return True


def untraded_since(desk: Desk, symbol: str) -> date | None:
    """The day of its last price, where that is from before this session; None: it trades, as far as is known.

    None too where no other symbol has a price of the session: then it is the prices that are missing.
    """
    session, seen = _begun(desk), quote(desk, symbol)
    if session is None or seen is None or seen.at > session.open or not _prices_come(desk, session, symbol):
        return None
    return desk.calendar.day(seen.at)


def _begun(desk: Desk) -> Session | None:
    """The session that runs, or the last one that did."""
    now = desk.clock.now()
    today = desk.calendar.day(now)
    session = desk.calendar.on(today)
    return session if session is not None and session.open <= now else desk.calendar.previous(today)


def _prices_come(desk: Desk, session: Session, symbol: str) -> bool:
    others = islice((name for name in _others(desk) if name != symbol), ASKED)
    return any((seen := quote(desk, name)) is not None and seen.at > session.open for name in others)


def _others(desk: Desk) -> Iterator[str]:
    if desk.settings.desk.benchmark is not None:
        yield desk.settings.desk.benchmark
    yield from (position.symbol for position in desk.store.positions.open())
    yield from desk.universe
