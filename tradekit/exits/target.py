"""Sell at the target, or at the open that jumped over it; a target that arms the trail does not sell."""

import math

from tradekit.exits.base import NAN, Bar, Held, Plan, State


def exit_target(plan: Plan) -> float:
    """The lower of the exiting target and `close_above`; NaN where the plan has neither."""
    level = NAN if plan.arm else plan.target
    if math.isnan(level) or plan.close_above < level:
        return plan.close_above
    return level


def target(held: Held, bar: Bar, plan: Plan, state: State) -> float:
    """The price at which this bar takes us out, or NaN; prices in the quote currency."""
    level = exit_target(plan)
    if bar.open >= level:
        return bar.open  # jumped over it
    return level if bar.high >= level else NAN


def because(held: Held, bar: Bar, plan: Plan, state: State) -> str:
    """Why it fired."""
    level = exit_target(plan)
    if bar.open >= level:
        return f"open {bar.open:.10g} was at or above the target of {level:.10g}"
    return f"high {bar.high:.10g} reached the target of {level:.10g}"
