"""How many shares an entry buys. Zero means: no order, and the caller writes a veto by `sizing`."""

from decimal import ROUND_FLOOR, Decimal

from tradekit.config import SizingSettings
from tradekit.money import ZERO, dec
from tradekit.risk.verdicts import is_positive


def size(
    settings: SizingSettings,
    equity: Decimal | None,
    limit_price: Decimal | None,
    stop_price: Decimal | None,
    lot: Decimal,
) -> Decimal:
    """The quantity, rounded down to a multiple of `lot`; 0 where a number it needs is missing or unsound.

    fraction: a part of desk equity at the limit price. notional: a fixed sum. risk: so many shares that the way
    from the limit price to the stop costs a part of desk equity.
    """
    if limit_price is None or not (is_positive(limit_price) and is_positive(lot)):
        return ZERO
    if settings.mode == "notional":
        return _lots(settings.notional / limit_price, lot)
    if equity is None or not is_positive(equity):
        return ZERO
    if settings.mode == "fraction":
        return _lots(equity * dec(settings.fraction) / limit_price, lot)
    if stop_price is None or not is_positive(stop_price) or stop_price >= limit_price:
        return ZERO
    return _lots(equity * dec(settings.risk) / (limit_price - stop_price), lot)


def why_zero(
    settings: SizingSettings,
    equity: Decimal | None,
    limit_price: Decimal | None,
    lot: Decimal,
) -> str:
    """The sentence of a veto by `sizing`."""
    if limit_price is None or not is_positive(limit_price):
        return f"the limit price is {limit_price}: no size without a price"
    if settings.mode != "notional" and (equity is None or not is_positive(equity)):
        return f"desk equity is {equity}: unknown refuses an entry"
    if settings.mode == "risk":
        return (
            f"no stop below {limit_price}, or the risk buys less than {lot}: a stop or a larger sizing.risk would pass"
        )
    return f"the sum of sizing buys less than {lot} at {limit_price}: a larger sum or a cheaper symbol would pass"


def _lots(qty: Decimal, lot: Decimal) -> Decimal:
    return (qty / lot).to_integral_value(ROUND_FLOOR) * lot
