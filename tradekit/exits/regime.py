"""Sell a day position at the next open when the market is dead."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def regime(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when the regime is dead, or NaN; fills at the next open."""
    return bar.close if state.regime_dead else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return "the market is dead and the position is for the day"
