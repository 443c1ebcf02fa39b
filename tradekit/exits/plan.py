"""From an exit plan in fractions to the levels of one position, and the stop that rests at the venue."""

import math
from typing import Literal

from tradekit.exits.base import NAN, Held, Plan, floor_to
from tradekit.exits.trailing_stop import trailing_level
from tradekit.model import ExitPlan


def levels(
    plan: ExitPlan, entry: float, tick: float, *, opened_s: float, close_s: float | None, atr: float | None = None
) -> Plan:
    """The plan as absolute prices for a position entered at `entry`, each rounded down to the tick.

    `close_s` is the session's close (None: 24/7 or unknown, then no end of day); `atr` is ATR14 in price units, used
    where the plan says stop_atr. Raises ValueError for an entry that is not a finite positive price.
    """
    if not (math.isfinite(entry) and entry > 0):
        raise ValueError(f"entry price {entry} is not a positive number")
    goal = target_price(plan, entry)
    trails_from_entry = plan.trail is not None and plan.trail_from == "entry"
    if trails_from_entry and plan.after_target == "arm-trail":
        goal = NAN  # nothing left to arm
    arms = plan.trail is not None and plan.after_target == "arm-trail" and not math.isnan(goal)
    return Plan(
        stop=floor_to(stop_price(plan, entry, atr), tick),
        target=floor_to(goal, tick),
        arm=arms,
        trail=plan.trail if plan.trail is not None and (arms or trails_from_entry) else NAN,
        floor=floor_to(entry + (goal - entry) / 2, tick) if arms else NAN,
        close_above=NAN if plan.close_above is None else floor_to(entry * (1 + plan.close_above), tick),
        max_hold_s=NAN if plan.max_hold_s is None else float(plan.max_hold_s),
        flat_at_s=flat_at_s(plan, close_s),
        tick=tick,
    )


def stop_price(plan: ExitPlan, entry: float, atr: float | None = None) -> float:
    """The plan's stop before rounding: an absolute level as it stands, else the wider of `stop` and stop_atr x ATR14.

    NaN without a stop; an ATR that is unknown leaves the fraction as it is.
    """
    if plan.stop_price is not None:
        return plan.stop_price
    distance = NAN if plan.stop is None else plan.stop * entry
    if plan.stop_atr is not None and atr is not None and math.isfinite(atr):
        wide = plan.stop_atr * atr
        distance = max(wide, distance)  # keeps `wide` where there is no fraction
    return entry - distance


def target_price(plan: ExitPlan, entry: float) -> float:
    """The plan's target before rounding, NaN without one."""
    if plan.target_price is not None:
        return plan.target_price
    return NAN if plan.target is None else entry * (1 + plan.target)


def flat_at_s(plan: ExitPlan, close_s: float | None) -> float:
    """From when on a day position has to leave; NaN for swing plans, without a close, or where it is off."""
    if plan.intent != "day" or plan.flat_before_close_s is None or close_s is None:
        return NAN
    return close_s - plan.flat_before_close_s


def begin(plan: Plan, entry: float, opened_s: float) -> Held:
    """The position right after its entry; a trail from entry is armed from the start."""
    return Held(entry=entry, high=entry, armed=not math.isnan(plan.trail) and not plan.arm, opened_s=opened_s)


def level_in_force(held: Held, plan: Plan) -> float:
    """The higher of the hard and the trailing stop, as it counts for the next bar; NaN where there is none."""
    trail = trailing_level(held, plan)
    return trail if math.isnan(plan.stop) else max(plan.stop, trail)  # max keeps the stop where the trail is NaN


def protect_level(
    plan: ExitPlan,
    entry: float,
    high: float,
    *,
    mode: Literal["disaster", "exact", "none"],
    disaster_min: float,
    tick: float,
    armed: bool = False,
    atr: float | None = None,
) -> float:
    """Where the stop that rests at the venue belongs, rounded down to the tick; NaN: none is placed.

    disaster: twice the stop's distance under the entry, at least the fraction `disaster_min` of it; a plan without
    a stop rests its trail under the watermark `high`. exact: the level that the desk itself watches.
    The caller never moves a resting stop down.
    """
    if mode == "none":
        return NAN
    stop = stop_price(plan, entry, atr)
    trail = NAN
    if plan.trail is not None and (plan.trail_from == "entry" or armed):
        trail = high * (1 - plan.trail)
        goal = target_price(plan, entry)
        if plan.trail_from == "target" and not math.isnan(goal):
            trail = max(trail, entry + (goal - entry) / 2)
    if math.isnan(stop):
        return floor_to(trail, tick)
    if mode == "exact":
        return floor_to(max(stop, trail), tick)
    least = disaster_min * entry
    if stop >= entry:  # the operator locked a gain in: keep the same distance under that stop
        return floor_to(stop - least, tick)
    level = floor_to(entry - max(2 * (entry - stop), least), tick)
    return level if level > 0 else floor_to(stop, tick)  # twice a stop of 50 % is no price: rest the stop itself


def protect_reason(plan: ExitPlan) -> str:
    """The exit_reason of a fill of the resting stop: trailing-stop for a plan that has a trail and no stop."""
    has_stop = plan.stop is not None or plan.stop_price is not None or plan.stop_atr is not None
    return "hard-stop" if has_stop or plan.trail is None else "trailing-stop"


def plan_faults(plan: ExitPlan) -> list[str]:
    """What is wrong with a plan, one sentence each; empty when it can work."""
    found = []
    has_target = plan.target is not None or plan.target_price is not None
    if plan.trail is not None and plan.trail_from == "target" and not has_target:
        found.append("trail starts at the target, but there is no target: add target or trail_from: entry")
    if plan.after_target == "arm-trail" and plan.trail is None:
        found.append("after_target is arm-trail, but there is no trail")
    if plan.after_target == "exit" and plan.trail is not None and plan.trail_from == "target" and has_target:
        found.append("the target exits, so the trail never starts: set after_target: arm-trail or trail_from: entry")
    for name in ("stop", "trail"):
        value = getattr(plan, name)
        if value is not None and not 0 < value < 1:
            found.append(f"{name} is {value:g}: a fraction between 0 and 1 is wanted (0.009 is 0.9 %)")
    for name in ("target", "close_above", "max_hold_s", "stop_atr", "stop_price", "target_price"):
        value = getattr(plan, name)
        if value is not None and not value > 0:
            found.append(f"{name} is {value:g}: it must be above 0")
    if plan.stop_price is not None and plan.target_price is not None and plan.stop_price >= plan.target_price:
        found.append(f"stop_price {plan.stop_price:g} is not below target_price {plan.target_price:g}")
    return found
