"""Strategies by name, with settings that are checked."""

import subprocess
import sys

import pytest

from tradekit.errors import ConfigError
from tradekit.strategies import BUILT_IN, build


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_name_is_the_one_it_is_listed_under(name):
    assert build(name, {}).name == name


def test_settings_win_over_the_defaults_of_the_scan():
    strategy = build(
        "momentum",
        {"min_rvol": 2},
        {"min_rvol": 1.0, "min_price": 3.0, "not_a_field": 1.0},
    )
    assert (strategy.min_rvol, strategy.min_price, strategy.surge) == (2.0, 3.0, 1.3)


@pytest.mark.parametrize(
    ("name", "fields", "message", "hint"),
    [
        ("momentun", {}, "no strategy 'momentun'", "did you mean momentum?"),
        ("zebra", {}, "no strategy 'zebra'", "known: market-on-open, momentum"),
        ("momentum", {"surges": 2}, "no setting 'surges'", "did you mean surge?"),
        ("momentum", {"surge": "much"}, "strategies.momentum", "config get"),
        ("momentum", {"min_price": -1}, "strategies.momentum", "config get"),
        ("momentum", {"name": "x"}, "no setting 'name'", "known:"),
    ],
)
def test_a_wrong_word_is_named(name, fields, message, hint):
    with pytest.raises(ConfigError) as caught:
        build(name, fields)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_exits_of_a_strategy_cost_no_numpy():
    code = """
import sys
from tradekit.strategies import build
build("market-on-open", {}).exits_at(1)
print("numpy" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
