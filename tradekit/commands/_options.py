"""Reading what a user typed into the values that steps want."""

from decimal import Decimal, InvalidOperation

from tradekit.errors import UsageError


def seconds(text: str, option: str) -> int:
    """`10s`, `5m`, `1h30m` as seconds; UsageError names the option."""
    from tradekit.schedule import duration

    try:
        found = duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", f"{option} 30s, {option} 5m or {option} 1h30m") from None
    if found <= 0:
        raise UsageError(f"{option} {text}: must be above 0", f"{option} 30s")
    return found


def money(text: str, option: str) -> Decimal:
    """An amount of 0 or more, at most 15 digits; UsageError names the option."""
    from tradekit.money import DIGITS

    try:
        found = Decimal(text)
    except InvalidOperation:
        raise UsageError(f"{option} {text}: not a number", f"{option} 12.50") from None
    if not found.is_finite() or found < 0 or len(found.normalize().as_tuple().digits) > DIGITS:
        raise UsageError(f"{option} {text}: 0 or more, with at most {DIGITS} digits", f"{option} 12.50")
    return found
