"""The exit rules, their priority, and how they combine within one bar (docs/exits.md)."""

from collections.abc import Callable
from typing import NamedTuple

from tradekit.exits import (
    decision,
    end_of_day,
    hard_stop,
    kill_switch,
    regime,
    reversal,
    target,
    time_stop,
    trailing_stop,
)
from tradekit.exits.base import NAN, NO_STATE, Bar, Found, Held, Plan, State, floor_to
from tradekit.exits.end_of_day import closing_step
from tradekit.exits.one_bar import NONE, advance, verdict
from tradekit.exits.plan import begin, level_in_force, levels, plan_faults, protect_level, protect_reason

__all__ = [
    "LEVELS", "NEXT_OPEN", "NONE", "NO_STATE", "PRIORITY", "RULES", "Bar", "Found", "Held", "Plan", "State", "advance",
    "begin", "closing_step", "floor_to", "judge", "judge_without_price", "level_in_force", "levels", "plan_faults",
    "protect_level", "protect_reason", "verdict",
]  # fmt: skip

Price = Callable[[Held, Bar, Plan, State], float]
Reason = Callable[[Held, Bar, Plan, State], str]


class Rule(NamedTuple):
    """One exit rule: the price it names in a bar, and the sentence that says why."""

    price: Price
    because: Reason


RULES: dict[str, Rule] = {
    "kill-switch": Rule(kill_switch.kill_switch, kill_switch.because),
    "hard-stop": Rule(hard_stop.hard_stop, hard_stop.because),
    "trailing-stop": Rule(trailing_stop.trailing_stop, trailing_stop.because),
    "target": Rule(target.target, target.because),
    "decision": Rule(decision.decision, decision.because),
    "time-stop": Rule(time_stop.time_stop, time_stop.because),
    "regime": Rule(regime.regime, regime.because),
    "reversal": Rule(reversal.reversal, reversal.because),
    "end-of-day": Rule(end_of_day.end_of_day, end_of_day.because),
}
PRIORITY: tuple[str, ...] = tuple(RULES)
LEVELS = frozenset({"hard-stop", "trailing-stop", "target"})  # they name a price inside the bar
NEXT_OPEN = frozenset(PRIORITY) - LEVELS  # they ask for the open that follows


def judge(held: Held, bar: Bar, plan: Plan, state: State) -> Found | None:
    """The exit that this bar brings, or None.

    First what is true at the bar's open, by priority; then the stops inside the bar, the higher level first; then the
    target; then the rules that fill at the next open, by priority. In a bar of a single moment (start_s == end_s: the
    trigger price of a pass) everything true is true at its open. Levels are not judged in a bar that began before
    the entry. Judge the bars of a pass with NO_STATE, and only its last one with the desk's state.
    """
    rule, price, next_open = verdict(held, bar, plan, state)
    if rule == NONE:
        return None
    name = PRIORITY[rule]
    return Found(name, price, RULES[name].because(held, bar, plan, state), next_open)


def judge_without_price(held: Held, now_s: float, plan: Plan, state: State) -> Found | None:
    """The exit that needs no price (halt, decision, time, regime, reversal, end of day) at `now_s`, or None.

    For a pass without a usable quote: a missing price never holds back an exit. `price` is NaN.
    """
    bar = Bar(now_s, now_s, held.entry, held.entry, held.entry, held.entry)
    off = plan._replace(stop=NAN, target=NAN, trail=NAN, floor=NAN, close_above=NAN)
    found = judge(held, bar, off, state)
    return found._replace(price=NAN) if found else None
