"""Sell at the stop, or at the open that gapped through it."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def hard_stop(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The price at which this bar takes us out, or NaN; prices in the quote currency."""
    if bar.open <= plan.stop:
        return bar.open  # gapped through it
    return plan.stop if bar.low <= plan.stop else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    if bar.open <= plan.stop:
        return f"open {bar.open:.10g} was at or below the stop of {plan.stop:.10g}"
    return f"low {bar.low:.10g} reached the stop of {plan.stop:.10g}"
