"""Market-on-open judges the last complete session; history stands still at 100, volume at 1000."""

import numpy as np
import pytest

from tests.scan.panels import flat_panel
from tradekit.strategies import build


def judged(last_extended=np.nan):
    """Yesterday opened at 103, ranged 101-106, closed at 105 on 3000 shares; today nothing regular was seen."""
    panel = flat_panel(rows=52, last_extended=last_extended)
    for name, value in {"open": 103.0, "high": 106.0, "low": 101.0, "close": 105.0, "volume": 3000.0}.items():
        getattr(panel, name)[-2] = value
    return build("market-on-open", {}).signals(panel)


def test_the_last_session_is_scored_as_if_it_were_today():
    found = judged()
    cell = {name: float(a[-1, 0]) for name, a in found.features.items()}
    assert (cell["price"], cell["surge"], cell["high5"], cell["strength"]) == (
        105.0,
        3.0,
        100.0,
        0.8,
    )
    assert cell["change"] == cell["roc10"] == pytest.approx(0.05)
    assert cell["gap"] == pytest.approx(0.03)
    assert found.passed[-1, 0]
    assert found.score[-1, 0] == 2 + 5 + 4 + 2 + 2 + 1  # SMA20 and SMA50 of a flat history are equal


def test_a_pre_market_trade_stands_for_the_price():
    found = judged(last_extended=102.0)
    assert found.features["price"][-1, 0] == 102.0
    assert found.features["strength"][-1, 0] == pytest.approx(0.2)
    assert not found.features["momentum_breakout"][-1, 0]  # below the open of 103
    assert found.score[-1, 0] == 1 + 5 + 4 + 0 + 0 + 1


@pytest.mark.parametrize(("conviction", "target"), [(0.6, 0.018), (0.8, 0.018), (0.81, 0.026), (1.0, 0.026)])
def test_a_bold_entry_aims_higher(conviction, target):
    plan = build("market-on-open", {}).exits_at(conviction)
    assert (plan.target, plan.stop, plan.intent, plan.after_target) == (
        target,
        0.009,
        "day",
        "exit",
    )
