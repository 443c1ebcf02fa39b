"""Sell at the next open once the position has been held for its longest time."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def time_stop(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when time ran out by its end, its open when it had before, or NaN.

    Fills at the first open at or after the time: the next one, or this one after a gap in the bars.
    """
    until = held.opened_s + plan.max_hold_s
    if bar.start_s >= until:
        return bar.open
    return bar.close if bar.end_s >= until else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return f"held for {(bar.end_s - held.opened_s) / 60:.0f} minutes, at most {plan.max_hold_s / 60:.0f}"
