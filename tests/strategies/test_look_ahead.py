"""Row t reads rows < t and today[t]: shown by cutting and by shaking everything else."""

from dataclasses import fields, replace

import numpy as np
import pytest

from tests.scan.panels import random_panel
from tradekit.strategies import BUILT_IN, build
from tradekit.strategies.base import Panel, Today

HISTORY = ("open", "high", "low", "close", "volume")
TODAY = tuple(field.name for field in fields(Today))


def cut(panel: Panel, rows: int) -> Panel:
    today = Today(**{name: getattr(panel.today, name)[:rows] for name in TODAY})
    return replace(
        panel,
        time=panel.time[:rows],
        today=today,
        **{name: getattr(panel, name)[:rows] for name in HISTORY},
    )


def shaken_after(panel: Panel, t: int) -> Panel:
    """Everything that row t must not read is changed: history from t on, today of all other rows."""
    g = np.random.default_rng(7)

    def history(a):
        return np.where((np.arange(len(a)) >= t)[:, None], a * g.uniform(0.5, 2, a.shape), a)

    def other(a):
        rows = (np.arange(len(a)) != t)[:, None]
        return np.where(rows, ~a if a.dtype == bool else a * g.uniform(0.5, 2, a.shape), a)

    today = Today(**{name: other(getattr(panel.today, name)) for name in TODAY})
    return replace(panel, today=today, **{name: history(getattr(panel, name)) for name in HISTORY})


def row(signals, t):
    cells = {"score": signals.score[t], "passed": signals.passed[t]}
    cells |= {f"feature {name}": a[t] for name, a in signals.features.items()}
    return cells | {f"reject {name}": a[t] for name, a in signals.reject.items()}


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("t", [20, 52, 58])
def test_a_row_depends_on_nothing_later(name, t):
    strategy, panel = (
        build(name, {}),
        random_panel(rows=60, symbols=8, caps=("small", "large", None, "mid") * 2),
    )
    whole = row(strategy.signals(panel), t)
    for other in (cut(panel, t + 1), shaken_after(panel, t)):
        found = row(strategy.signals(other), t)
        for key, cells in whole.items():
            np.testing.assert_array_equal(found[key], cells, err_msg=key)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_longer_history_changes_no_bit_of_the_last_row(name):
    strategy, panel = build(name, {}), random_panel(rows=90, symbols=8)
    rows = strategy.lookback + 1
    today = Today(**{key: getattr(panel.today, key)[-rows:] for key in TODAY})
    short = replace(
        panel,
        time=panel.time[-rows:],
        today=today,
        **{k: getattr(panel, k)[-rows:] for k in HISTORY},
    )
    whole = row(strategy.signals(panel), -1)
    for key, cells in row(strategy.signals(short), -1).items():
        np.testing.assert_array_equal(cells, whole[key], err_msg=key)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_panel_is_left_as_it_was(name):
    panel, same = random_panel(), random_panel()
    build(name, {}).signals(panel)
    for key in HISTORY:
        np.testing.assert_array_equal(getattr(panel, key), getattr(same, key))


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("first", [1, 5, 30, 55, 59])
def test_leaving_out_the_first_rows_changes_no_bit_of_the_others(name, first):
    strategy, panel = build(name, {}), random_panel(rows=60, symbols=8)
    whole, late = strategy.signals(panel), strategy.signals(replace(panel, first=first))
    assert late.score.shape == whole.score.shape
    assert np.isnan(late.score[:first]).all()
    for t in range(first, 60):
        for key, cells in row(whole, t).items():
            np.testing.assert_array_equal(row(late, t)[key], cells, err_msg=f"{key} {t}")
