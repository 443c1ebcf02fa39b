"""BUY from 12 with a breakout, WATCH from 8 or without one, else SKIP."""

import pytest

from tests.make import make_candidate
from tradekit.config import PlanSettings
from tradekit.decide.plan import entry_plan
from tradekit.decide.rules import conviction, hold_or_close, rules
from tradekit.model import ExitPlan


def verdict(score, breakout=1.0, **fields):
    return rules(
        make_candidate(score=score, features={"momentum_breakout": breakout}, **fields), buy_score=12, watch_score=8
    )


@pytest.mark.parametrize(
    ("score", "breakout", "action"),
    [
        (20.0, 1.0, "BUY"),
        (12.0, 1.0, "BUY"),
        (12.0, 0.0, "WATCH"),
        (12.0, None, "WATCH"),  # unknown is no breakout
        (11.0, 1.0, "WATCH"),
        (8.0, 0.0, "WATCH"),
        (7.0, 1.0, "SKIP"),
        (0.0, 1.0, "SKIP"),
        (None, 1.0, "SKIP"),
    ],
)
def test_the_table_of_actions(score, breakout, action):
    assert verdict(score, breakout).action == action


def test_a_rejected_candidate_is_skipped_with_its_reason():
    found = verdict(20.0, passed=False, reject_reason="held")
    assert (found.action, found.because) == ("SKIP", "the scan rejected it: held")


@pytest.mark.parametrize(("score", "action"), [(0, "HOLD"), (4, "HOLD"), (5, "CLOSE"), (13, "CLOSE")])
def test_a_held_position_closes_when_it_has_turned(score, action):
    found = hold_or_close(score, close_score=5, seen="below-sma20")
    assert (found.action, found.conviction) == (action, None)
    assert found.because.startswith(f"reversal score {score} of 13") and found.because.endswith("below-sma20")


@pytest.mark.parametrize(
    ("score", "sure"), [(0, 0.0), (1, 0.05), (11, 0.55), (12, 0.6), (16, 0.8), (17, 0.85), (20, 1.0), (99, 1.0)]
)
def test_conviction_follows_from_the_score(score, sure):
    assert conviction(score) == sure


def test_the_plan_is_the_strategys_the_desks_and_the_signals_in_that_order():
    own = ExitPlan(trail=0.05, trail_from="entry", close_above=0.15, intent="swing", flat_before_close_s=None)
    plain = entry_plan(own, None, make_candidate())
    assert (plain["trail"], plain["intent"], plain["stop"], plain["flat_before_close_s"]) == (0.05, "swing", None, None)
    desk = PlanSettings(stop=0.009, target=0.026, after_target="arm-trail", close_above=None, intent="day")
    merged = entry_plan(own, desk, make_candidate(stop_price="98.5"))
    assert merged == {
        "stop": 0.009,
        "target": 0.026,
        "after_target": "arm-trail",
        "trail": 0.05,
        "trail_from": "entry",
        "max_hold_s": None,
        "intent": "day",
        "flat_before_close_s": None,
        "close_above": None,  # switched off, not left alone
        "stop_atr": None,
        "stop_price": 98.5,
        "target_price": None,
    }
