"""docs/scan.md and docs/strategies.md say what the code does."""

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from tests.scan.panels import random_panel
from tradekit.config import Settings
from tradekit.model import ExitPlan
from tradekit.scan.because import WHY_NOT
from tradekit.scan.score import BREAKOUT, GAP, STRENGTH, SURGE
from tradekit.scan.stage1 import FILTERS
from tradekit.scan.windows import max_before, ratio
from tradekit.strategies import BUILT_IN, build
from tradekit.strategies.base import Panel, Signals, Today

DOCS = Path(__file__).parents[2] / "docs"
SCAN, STRATEGIES = (DOCS / "scan.md").read_text(), (DOCS / "strategies.md").read_text()


def row(text, first):
    """The cells of the table row that starts with `first`."""
    (line,) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", text, re.M)
    return [cell.strip() for cell in line.split("|")]


def numbers(text):
    return tuple(float(x) for x in re.findall(r"\d+\.?\d*", text))


def test_the_score_table():
    assert numbers(row(SCAN, "surge")[0].split(" x")[0]) == SURGE
    assert tuple(x / 100 for x in numbers(row(SCAN, "gap")[0].split(" %")[0])) == GAP
    assert numbers(row(SCAN, "strength")[0].split(":")[0]) == STRENGTH
    assert row(SCAN, "momentum_breakout") == [str(BREAKOUT)]


def test_each_filter_and_its_reason_are_listed_in_order():
    stage1 = SCAN.split("## Stage 1")[1].split("## Stage 2")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", stage1, re.M) == list(FILTERS)
    assert all(f"`{reason}`" in SCAN for reason in WHY_NOT if reason != "no-signal")


def test_the_defaults():
    scan, decide = Settings().scan, Settings().decide
    stage1 = SCAN.split("## Stage 1")[1]
    assert numbers(row(stage1, "`price`")[-1])[-1] == scan.min_price
    assert numbers(row(stage1, "`change`")[-1])[-1] / 100 == scan.min_change
    assert numbers(row(stage1, "`rvol`")[-1])[-1] == scan.min_rvol
    momentum = build("momentum", {})
    assert numbers(" ".join(row(SCAN, "large, mid"))) == (momentum.surge, 100 * momentum.gap, 100 * momentum.roc10)
    assert numbers(" ".join(row(SCAN, "small"))) == (1.5, 3, 5)
    for name in ("buy_score", "watch_score", "stale_s", "conviction_floor", "expires_s", "masters", "human_expires_s"):
        (said,) = re.findall(rf"`decide\.{name}` \((\d+\.?\d*)", SCAN)
        assert float(said) == getattr(decide, name)


def test_every_strategy_and_setting_is_described():
    for name in BUILT_IN:
        assert f"| `{name}` |" in STRATEGIES
        for field in fields(build(name, {})):
            assert f"`{field.name}`" in STRATEGIES
    for field in (*fields(Panel), *fields(Signals), *fields(Today)):
        assert f"`{field.name}`" in STRATEGIES


def test_the_example_runs_and_does_not_look_ahead():
    (code,) = re.findall(r"```python\n(.*?)```", STRATEGIES, re.S)
    names = {"dataclass": dataclass, "ExitPlan": ExitPlan, "Panel": Panel, "Signals": Signals, "np": np}
    scope = names | {"ratio": ratio, "max_before": max_before, "__name__": "example"}
    exec(code, scope)
    strategy, panel = scope["Breakout"](volume=0.5), random_panel()
    whole = strategy.signals(panel).score
    assert np.isfinite(whole).any()
    later = replace(panel, high=panel.high * np.where(np.arange(60) >= 40, 3.0, 1.0)[:, None])
    np.testing.assert_array_equal(strategy.signals(later).score[:41], whole[:41])
