"""Each exit rule against a table of worked-out bars; levels in dollars, tick a cent."""

import math

import pytest

from tradekit.exits import RULES
from tradekit.exits.base import NAN, NO_PLAN, NO_STATE, Bar, Held, floor_to

HELD = Held(entry=100.0, high=100.0, armed=False, opened_s=0.0)


def bar(open_, high, low, close, start_s=60.0, end_s=120.0):
    return Bar(start_s, end_s, open_, high, low, close)


def same(found, expected):
    return found == expected or (math.isnan(found) and math.isnan(expected))


@pytest.mark.parametrize(
    ("open_", "low", "out"),
    [
        (99.50, 99.11, NAN),  # a cent above the stop
        (99.50, 99.10, 99.10),  # touched
        (99.50, 90.00, 99.10),  # fell through it: the level came first
        (99.10, 99.10, 99.10),  # opened on it
        (97.00, 96.00, 97.00),  # gapped through it: the open, not the level
    ],
)
def test_hard_stop(open_, low, out):
    plan = NO_PLAN._replace(stop=99.10)
    one = bar(open_, open_, low, low)
    assert same(RULES["hard-stop"].price(HELD, one, plan, NO_STATE), out)
    assert same(RULES["hard-stop"].price(HELD, one, NO_PLAN, NO_STATE), NAN)  # no stop in the plan


@pytest.mark.parametrize(
    ("armed", "open_", "low", "out"),
    [
        (False, 90.00, 90.00, NAN),  # not armed: the target was never hit
        (True, 108.36, 108.36, NAN),  # a cent above the stop
        (True, 108.50, 108.35, 108.35),  # touched: 110 x 0.985
        (True, 108.50, 100.00, 108.35),  # fell through it
        (True, 80.00, 79.00, 80.00),  # gapped through it
    ],
)
def test_trailing_stop(armed, open_, low, out):
    held, plan = HELD._replace(high=110.0, armed=armed), NO_PLAN._replace(trail=0.015)
    assert same(RULES["trailing-stop"].price(held, bar(open_, open_, low, low), plan, NO_STATE), out)


@pytest.mark.parametrize(
    ("high", "low", "out"),
    [
        (102.60, 101.30, 101.30),  # 1.5 % under 102.60 is 101.06, the floor is higher
        (102.60, 101.31, NAN),
        (105.00, 103.42, 103.42),  # 103.425 down to the tick, above the floor
        (105.00, 103.43, NAN),
    ],
)
def test_an_armed_trail_never_lies_below_its_floor(high, low, out):
    held = HELD._replace(high=high, armed=True)
    plan = NO_PLAN._replace(target=102.60, arm=True, trail=0.015, floor=101.30)
    assert same(RULES["trailing-stop"].price(held, bar(104.0, 104.0, low, low), plan, NO_STATE), out)


@pytest.mark.parametrize(
    ("plan", "open_", "high", "out"),
    [
        ({"target": 102.60}, 101.0, 102.59, NAN),  # a cent short
        ({"target": 102.60}, 101.0, 102.60, 102.60),  # touched
        ({"target": 102.60}, 101.0, 109.00, 102.60),  # ran through it: a resting sell would have gone
        ({"target": 102.60}, 104.0, 105.00, 104.0),  # jumped over it: the better open
        ({"target": 102.60, "arm": True}, 104.0, 105.00, NAN),  # it arms the trail, it does not sell
        ({"close_above": 115.0}, 114.0, 116.0, 115.0),  # a target that exits
        ({"target": 102.60, "arm": True, "close_above": 115.0}, 114.0, 116.0, 115.0),
        ({"target": 102.60, "close_above": 115.0}, 101.0, 120.0, 102.60),  # the lower of the two
        ({"target": 120.00, "close_above": 115.0}, 101.0, 130.0, 115.0),
        ({}, 101.0, 1000.0, NAN),
    ],
)
def test_target(plan, open_, high, out):
    one = bar(open_, high, open_, high)
    assert same(RULES["target"].price(HELD, one, NO_PLAN._replace(**plan), NO_STATE), out)


@pytest.mark.parametrize(
    ("rule", "flag"),
    [("kill-switch", "kill"), ("decision", "close_asked"), ("regime", "regime_dead"), ("reversal", "reversal")],
)
def test_a_flag_names_the_close_as_reference(rule, flag):
    one = bar(100.0, 101.0, 99.0, 100.5)
    assert same(RULES[rule].price(HELD, one, NO_PLAN, NO_STATE), NAN)
    assert RULES[rule].price(HELD, one, NO_PLAN, NO_STATE._replace(**{flag: True})) == 100.5


@pytest.mark.parametrize(
    ("start_s", "end_s", "out"),
    [
        (3480, 3540, NAN),  # a minute early
        (3540, 3600, 100.5),  # ends on the minute: the next open is in time
        (3570, 3630, 100.5),  # ends after it
        (3600, 3660, 100.0),  # no bar before this one: its own open was the first chance
        (7200, 7260, 100.0),
    ],
)
@pytest.mark.parametrize("rule", ["time-stop", "end-of-day"])
def test_a_clock_rule_sells_at_the_first_open_after_its_time(rule, start_s, end_s, out):
    plan = {"time-stop": {"max_hold_s": 3600.0}, "end-of-day": {"flat_at_s": 3600.0}}[rule]
    one = bar(100.0, 101.0, 99.0, 100.5, start_s, end_s)
    assert same(RULES[rule].price(HELD, one, NO_PLAN._replace(**plan), NO_STATE), out)
    assert same(RULES[rule].price(HELD, one, NO_PLAN, NO_STATE), NAN)  # off


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_says_why_in_one_sentence(rule):
    plan = NO_PLAN._replace(stop=99.1, target=102.6, trail=0.015, max_hold_s=60.0, flat_at_s=60.0)
    text = RULES[rule].because(HELD._replace(armed=True), bar(99.0, 103.0, 98.0, 99.0), plan, NO_STATE)
    assert text
    assert "nan" not in text
    assert "\n" not in text


def test_the_trail_says_percent_and_watermark():
    held, plan = HELD._replace(high=110.0, armed=True), NO_PLAN._replace(trail=0.015)
    why = RULES["trailing-stop"].because(held, bar(109.0, 109.0, 108.3, 108.3), plan, NO_STATE)
    assert why == "low 108.3 reached 1.5% under the high of 110"


@pytest.mark.parametrize(
    ("price", "tick", "out"),
    [
        (110 * 0.985, 0.01, 108.35),  # 108.35 in decimals, a hair less in binary
        (108.359999, 0.01, 108.35),
        (0.123456789, 1e-8, 0.12345678),
        (103.44, 0.05, 103.40),
        (103.44, 0.25, 103.25),
        (107.0, 5.0, 105.0),
        (107.123, 0.0, 107.123),  # no tick known
        (NAN, 0.01, NAN),
    ],
)
def test_levels_round_down_to_the_tick(price, tick, out):
    assert same(floor_to(price, tick), out)
