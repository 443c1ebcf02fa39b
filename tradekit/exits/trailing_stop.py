"""Sell `trail` below the high since entry, once the target has armed the trail or from entry on."""

from tradekit.exits.base import NAN, Bar, Held, Plan, State, floor_to


def trailing_level(held: Held, plan: Plan) -> float:
    """Where the trail stands for the next bar, rounded down to the tick; NaN while it is not armed."""
    if not held.armed:
        return NAN
    level = floor_to(held.high * (1.0 - plan.trail), plan.tick)
    if level < plan.floor:  # false where there is no floor
        return plan.floor
    return level


def trailing_stop(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The price at which this bar takes us out, or NaN; prices in the quote currency."""
    level = trailing_level(held, plan)
    if bar.open <= level:
        return bar.open  # gapped through it
    return level if bar.low <= level else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    level = trailing_level(held, plan)
    what = f"{plan.trail:.1%} under the high of {held.high:.10g}"
    if level == plan.floor:
        what = f"the trail's floor of {plan.floor:.10g} (high {held.high:.10g})"
    if bar.open <= level:
        return f"open {bar.open:.10g} was at or below {what}"
    return f"low {bar.low:.10g} reached {what}"
