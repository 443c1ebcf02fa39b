"""Decimal in memory, REAL on disk: the crossings, and the roundings that money knows.

Up to 15 significant digits a decimal survives the way through a double and back; `repr` gives the
shortest text that names the double, so `dec(real(x)) == x` for all of those.
"""

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from tradekit.errors import UsageError

DIGITS = 15
_WIRE = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_AVERAGE = Context(prec=12, rounding=ROUND_HALF_EVEN)
_SMALL, _LARGE = 1e-290, 1e290  # between them a double holds any 15 digits
LEDGER_UNITS = {"USD": Decimal("0.000001")}
CRYPTO_UNIT = Decimal("0.0000000001")
ZERO, ONE = Decimal(0), Decimal(1)
SEEN = 16384  # doubles whose decimal is kept: a pass meets the same prices in bars, marks, positions and orders
_SEEN: dict[float, Decimal] = {}


def dec(x: float | int | str | Decimal) -> Decimal:
    """A number as Decimal, by its shortest text: 0.1 gives 0.1."""
    if isinstance(x, float):
        found = _SEEN.get(x)
        if found is None:
            text = float.__repr__(x)
            found = Decimal(text[:-2] if text[-2:] == ".0" else text)
            if x and x == x:  # 0.0 equals -0.0, and a NaN nothing
                if len(_SEEN) >= SEEN:
                    _SEEN.clear()
                _SEEN[x] = found
        return found
    return x if isinstance(x, Decimal) else Decimal(x)


def real(x: Decimal) -> float:
    """The double that stands for `x` on disk. UsageError where it would not come back as `x`."""
    value = float(x)
    if _SMALL < abs(value) < _LARGE and _WIRE.plus(x) == x:
        return value
    if Decimal(repr(value)) != x:
        raise UsageError(f"{x} has more than {DIGITS} significant digits", "round it and try again")
    return value


def reals(column: Sequence[Decimal]) -> list[float]:
    """`real` of many at once, in a third of the time. UsageError as there."""
    values = list(map(float, column))
    sizes = values if values and min(values) > 0 else [abs(value) for value in values if value]
    in_range = not sizes or (min(sizes) > _SMALL and max(sizes) < _LARGE)
    if in_range and (sizes is values or len(sizes) == sum(map(bool, column))) and all_on_wire(column):
        return values
    return list(map(real, column))


def all_on_wire(column: Sequence[Decimal]) -> bool:
    """Whether all of them have at most the 15 digits that the store keeps."""
    return wires(column) == list(column)


def wire(text: str | float | int | Decimal) -> Decimal:
    """What a broker said, rounded to the 15 digits that the store keeps; never refused."""
    return _WIRE.plus(text if type(text) is Decimal else dec(text))


def wires(column: Iterable[Decimal]) -> list[Decimal]:
    """`wire` of many."""
    return list(map(_WIRE.plus, column))


def book(amount: Decimal, currency: str = "USD") -> Decimal:
    """Computed money, rounded half-even once to the ledger's unit (USD 1e-6, crypto 1e-10)."""
    return plain(booked(amount, currency))


def booked(amount: Decimal, currency: str) -> Decimal:
    """The same with its trailing zeros: for sums."""
    return amount.quantize(LEDGER_UNITS.get(currency, CRYPTO_UNIT), ROUND_HALF_EVEN)


def shown_average(total: Decimal, qty: Decimal) -> Decimal:
    """An average price to 12 digits, for show; P&L never comes from it."""
    return plain(_AVERAGE.divide(total, qty))


def averages(totals: Iterable[Decimal], qtys: Iterable[Decimal]) -> list[Decimal]:
    """Average prices of many to 12 digits, some with trailing zeros."""
    return list(map(_AVERAGE.divide, totals, qtys))


def floor_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The tick at or below `price`."""
    return plain((price / tick).to_integral_value(ROUND_FLOOR) * tick)


def ceil_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The tick at or above `price`."""
    return plain((price / tick).to_integral_value(ROUND_CEILING) * tick)


def against_us(price: Decimal, tick: Decimal, side: str) -> Decimal:
    """Rounded to the tick so that we pay more or get less."""
    return ceil_tick(price, tick) if side == "buy" else floor_tick(price, tick)


def plain(x: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: 1E+2 becomes 100."""
    x = x.normalize()
    return x.quantize(ONE) if "E+" in str(x) else x
