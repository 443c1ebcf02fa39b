"""Sell at the next open while a halt with flatten is open."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def kill_switch(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The bar's close as reference when the desk is to be flat, or NaN; fills at the next open."""
    return bar.close if state.kill else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    return "a halt asked to flatten the desk"
