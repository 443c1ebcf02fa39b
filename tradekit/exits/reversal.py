"""Sell at the next open when the reversal score reached its closing threshold."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def reversal(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when the trend has turned, or NaN; fills at the next open."""
    return bar.close if state.reversal else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return "the reversal score reached its closing threshold"
