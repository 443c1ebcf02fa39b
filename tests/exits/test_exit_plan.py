"""From fractions to levels, the resting stop, and how a day position leaves before the close."""

import math

import pytest

from tradekit.exits import begin, closing_step, levels, plan_faults, protect_level, protect_reason
from tradekit.model import ExitPlan

DAY = ExitPlan(stop=0.009, target=0.026, after_target="arm-trail", trail=0.015)
MOO = ExitPlan(stop=0.009, target=0.018)
SWING = ExitPlan(trail=0.05, trail_from="entry", intent="swing", close_above=0.15)


def known(plan):
    return {k: v for k, v in plan._asdict().items() if not (isinstance(v, float) and math.isnan(v))}


def at_100(plan, entry=100.0, **more):
    return known(levels(plan, entry, 0.01, **({"opened_s": 0.0, "close_s": 10_000.0} | more)))


def test_the_day_plan():
    assert at_100(DAY) == {
        "stop": 99.1, "target": 102.6, "arm": True, "trail": 0.015, "floor": 101.3, "flat_at_s": 9100.0, "tick": 0.01,
    }  # fmt: skip


def test_the_market_on_open_plan_exits_at_its_target():
    assert at_100(MOO) == {"stop": 99.1, "target": 101.8, "arm": False, "flat_at_s": 9100.0, "tick": 0.01}


def test_the_swing_plan_trails_from_entry_and_has_no_end_of_day():
    assert at_100(SWING) == {"arm": False, "trail": 0.05, "close_above": 115.0, "tick": 0.01}
    assert begin(levels(SWING, 100.0, 0.01, opened_s=0.0, close_s=1.0), 100.0, 0.0).armed
    assert not begin(levels(DAY, 100.0, 0.01, opened_s=0.0, close_s=1.0), 100.0, 0.0).armed


def test_levels_round_down_to_the_tick():
    found = at_100(DAY, entry=33.37)  # 33.06967, 34.23762, half the way 33.80381
    assert (found["stop"], found["target"], found["floor"]) == (33.06, 34.23, 33.80)


def test_absolute_levels_win_over_fractions():
    found = at_100(ExitPlan(stop=0.009, stop_price=97.5, target=0.026, target_price=106.0, trail=0.015,
                            after_target="arm-trail"))  # fmt: skip
    assert (found["stop"], found["target"], found["floor"]) == (97.5, 106.0, 103.0)


@pytest.mark.parametrize(
    ("plan", "atr", "stop"),
    [
        (ExitPlan(stop=0.009, stop_atr=2.0), 1.5, 97.0),  # 2 x 1.50 is wider than 0.90
        (ExitPlan(stop=0.05, stop_atr=2.0), 1.5, 95.0),  # it only widens
        (ExitPlan(stop=0.009, stop_atr=2.0), None, 99.1),  # ATR unknown
        (ExitPlan(stop=0.009, stop_atr=2.0), math.nan, 99.1),
        (ExitPlan(stop_atr=2.0), 1.5, 97.0),
        (ExitPlan(stop_price=99.0, stop_atr=2.0), 1.5, 99.0),  # somebody's own level stays
    ],
)
def test_stop_atr_widens_a_stop(plan, atr, stop):
    assert at_100(plan, atr=atr)["stop"] == stop


def test_no_close_no_end_of_day():
    assert "flat_at_s" not in at_100(DAY, close_s=None)
    assert "flat_at_s" not in at_100(ExitPlan(stop=0.01, flat_before_close_s=None))
    assert at_100(ExitPlan(stop=0.01, flat_before_close_s=1800))["flat_at_s"] == 8200.0


@pytest.mark.parametrize("entry", [0.0, -1.0, math.nan, math.inf])
def test_an_entry_price_is_a_positive_number(entry):
    with pytest.raises(ValueError, match="entry price"):
        levels(DAY, entry, 0.01, opened_s=0.0, close_s=None)


