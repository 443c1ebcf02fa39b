"""How the rules combine within one bar, in floats and flags: the one source of `judge` and of the compiled loops.

A rule is its place in PRIORITY here.
"""

import math

from tradekit.exits.base import NAN, Bar, Held, Plan, State
from tradekit.exits.decision import decision
from tradekit.exits.end_of_day import end_of_day
from tradekit.exits.hard_stop import hard_stop
from tradekit.exits.kill_switch import kill_switch
from tradekit.exits.regime import regime
from tradekit.exits.reversal import reversal
from tradekit.exits.target import target
from tradekit.exits.time_stop import time_stop
from tradekit.exits.trailing_stop import trailing_stop

NONE = -1
HARD_STOP, TRAILING_STOP, TARGET, TIME_STOP, END_OF_DAY = 1, 2, 3, 5, 8


def verdict(held: Held, bar: Bar, plan: Plan, state: State) -> tuple[int, float, bool]:
    """(the rule that ends the position in this bar, or NONE; the price it names; whether it asks for the next open)."""
    since_entry = bar.start_s >= held.opened_s
    moment = bar.start_s == bar.end_s
    prices = (
        kill_switch(held, bar, plan, state),
        hard_stop(held, bar, plan, state) if since_entry else NAN,
        trailing_stop(held, bar, plan, state) if since_entry else NAN,
        target(held, bar, plan, state) if since_entry else NAN,
        decision(held, bar, plan, state),
        time_stop(held, bar, plan, state),
        regime(held, bar, plan, state),
        reversal(held, bar, plan, state),
        end_of_day(held, bar, plan, state),
    )
    first = NONE
    for rule, price in enumerate(prices):
        if math.isnan(price):
            continue
        if moment or (price == bar.open and at_open(rule, held, bar, plan)):
            return rule, price, moment and not HARD_STOP <= rule <= TARGET
        if first == NONE:
            first = rule
    if first == NONE:
        return NONE, NAN, False
    stop, trail = prices[HARD_STOP], prices[TRAILING_STOP]
    if trail > stop or (math.isnan(stop) and not math.isnan(trail)):
        return TRAILING_STOP, trail, False
    if not math.isnan(stop):  # a tie keeps the order of PRIORITY
        return HARD_STOP, stop, False
    if not math.isnan(prices[TARGET]):
        return TARGET, prices[TARGET], False
    return first, prices[first], True


def at_open(rule: int, held: Held, bar: Bar, plan: Plan) -> bool:
    """Whether a rule that named the bar's open was true there: flags are known at the bar's end only."""
    if rule == TIME_STOP:
        return bar.start_s >= held.opened_s + plan.max_hold_s
    if rule == END_OF_DAY:
        return bar.start_s >= plan.flat_at_s
    return HARD_STOP <= rule <= TARGET


def advance(held: Held, bar: Bar, plan: Plan) -> Held:
    """The position after a bar that did not end it: watermark and arming, both counting from the next bar.

    Of a bar that began before the entry only the close is known to lie after it.
    """
    top = bar.high if bar.start_s >= held.opened_s else bar.close
    return Held(held.entry, max(held.high, top), held.armed or (plan.arm and top >= plan.target), held.opened_s)
