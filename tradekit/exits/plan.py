"""From an exit plan in fractions to the levels of one position, and the stop that rests at the venue."""

import math
from typing import Literal, NamedTuple

from tradekit.exits.base import NAN, Held, Plan, floor_to
from tradekit.exits.trailing_stop import trailing_level
from tradekit.model import ExitPlan


class Wish(NamedTuple):
    """An ExitPlan in floats and flags, NaN for what is off, so that the levels can be compiled from this source too."""

    stop: float
    stop_atr: float
    stop_price: float
    target: float
    target_price: float
    trail: float
    from_entry: bool  # the trail runs from entry on
    after_arms: bool  # the target arms the trail
    close_above: float
    max_hold_s: float
    flat_before_close_s: float  # NaN for swing plans


def wish_of(plan: ExitPlan) -> Wish:
    """The plan's numbers as they stand."""
    day = plan.intent == "day"
    return Wish(
        stop=_or_nan(plan.stop),
        stop_atr=_or_nan(plan.stop_atr),
        stop_price=_or_nan(plan.stop_price),
        target=_or_nan(plan.target),
        target_price=_or_nan(plan.target_price),
        trail=_or_nan(plan.trail),
        from_entry=plan.trail_from == "entry",
        after_arms=plan.after_target == "arm-trail",
        close_above=_or_nan(plan.close_above),
        max_hold_s=_or_nan(plan.max_hold_s),
        flat_before_close_s=_or_nan(plan.flat_before_close_s) if day else NAN,
    )


def _or_nan(value: float | None) -> float:
    return NAN if value is None else float(value)


def levels(
    plan: ExitPlan, entry: float, tick: float, *, opened_s: float, close_s: float | None, atr: float | None = None
) -> Plan:
    """The plan as absolute prices for a position entered at `entry`, each rounded down to the tick.

    `close_s` is the session's close (None: 24/7 or unknown, then no end of day); `atr` is ATR14 in price units, used
    where the plan says stop_atr. Raises ValueError for an entry that is not a finite positive price.
    """
    if not (math.isfinite(entry) and entry > 0):
        raise ValueError(f"entry price {entry} is not a positive number")
    return levels_of(wish_of(plan), entry, tick, _or_nan(close_s), _or_nan(atr))


def levels_of(wish: Wish, entry: float, tick: float, close_s: float, atr: float) -> Plan:
    """`levels` in floats: NaN for a close or an ATR14 that is not known; `entry` is a finite positive price."""
    goal = target_of(wish, entry)
    trails = not math.isnan(wish.trail)
    if trails and wish.from_entry and wish.after_arms:
        goal = NAN  # nothing left to arm
    arms = trails and wish.after_arms and not math.isnan(goal)
    return Plan(
        stop=floor_to(stop_of(wish, entry, atr), tick),
        target=floor_to(goal, tick),
        arm=arms,
        trail=wish.trail if arms or wish.from_entry else NAN,
        floor=floor_to(entry + (goal - entry) / 2, tick) if arms else NAN,
        close_above=floor_to(entry * (1 + wish.close_above), tick),
        max_hold_s=wish.max_hold_s,
        flat_at_s=close_s - wish.flat_before_close_s,
        tick=tick,
    )


def stop_of(wish: Wish, entry: float, atr: float) -> float:
    """The stop before rounding: an absolute level as it stands, else the wider of `stop` and stop_atr x ATR14.

    NaN without a stop; an ATR that is unknown leaves the fraction as it is.
    """
    if not math.isnan(wish.stop_price):
        return wish.stop_price
    distance = wish.stop * entry
    wide = wish.stop_atr * atr
    if math.isfinite(wide) and not wide <= distance:  # also where there is no fraction
        distance = wide
    return entry - distance


def target_of(wish: Wish, entry: float) -> float:
    """The target before rounding, NaN without one."""
    if not math.isnan(wish.target_price):
        return wish.target_price
    return entry * (1 + wish.target)


def stop_price(plan: ExitPlan, entry: float, atr: float | None = None) -> float:
    """`stop_of` an ExitPlan."""
    return stop_of(wish_of(plan), entry, _or_nan(atr))


def target_price(plan: ExitPlan, entry: float) -> float:
    """`target_of` an ExitPlan."""
    return target_of(wish_of(plan), entry)


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
