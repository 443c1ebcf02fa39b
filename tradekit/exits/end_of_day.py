"""Sell a day position before the close: the rule that says so, and which order the minute calls for."""

from typing import Literal

from tradekit.exits.base import NAN, Bar, Held, Plan, State

Step = Literal["none", "limit", "market", "alert", "on-close"]


def end_of_day(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when it ends at or after `flat_at_s`, its open when it starts there, or NaN.

    Fills at the first open at or after that time: the next one, or this one after a gap in the bars.
    """
    if bar.start_s >= plan.flat_at_s:
        return bar.open
    return bar.close if bar.end_s >= plan.flat_at_s else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return "a day position is flat before the close"


def closing_step(
    now_s: float,
    close_s: float | None,
    *,
    limit_s: float,
    market_s: float,
    alert_s: float,
    flat_s: float | None = None,
    moc: bool = False,
    moc_cutoff_s: float = 0.0,
) -> Step:
    """How a day position leaves at `now_s`: not yet, marketable limit, market, market with an alert, on-close.

    The numbers are seconds before the close; `flat_s` (the plan's flat_before_close_s) replaces `limit_s` as the
    start. With `moc` one on-close order before its cut-off and nothing after. After the close: none.
    """
    left = NAN if close_s is None else close_s - now_s
    start_s = limit_s if flat_s is None else flat_s
    if not 0.0 < left <= start_s:
        return "none"
    if moc:
        return "on-close" if left > moc_cutoff_s else "none"
    if left <= alert_s:
        return "alert"
    return "market" if left <= market_s else "limit"
