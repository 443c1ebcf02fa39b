"""Reading what a user typed into the values that steps want."""

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
