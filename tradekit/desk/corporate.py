"""Splits: a symbol whose price or quantity jumped by a whole factor overnight is frozen until both agree.

When price and quantity tell the same split in two looks a grace time apart, quantity, cost, stop, target and watermark
are scaled together in one booking. Until then no price rule is judged: a stop must not fire on the unscaled price.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from tradekit.clock import iso, parse_time
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.frozen import SPLIT, freeze, unfreeze, why_frozen
from tradekit.desk.orders import request_cancel
from tradekit.model import Adjustment, Position
from tradekit.money import ZERO, wire

LARGEST = 100
SAME = Fraction(1)


def notice_splits(desk: Desk, there: Mapping[str, Decimal]) -> set[str]:
    """Look at every position that was held overnight. Gives the symbols that are frozen for a split."""
    today = desk.calendar.day(desk.clock.now())
    held = [position for position in desk.store.positions.open() if position.session < today]
    if not held:
        return set()
    settled = desk.store.meta.under("split-ok:")
    asked = [p for p in held if settled.get(f"split-ok:{p.symbol}") != today.isoformat()]
    extra = desk.store.unmanaged()
    return {p.symbol for p in asked if _suspected(desk, p, there.get(p.symbol, ZERO), extra.get(p.symbol, ZERO))}


def _suspected(desk: Desk, position: Position, there: Decimal, extra: Decimal) -> bool:
    symbol = position.symbol
    price, qty = _by_price(desk, symbol), _by_quantity(position.qty + extra, there)
    if qty == SAME and price in (SAME, None) or (qty != SAME and price == SAME):
        _clear(desk, symbol)  # shares that came without a price move were bought by hand
        return False
    if price == qty and _twice(desk, symbol) and _book(desk, position, qty):
        return False
    _freeze(desk, position, price, qty)
    return True


def _by_price(desk: Desk, symbol: str) -> Fraction | None:
    """The factor that today's open says; None: nothing has traded yet."""
    now = desk.clock.now()
    today = desk.calendar.day(now)
    try:
        before, bars = desk.market.last_close_before(symbol, today), desk.market.day_bars(symbol, today, now)
        if not before or not bars:
            return None
        split = desk.market.split_today(symbol, today, now)
    except Exception:  # no data: nothing is said about a split
        return None
    ratio = before / bars[0].open
    return SAME if not split else Fraction(round(ratio)) if ratio > 1 else Fraction(1, round(1 / ratio))


def _by_quantity(before: Decimal, there: Decimal) -> Fraction:
    """The whole factor by which the account's shares changed since the last look; 1: no such jump."""
    if there <= 0 or before <= 0 or there == before:
        return SAME
    ratio = Fraction(there) / Fraction(before)
    whole = ratio.denominator == 1 or ratio.numerator == 1
    return ratio if whole and max(ratio.numerator, ratio.denominator) <= LARGEST else SAME


def _twice(desk: Desk, symbol: str) -> bool:
    first, now = desk.store.meta.get(f"split:{symbol}"), desk.clock.now()
    if first is None:
        desk.store.meta.set(f"split:{symbol}", iso(now))
        return False
    return (now - parse_time(first)).total_seconds() >= desk.broker.capabilities.grace_s


def _book(desk: Desk, position: Position, factor: Fraction) -> bool:
    """Scale the position; False where the factor leaves fractions of a share that nobody can name."""
    symbol, now = position.symbol, desk.clock.now()
    exact = Fraction(position.qty) * factor
    decimal = wire(Decimal(factor.numerator) / Decimal(factor.denominator))
    if position.qty * decimal != Decimal(exact.numerator) / Decimal(exact.denominator) or _cover_left(desk, position):
        return False
    id_ = f"split-{symbol}-{now:%Y%m%dT%H%M%S}"
    row = Adjustment(id=id_, at=now, kind="split", symbol=symbol, qty=decimal, amount=None, ref=position.id)
    with desk.store.transaction():
        desk.store.book_adjustment(row)
        event(desk, "split", symbol=symbol, ref=row.id, factor=str(factor), qty=str(exact))
        _clear(desk, symbol)
    return True


def _cover_left(desk: Desk, position: Position) -> bool:
    return any(order.side == "sell" for order in desk.store.orders.live_for(position.symbol))


def _freeze(desk: Desk, position: Position, price: Fraction | None, qty: Fraction) -> None:
    """No entry, no price rule; where the share count moved, our own resting stops are taken back too."""
    because = f"a split is suspected: price says {price or 'nothing yet'}, quantity says {qty}"
    if why_frozen(desk, position.symbol, SPLIT) is None:
        freeze(desk, SPLIT, position.symbol, because, ref=position.id)
    if qty == SAME:
        return
    for order in desk.store.orders.live_for(position.symbol):
        if order.purpose == "protect" and order.raw_status != "pending_cancel":
            request_cancel(desk, order, "its level is from before a split")


def _clear(desk: Desk, symbol: str) -> None:
    if desk.store.meta.get(f"split:{symbol}") is not None:
        desk.store.meta.set(f"split:{symbol}", None)
    unfreeze(desk, SPLIT, symbol, "price and quantity agree")
