"""What the day has brought: P&L from the previous close on, out of the desk's own fills and what it holds."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from tradekit import calendar
from tradekit.desk.desk import Desk
from tradekit.desk.prices import last_price
from tradekit.model import Adjustment, Fill, Position, Session
from tradekit.money import ZERO, book, dec

TAKEN_OVER = ("adopt", "release", "external")


class Change(NamedTuple):
    """One thing that changed a quantity since the previous close, and the money that came in with it."""

    at: datetime
    symbol: str
    qty: Decimal  # signed; of a split the factor
    cash: Decimal
    is_split: bool = False


def day_pnl(
    desk: Desk,
    positions: Sequence[Position],
    prices: Mapping[str, Decimal],
    *,
    until: datetime | None = None,
    day: date | None = None,
) -> Decimal | None:
    """Realised and open P&L since the previous session's close, fees included; None where a price is not known.

    The cash of the desk's own fills since then, plus what it holds (`positions` at `prices`), minus what it held at
    that close at the last price of that moment: the one that the account's equity of that close was counted with.
    Fills after a close belong to the day after. `until`: the P&L as of then, with the positions and prices of then;
    `day`: of another session than today's.
    """
    today = day or desk.calendar.day(desk.clock.now())
    start = desk.calendar.previous(today)
    held = {p.symbol: p.qty if p.side == "long" else -p.qty for p in positions}
    before, total = dict(held), ZERO
    for change in sorted(_changes(desk, start, today, until), key=lambda change: change.at, reverse=True):
        if change.is_split:
            before[change.symbol] = before.get(change.symbol, ZERO) / change.qty
        else:
            before[change.symbol] = before.get(change.symbol, ZERO) - change.qty
            total += change.cash
    for symbol, qty in held.items():
        if symbol not in prices:
            return None
        total += qty * prices[symbol]
    for symbol, qty in before.items():
        if qty:
            price = close_price(desk, symbol, start, today)
            if price is None:
                return None
            total -= qty * price
    return book(total, desk.settings.desk.currency)


def pnl_at_close(desk: Desk, session: Session) -> tuple[list[Position], dict[str, Decimal], Decimal | None]:
    """What was held at a session's close, at which prices, and the session's P&L; None where a price is not known."""
    until = last_moment(desk, session)
    positions = desk.store.positions_at(until)
    prices = {p.symbol: price for p in positions if (price := close_price(desk, p.symbol, session, session.day))}
    return positions, prices, day_pnl(desk, positions, prices, until=until, day=session.day)


def last_moment(desk: Desk, session: Session) -> datetime:
    """The last moment whose fills are the session's, on this desk's calendar."""
    return calendar.last_moment(session, around_the_clock=desk.calendar.around_the_clock)


def cash_between(desk: Desk, since: datetime, until: datetime | None = None) -> Decimal:
    """What the desk's own fills after a moment, and up to another one, did to the cash."""
    late = (_of_fill(desk, fill) for fill in desk.store.fills.all(since=since, as_of=until) if fill.at > since)
    return sum((change.cash for change in late), ZERO)


def close_price(desk: Desk, symbol: str, session: Session | None, today: date) -> Decimal | None:
    """The last price visible at a session's close, else the newest daily close before `today`."""
    bar = desk.market.at_close(symbol, session) if session else None
    found = bar.close if bar is not None else desk.market.last_close_before(symbol, today)
    return None if found is None else dec(found)


def _changes(desk: Desk, start: Session | None, today: date, until: datetime | None) -> Iterator[Change]:
    from tradekit.store.fold import cash_of_adjustment

    currency = desk.settings.desk.currency
    since = last_moment(desk, start) if start else None
    for fill in desk.store.fills.all(since=since, as_of=until):
        if since is None or fill.at > since:  # a fill in the close is in its equity
            yield _of_fill(desk, fill)
    for moved in desk.store.adjustments.all(since=since, as_of=until):
        if since is not None and moved.at <= since:
            continue
        if moved.kind == "split" and moved.symbol and moved.qty:
            yield Change(moved.at, moved.symbol, moved.qty, ZERO, is_split=True)
        elif moved.kind == "cash-in-lieu" and moved.symbol and moved.qty:
            yield Change(moved.at, moved.symbol, -moved.qty, cash_of_adjustment(moved, currency=currency))
        elif moved.kind in TAKEN_OVER and moved.symbol and moved.qty is not None:
            yield _taken_over(moved, last_price(desk, moved.symbol) or ZERO)


def _of_fill(desk: Desk, fill: Fill) -> Change:
    from tradekit.store.fold import cash_of, from_fill

    currency = desk.settings.desk.currency
    move = from_fill(fill, currency=currency)  # a fee in the coin itself takes from the quantity
    return Change(fill.at, fill.symbol, move.qty if fill.side == "buy" else -move.qty, cash_of(fill, currency=currency))


def _taken_over(moved: Adjustment, price: Decimal) -> Change:
    """Shares that came or went without a trade neither win nor lose that day."""
    assert moved.symbol is not None and moved.qty is not None
    qty = moved.qty if moved.kind == "adopt" else -moved.qty
    return Change(moved.at, moved.symbol, qty, -qty * price)
