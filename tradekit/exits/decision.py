"""Sell at the next open when a CLOSE decision is pending."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def decision(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when somebody decided to close, or NaN; fills at the next open."""
    return bar.close if state.close_asked else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return "a decision asked to close it"
