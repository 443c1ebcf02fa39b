"""How the rules combine within one bar: worked cases, then properties over many bars."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradekit.exits import (
    LEVELS,
    NEXT_OPEN,
    NO_STATE,
    PRIORITY,
    RULES,
    Bar,
    Held,
    State,
    advance,
    begin,
    judge,
    judge_without_price,
    level_in_force,
    levels,
)
from tradekit.exits.base import NAN, NO_PLAN
from tradekit.model import ExitPlan

DAY = ExitPlan(stop=0.009, target=0.026, after_target="arm-trail", trail=0.015)
ALL_ON = State(kill=True, regime_dead=True, reversal=True, close_asked=True)


def bar(open_, high, low, close, minute=1, seconds=60):
    return Bar(minute * 60.0, minute * 60.0 + seconds, open_, high, low, close)


def said(found):
    return None if found is None else (found.rule, found.price, found.at_next_open)


def test_the_priority_is_the_one_that_the_design_names():
    assert PRIORITY == (
        "kill-switch", "hard-stop", "trailing-stop", "target", "decision", "time-stop", "regime", "reversal",
        "end-of-day",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("armed", "bars", "out"),
    [
        (False, (100.5, 101.0, 100.0, 100.2), None),
        (False, (100.0, 103.0, 99.0, 101.0), ("hard-stop", 99.1, False)),  # stop and target in one bar: the stop
        (True, (104.0, 104.0, 98.0, 98.0), ("trailing-stop", 101.5, False)),  # a falling price meets the higher first
        (True, (100.0, 100.0, 98.0, 98.0), ("trailing-stop", 100.0, False)),  # only the trail was true at the open
        (True, (99.0, 100.0, 98.0, 98.0), ("hard-stop", 99.0, False)),  # both were: priority names the reason
        (True, (106.0, 112.0, 101.0, 111.0), ("trailing-stop", 101.5, False)),  # stop before close_above
        (True, (106.0, 112.0, 105.0, 111.0), ("target", 110.0, False)),
        (True, (111.0, 112.0, 90.0, 91.0), ("target", 111.0, False)),  # true at the open, before any low
    ],
)
def test_levels_within_one_bar(armed, bars, out):
    held = Held(100.0, 103.05, armed, 0.0)  # 1.5 % under 103.05 is 101.50
    plan = NO_PLAN._replace(stop=99.1, target=102.6, arm=True, trail=0.015, floor=101.3, close_above=110.0)
    assert said(judge(held, bar(*bars), plan, NO_STATE)) == out


def test_a_level_inside_the_bar_comes_before_the_next_open():
    held, plan = Held(100.0, 100.0, False, 0.0), NO_PLAN._replace(stop=99.1, flat_at_s=120.0)
    assert said(judge(held, bar(100, 100, 99, 99.5), plan, ALL_ON)) == ("hard-stop", 99.1, False)
    assert said(judge(held, bar(100, 100, 99.5, 99.6), plan, ALL_ON)) == ("kill-switch", 99.6, True)


def test_of_several_that_want_the_next_open_the_first_by_priority_is_named():
    held, plan = Held(100.0, 100.0, False, 0.0), NO_PLAN._replace(max_hold_s=60.0, flat_at_s=60.0)
    one = bar(100, 100, 100, 100, minute=0)
    state, order = ALL_ON, []
    for flag in ("kill", "close_asked", None, "regime_dead", "reversal"):
        order.append(judge(held, one, plan, state).rule)
        if flag:
            state = state._replace(**{flag: False})
        else:
            plan = plan._replace(max_hold_s=NAN)
    order.append(judge(held, one, plan, state).rule)
    assert order == ["kill-switch", "decision", "time-stop", "regime", "reversal", "end-of-day"]


def test_the_trigger_price_of_a_pass_is_a_bar_of_one_moment():
    held, plan = Held(100.0, 100.0, False, 0.0), NO_PLAN._replace(stop=99.1)
    now = bar(98.5, 98.5, 98.5, 98.5, seconds=0)
    assert said(judge(held, now, plan, NO_STATE)) == ("hard-stop", 98.5, False)
    assert said(judge(held, now, plan, ALL_ON)) == ("kill-switch", 98.5, True)  # everything is true at its open


def test_a_clock_rule_after_a_gap_in_the_bars_takes_that_open():
    held, plan = Held(100.0, 100.0, False, 0.0), NO_PLAN._replace(stop=99.1, flat_at_s=300.0)
    assert said(judge(held, bar(100, 100, 99, 99, minute=4), plan, NO_STATE)) == ("hard-stop", 99.1, False)
    assert said(judge(held, bar(100, 100, 99.5, 99.6, minute=4), plan, NO_STATE)) == ("end-of-day", 99.6, True)
    assert said(judge(held, bar(100, 100, 99, 99, minute=5), plan, NO_STATE)) == ("end-of-day", 100, False)
    assert said(judge(held, bar(98, 100, 98, 99, minute=5), plan, NO_STATE)) == ("hard-stop", 98, False)


def test_entry_inside_a_bar_is_judged_from_the_next_one():
    plan = levels(DAY, 100.0, 0.01, opened_s=90.0, close_s=None)
    held = begin(plan, 100.0, 90.0)
    inside, after = bar(100, 103, 99, 102.7, minute=1), bar(99.0, 99.5, 99, 99.2, minute=2)
    assert judge(held, inside, plan, NO_STATE) is None
    held = advance(held, inside, plan)
    assert (held.high, held.armed) == (102.7, True)  # of that bar only the close is known to come after the entry
    assert judge(begin(plan, 100.0, 90.0), after, plan, NO_STATE).rule == "hard-stop"
    assert judge(begin(plan, 100.0, 120.0), after, plan, NO_STATE).rule == "hard-stop"  # entry at its open


def test_a_missing_price_holds_back_no_exit():
    plan = levels(DAY, 100.0, 0.01, opened_s=0.0, close_s=1000.0)
    held = begin(plan, 100.0, 0.0)
    assert judge_without_price(held, 50.0, plan, NO_STATE) is None
    found = judge_without_price(held, 50.0, plan, NO_STATE._replace(kill=True))
    assert (found.rule, math.isnan(found.price), found.at_next_open) == ("kill-switch", True, True)
    assert judge_without_price(held, 100.0, plan, NO_STATE).rule == "end-of-day"


def walk(plan, held, bars):
    for one in bars:
        found = judge(held, one, plan, NO_STATE)
        if found:
            return found, one
        held = advance(held, one, plan)
    return None, None


def test_a_target_that_arms_in_a_bar_trails_from_the_next():
    plan = levels(DAY, 100.0, 0.01, opened_s=0.0, close_s=None)
    bars = [
        bar(100.0, 101.0, 99.5, 101.0, 1),
        bar(101.0, 104.0, 101.0, 101.1, 2),  # arms, and falls under 104 x 0.985 = 102.44: not judged here
        bar(102.5, 103.0, 102.45, 103.0, 3),
        bar(103.0, 103.0, 102.40, 102.4, 4),
    ]
    found, one = walk(plan, begin(plan, 100.0, 0.0), bars)
    assert (said(found), one.start_s) == (("trailing-stop", 102.44, False), 240.0)


def test_the_watermark_of_a_bar_counts_from_the_next():
    plan = levels(ExitPlan(trail=0.05, trail_from="entry", intent="swing"), 100.0, 0.01, opened_s=0.0, close_s=None)
    held = begin(plan, 100.0, 0.0)
    assert level_in_force(held, plan) == 95.0
    wide = bar(100.0, 110.0, 96.0, 108.0, 1)  # 5 % under its own high would be 104.50
    assert judge(held, wide, plan, NO_STATE) is None
    held = advance(held, wide, plan)
    assert level_in_force(held, plan) == 104.5
    assert said(judge(held, bar(105.0, 106.0, 104.5, 105.0, 2), plan, NO_STATE)) == ("trailing-stop", 104.5, False)


CENTS = st.integers(min_value=8000, max_value=12000).map(lambda c: c / 100)


@st.composite
def bars(draw, minute=1):
    low, high = sorted((draw(CENTS), draw(CENTS)))
    within = st.integers(min_value=round(low * 100), max_value=round(high * 100)).map(lambda c: c / 100)
    return bar(draw(within), high, low, draw(within), minute)


@st.composite
def plans(draw):
    share = st.one_of(st.none(), st.floats(min_value=0.001, max_value=0.15))
    return ExitPlan(
        stop=draw(share),
        target=draw(share),
        trail=draw(share),
        close_above=draw(share),
        after_target=draw(st.sampled_from(["exit", "arm-trail"])),
        trail_from=draw(st.sampled_from(["target", "entry"])),
        max_hold_s=draw(st.one_of(st.none(), st.integers(min_value=1, max_value=600))),
        intent=draw(st.sampled_from(["day", "swing"])),
    )


STATES = st.builds(State, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=300, deadline=None)
@given(plans(), bars(), STATES, CENTS, CENTS, st.booleans())
def test_an_exit_is_a_price_that_the_bar_could_trade_and_priority_is_kept(spec, one, state, entry, high, armed):
    plan = levels(spec, entry, 0.01, opened_s=0.0, close_s=1100.0)
    held = begin(plan, entry, 0.0)._replace(high=max(entry, high), armed=armed)
    found = judge(held, one, plan, state)
    prices = {name: rule.price(held, one, plan, state) for name, rule in RULES.items()}
    true = [name for name in PRIORITY if not math.isnan(prices[name])]
    assert (found is None) == (not true)
    if found is None:
        return
    assert one.low <= found.price <= one.high
    assert found.price == prices[found.rule]
    if found.at_next_open:
        assert found.rule in NEXT_OPEN
        assert found.price == one.close
        assert not LEVELS.intersection(true)  # what happened inside the bar came first
        assert found.rule == true[0]
    if found.rule == "target" and found.price > one.open:
        assert not {"hard-stop", "trailing-stop"}.intersection(true)
    if found.rule in {"hard-stop", "trailing-stop"}:
        stops = [prices[name] for name in ("hard-stop", "trailing-stop") if name in true]
        assert found.price == max(stops)
        assert found.price <= one.open


@settings(max_examples=200, deadline=None)
@given(plans(), st.lists(bars(), min_size=1, max_size=12), CENTS)
def test_the_level_in_force_never_falls_and_the_floor_is_kept(spec, walked, entry):
    plan = levels(spec, entry, 0.01, opened_s=0.0, close_s=None)
    held, last = begin(plan, entry, 0.0), -math.inf
    for i, one in enumerate(walked):
        level = level_in_force(held, plan)
        if not math.isnan(level):
            assert level >= last
            last = level
        if held.armed and plan.arm:
            assert level >= plan.floor
        found = judge(held, one._replace(start_s=i * 60.0, end_s=i * 60.0 + 60), plan, NO_STATE)
        if found and found.rule in {"hard-stop", "trailing-stop"}:
            assert found.price == min(level, one.open)
        held = advance(held, one, plan)
