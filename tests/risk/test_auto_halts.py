"""Which numbers stop a desk by themselves."""

import pytest

from tests.risk.book import D
from tradekit.config import RiskSettings
from tradekit.risk.auto_halts import due_halts, loss_streak, reject_streak

CALM = {"equity": D(100000), "day_pnl": D(0), "drawdown": 0.0, "loss_streak": 0, "reject_streak": 0}


@pytest.mark.parametrize(("changes", "kinds"), [
    ({}, []),
    ({"equity": D(98000), "day_pnl": D(-2000)}, ["daily-loss"]),           # 2 % of 100,000
    ({"equity": D("98000.01"), "day_pnl": D("-1999.99")}, []),
    ({"drawdown": 0.08}, ["drawdown"]),
    ({"drawdown": 0.0799}, []),
    ({"loss_streak": 6}, ["consecutive-losses"]),
    ({"loss_streak": 5}, []),
    ({"reject_streak": 3}, ["reject-streak"]),
    ({"equity": None, "day_pnl": None, "drawdown": None}, []),             # unknown raises nothing
    ({"drawdown": float("nan")}, []),
    ({"loss_streak": 9, "drawdown": 0.2, "open_kinds": ["drawdown"]}, ["consecutive-losses"]),
])  # fmt: skip
def test_due_halts(changes, kinds):
    assert [call.kind for call in due_halts(RiskSettings(), **{**CALM, **changes})] == kinds


def test_an_automatic_halt_flattens_only_where_the_settings_name_it():
    calls = due_halts(RiskSettings(flatten_on=["drawdown"]), **{**CALM, "drawdown": 0.2, "loss_streak": 6})
    assert [(call.kind, call.flatten) for call in calls] == [("drawdown", True), ("consecutive-losses", False)]
    assert calls[0].reason == "desk equity is 20.00 % under its peak, the limit is 8.00 %"


@pytest.mark.parametrize(("nets", "streak"), [
    ([], 0),
    ([-1, -2, -3], 3),
    ([-1, 5, -3], 1),
    ([-1, 0, -3], 2),              # break-even neither counts nor resets
    ([-1, None, -3], 2),           # nor does an unknown result
    ([-1, float("nan"), -3], 2),
    ([-1, -1, 0.01], 0),
])  # fmt: skip
def test_loss_streak(nets, streak):
    assert loss_streak(nets) == streak


def test_reject_streak_is_reset_by_an_order_that_the_venue_took():
    assert reject_streak(["rejected", "filled", "rejected", "unknown", "rejected"]) == 2
    assert reject_streak(["rejected", "rejected", "open"]) == 0