@pytest.mark.parametrize(
    ("plan", "mode", "high", "armed", "level"),
    [
        (DAY, "disaster", 110.0, False, 98.0),  # twice 0.9 % is 1.8 %, at least 2 %
        (ExitPlan(stop=0.02), "disaster", 110.0, False, 96.0),  # twice 2 %
        (DAY, "exact", 101.0, False, 99.1),
        (DAY, "exact", 104.0, True, 102.44),  # 104 x 0.985: armed by the target
        (DAY, "exact", 102.6, True, 101.3),  # the trail's floor
        (DAY, "none", 110.0, True, math.nan),
        (SWING, "disaster", 110.0, False, 104.5),  # its trail, from the watermark
        (SWING, "exact", 110.0, False, 104.5),
        (SWING, "disaster", 100.0, False, 95.0),
        (ExitPlan(stop_price=103.0), "disaster", 110.0, False, 101.0),  # a locked gain: 2 % of entry under it
        (ExitPlan(stop_price=103.0), "exact", 110.0, False, 103.0),
        (ExitPlan(target=0.05), "disaster", 110.0, False, math.nan),  # nothing to rest
        (ExitPlan(stop=0.02, trail=0.05, trail_from="entry"), "disaster", 110.0, False, 96.0),
        (ExitPlan(stop=0.02, trail=0.05, trail_from="entry"), "exact", 110.0, False, 104.5),
    ],
)
def test_where_the_resting_stop_belongs(plan, mode, high, armed, level):
    found = protect_level(plan, 100.0, high, mode=mode, disaster_min=0.02, tick=0.01, armed=armed)
    assert found == level or (math.isnan(found) and math.isnan(level))


def test_the_resting_stop_closes_under_the_name_of_its_plan():
    assert [protect_reason(plan) for plan in (DAY, MOO, SWING)] == ["hard-stop", "hard-stop", "trailing-stop"]


def test_a_plan_that_cannot_work_says_so():
    assert [plan_faults(plan) for plan in (DAY, MOO, SWING)] == [[], [], []]
    assert "no target" in plan_faults(ExitPlan(trail=0.05))[0]
    assert "no trail" in plan_faults(ExitPlan(target=0.05, after_target="arm-trail"))[0]
    assert "never starts" in plan_faults(ExitPlan(target=0.05, trail=0.02))[0]
    assert plan_faults(ExitPlan(stop=0.9e1)) == ["stop is 9: a fraction between 0 and 1 is wanted (0.009 is 0.9 %)"]
    assert plan_faults(ExitPlan(target=-0.1)) == ["target is -0.1: it must be above 0"]
    assert plan_faults(ExitPlan(stop_price=10.0, target_price=9.0)) == ["stop_price 10 is not below target_price 9"]


STEPS = {"limit_s": 900, "market_s": 600, "alert_s": 300}


@pytest.mark.parametrize(
    ("left", "step"),
    [(901, "none"), (900, "limit"), (601, "limit"), (600, "market"), (301, "market"), (300, "alert"), (1, "alert"),
     (0, "none"), (-60, "none")],
)  # fmt: skip
def test_the_steps_before_the_close(left, step):
    assert closing_step(10_000 - left, 10_000, **STEPS) == step


def test_other_closings():
    assert closing_step(1e9, None, **STEPS) == "none"  # 24/7
    assert closing_step(10_000 - 1800, 10_000, **STEPS, flat_s=1800) == "limit"
    assert closing_step(10_000 - 700, 10_000, **STEPS, flat_s=600) == "none"
    on_close = [closing_step(10_000 - left, 10_000, **STEPS, moc=True, moc_cutoff_s=720) for left in (900, 721, 720, 9)]
    assert on_close == ["on-close", "on-close", "none", "none"]


def test_a_wide_stop_rests_at_itself_where_twice_its_distance_is_no_price():
    plan = ExitPlan(stop=0.6)
    assert protect_level(plan, 10.0, 10.0, mode="disaster", disaster_min=0.02, tick=0.01) == 4.0
