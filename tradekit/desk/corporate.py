"""Corporate actions: what happened to a symbol overnight is scaled as a whole, or frozen until a human says what it is.

Splits: price or quantity jumped by a whole factor. When both tell the same in two looks a grace time apart, quantity,
cost, stop, target and watermark are scaled together in one booking. Until then no price rule is judged: a stop must not
fire on the unscaled price. Symbol changes and delistings: all shares are gone and nobody of this desk sold them; only
the operator can say whether `adopt NEW --was OLD` or `release OLD --paid CASH` is right.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from tradekit.clock import iso, parse_time
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.frozen import GONE, SPLIT, freeze, frozen, unfreeze, why_frozen
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
    noted = {key.removeprefix("split:") for key in desk.store.meta.under("split:")}
    noted |= {symbol for kind, symbol in frozen(desk) if kind == SPLIT}
    return {
        p.symbol
        for p in asked
        if _suspected(desk, p, there.get(p.symbol, ZERO), extra.get(p.symbol, ZERO), noted=p.symbol in noted)
    }


def _suspected(desk: Desk, position: Position, there: Decimal, extra: Decimal, *, noted: bool) -> bool:
    """Whether price or quantity look like a split that is not settled. `noted`: a pass before has seen something."""
    symbol = position.symbol
    price, qty = _by_price(desk, symbol), _by_quantity(position.qty + extra, there)
    if qty == SAME and price in (SAME, None) or (qty != SAME and price == SAME):
        if noted:
            _clear(desk, symbol)  # shares that came without a price move were bought by hand
        return False
    if price == qty and _twice(desk, symbol) and _book(desk, position, qty):
        return False
    _freeze(desk, position, price, qty)
    return True


def _by_price(desk: Desk, symbol: str) -> Fraction | None:
    """The factor that today's open says; None: nothing has traded yet."""
    now = desk.clock.now()
    try:
        ratio = desk.market.split_today(symbol, desk.calendar.day(now), now)
    except Exception:  # no data: nothing is said about a split
        return None
    if ratio is None or ratio == 1:
        return SAME if ratio else None
    return Fraction(round(ratio)) if ratio > 1 else Fraction(1, round(1 / ratio))


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
    because = (
        f"a split is suspected: price says {price or 'nothing yet'}, quantity says {qty}; when both say the same it is "
        "booked by itself. No split: tradekit resume takes prices and shares as they are from now on. A split: wait "
        f"for the shares, and if they do not come, tradekit release {position.symbol}, then tradekit adopt "
        f"{position.symbol}; tradekit liquidate {position.symbol} sells it at any time"
    )
    if why_frozen(desk, position.symbol, SPLIT) is None:
        freeze(desk, SPLIT, position.symbol, because, ref=position.id)
    if qty == SAME:
        return
    for order in desk.store.orders.live_for(position.symbol):
        if order.purpose == "protect" and order.raw_status != "pending_cancel":
            request_cancel(desk, order, "its level is from before a split")


# shares that went


def came_instead(desk: Desk, position: Position, there: Mapping[str, Decimal], before: Mapping[str, Decimal]) -> str:
    """The one symbol that came to the account as this one went, with a quantity that fits; empty: none or several."""
    owned = desk.store.owned()
    new = [
        symbol
        for symbol, qty in there.items()
        if symbol not in before and symbol not in owned and factor_of(position.qty, qty) is not None
    ]
    return new[0] if len(new) == 1 else ""


def factor_of(before: Decimal, there: Decimal) -> Fraction | None:
    """The whole factor, or one over it, between two quantities; None: there is none."""
    found = _by_quantity(before, there)
    return found if found != SAME or before == there else None


def vanished(desk: Desk, position: Position, there: Mapping[str, Decimal], became: str) -> bool:
    """All shares of a position held overnight are gone: freeze it where that was hardly a sale by hand."""
    symbol, today = position.symbol, desk.calendar.day(desk.clock.now())
    if position.session >= today or desk.store.meta.get(f"{GONE}-ok:{symbol}") == today.isoformat():
        return False
    if became and there.get(became):
        what = (
            f"its {position.qty} shares are gone and {there[became]} {became} came: a symbol change? tradekit adopt "
            f"{became} --was {symbol} carries cost, stop, target and high over"
        )
    elif not _traded(desk, symbol):
        what = (
            f"its {position.qty} shares are gone and nothing trades: delisted? tradekit release {symbol} --paid CASH "
            f"books what came for them in all (0: worthless), tradekit adopt NEW --was {symbol} a symbol change"
        )
    else:
        return False
    freeze(desk, GONE, symbol, f"{what}; tradekit resume says that they were sold by hand", ref=position.id)
    return True


def back_again(desk: Desk, symbol: str) -> None:
    """The shares are there, or accounted for: nothing is missing, nothing is frozen for having gone."""
    if desk.store.meta.get(f"missing:{symbol}") is not None:
        desk.store.meta.set(f"missing:{symbol}", None)
    unfreeze(desk, GONE, symbol, "its shares are accounted for")


def _traded(desk: Desk, symbol: str) -> bool:
    """Has it traded in today's session, as far as is known?"""
    now = desk.clock.now()
    try:
        return bool(desk.market.day_bars(symbol, desk.calendar.day(now), now))
    except Exception:  # no data: nothing says that it trades
        return False


def _clear(desk: Desk, symbol: str) -> None:
    if desk.store.meta.get(f"split:{symbol}") is not None:
        desk.store.meta.set(f"split:{symbol}", None)
    unfreeze(desk, SPLIT, symbol, "price and quantity agree")
