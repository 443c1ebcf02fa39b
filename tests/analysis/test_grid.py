"""The grid's loop: the quick plain way, the plain loop and the compiled one give the same numbers, bit for bit."""

import random

import pytest

from tests.analysis.tape import a_case, bars_of, numbers
from tests.make import at
from tradekit.analysis import what_if as module
from tradekit.analysis.what_if import AS_TRADED, AT_OPEN, Costs, Grid, what_if
from tradekit.exits import compiled as compiling
from tradekit.model import ExitPlan

GRID = Grid(entries=(AS_TRADED, "7", AT_OPEN), stops=(None, 0.003, 0.01), targets=(None, 0.004, 0.01),
            trails=(None, 0.004, 0.015), holds=(None, 45))  # fmt: skip
PLANS = (
    ExitPlan(stop=0.01, target=0.03, intent="day", flat_before_close_s=900),
    ExitPlan(trail=0.05, trail_from="entry", close_above=0.15, intent="swing"),
)


def trades(seed, n=6, seconds=60):
    """Random walks of a tick or ten a bar, some bars missing, prices on and off the tick."""
    dice = random.Random(seed)
    cases, bars = [], {}
    for k in range(n):
        price, digits, rows = dice.choice([100.0, 9.37, 0.85]), dice.choice([2, 2, 4]), []
        for _ in range(23400 // seconds):
            first, price = price, round(price * (1 + dice.gauss(0, 0.002)), digits)
            rows.append((first, round(max(first, price) * (1 + abs(dice.gauss(0, 0.001))), digits),
                         round(min(first, price) * (1 - abs(dice.gauss(0, 0.001))), digits), price))  # fmt: skip
        symbol = f"S{k}"
        whole = bars_of(*rows, symbol=symbol, seconds=seconds)
        bars[symbol] = [bar for bar in whole if dice.random() > 0.05]
        start = dice.randint(1, 200)
        paid = rows[start * 60 // seconds][0]
        cases.append(a_case(dice.choice(PLANS), symbol=symbol, entry_at=at(start), entry_price=paid,
                            exit_at=at(start + 30), exit_price=paid))  # fmt: skip
    return cases, lambda symbol, since, until: numbers(bars[symbol])(symbol, since, until)


def answers(cases, bars, costs, **how):
    summary, lines = what_if(cases, bars, GRID, costs, **how)
    return repr(summary), [repr(line) for line in lines]


@pytest.mark.parametrize(("seed", "seconds"), [(1, 60), (2, 60), (3, 300)])
def test_the_quick_way_is_the_plain_loop(seed, seconds, monkeypatch, tmp_path):
    """`View.first` skips bars; the loop of grid.py judges each. repr shows every bit of a float."""
    cases, bars = trades(seed, n=3, seconds=seconds)
    costs = Costs(0.0002, 0.0005, 0.01)
    quick = answers(cases, bars, costs)
    monkeypatch.setattr(module, "WORTH_COMPILING", 0)
    monkeypatch.setattr(module, "_compiled", lambda folder: lambda *words: module.run_ways(*plain(words)))
    assert answers(cases, bars, costs, kernels=tmp_path) == quick


def plain(words):
    """What the compiled loop is given, as lists of NamedTuples."""
    from tradekit.analysis.grid import Way
    from tradekit.exits.base import Bar
    from tradekit.exits.plan import Wish

    bars, ways, wishes, *rest = words
    return (
        [Bar(*bar) for bar in bars.tolist()], [Way(*way) for way in ways.tolist()],
        [[Wish(*wish) for wish in row] for row in wishes.tolist()], *rest,
    )  # fmt: skip


def test_the_compiled_loop_gives_every_bit_of_the_plain_one(monkeypatch, tmp_path):
    pytest.importorskip("numba", reason="the extra `fast` is not installed")
    folder = tmp_path / "compiled"
    folder.mkdir(mode=0o700)
    for seed, seconds in ((4, 60), (5, 300), (6, 60)):
        cases, bars = trades(seed, seconds=seconds)
        costs = Costs(0.0002, 0.0005, 0.01 if seed < 6 else 0.0)
        quick = answers(cases, bars, costs)
        monkeypatch.setattr(module, "WORTH_COMPILING", 0)
        assert answers(cases, bars, costs, kernels=folder) == quick
        monkeypatch.undo()
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if path.stat().st_mode & 0o022]


def test_without_the_extra_plain_python_does_it(monkeypatch, tmp_path):
    cases, bars = trades(7, n=2)
    costs = Costs(0.0, 0.0, 0.01)
    quick = answers(cases, bars, costs)
    monkeypatch.setattr(module, "WORTH_COMPILING", 0)
    monkeypatch.setattr(compiling, "can_compile", lambda: False)
    assert answers(cases, bars, costs, kernels=tmp_path) == quick
    assert not list(tmp_path.iterdir())


def test_small_work_is_not_worth_compiling(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_compiled", lambda folder: pytest.fail("compiled for two trades"))
    cases, bars = trades(8, n=2)
    what_if(cases, bars, GRID, Costs(0.0, 0.0, 0.01), kernels=tmp_path)


def test_what_was_compiled_of_another_source_is_not_used(tmp_path, monkeypatch):
    """numba would: it looks at the outermost function's file only."""
    import importlib.util

    source = tmp_path / "rule.py"
    source.write_text("def level(x):\n    return x\n")
    found = []
    for text in (source.read_text(), source.read_text() + "# changed\n"):
        source.write_text(text)
        spec = importlib.util.spec_from_file_location("rule", source)
        rule = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(rule)
        found.append(compiling.digest((rule.level,), "0.61"))
    assert found[0] != found[1]
    assert compiling.digest((rule.level,), "0.62") != found[1]
