"""missed, symbol, signals and the statistics under them."""

import math

import pytest

from tests.make import D, at, make_candidate, make_decision, make_trade
from tradekit.analysis.missed import missed
from tradekit.analysis.signals import signals
from tradekit.analysis.statistics import holm, mean_interval, ranks_above, student_quantile, two_sided, welch
from tradekit.analysis.symbol import symbol_history


def test_fates_of_candidates():
    bought = make_candidate(symbol="A", return_1d=0.01, max_gain=0.03, max_drawdown=-0.01)
    skipped = make_candidate(symbol="B", return_1d=0.10, max_gain=0.20, max_drawdown=0.0)
    vetoed = make_candidate(symbol="C", max_gain=0.05, max_drawdown=-0.02)
    out = make_candidate(symbol="D", passed=False, score=None, reject_reason="rvol")
    decisions = {c.id: make_decision(symbol=c.symbol, candidate_id=c.id, action=a)
                 for c, a in ((bought, "BUY"), (skipped, "SKIP"), (vetoed, "BUY"))}  # fmt: skip
    whys, best = missed([bought, skipped, vetoed, out], decisions, {decisions[vetoed.id].id: "spread"}, {bought.id})
    assert [row.why for row in whys] == ["traded", "decide: SKIP", "gate: spread", "scan: rvol"]
    assert [row.symbol for row in best] == ["B", "C"]  # what is not known is not the best
    assert (whys[3].known, whys[3].return_1d, whys[1].gained_2pct) == (0, None, 1.0)


def test_one_symbol():
    trades = [make_trade(net=20), make_trade(net=-5, exit_reason="hard-stop", entry_at=at(90))]
    found = symbol_history("AAPL", trades, [make_candidate(return_1d=0.02)], [make_decision()], ["spread", "spread"])
    assert (found.trades, found.net, found.win_rate) == (2, D(15), 0.5)
    assert (found.vetoes, found.exits) == ({"spread": 2}, {"target": 1, "hard-stop": 1})
    empty = symbol_history("X", [], [], [], [])
    assert (empty.win_rate, empty.best, empty.first) == (None, None, None)


def test_a_feature_that_separates_and_one_that_does_not():
    rows = [(i % 2 == 0, {"good": (1.0 if i % 2 == 0 else 0.0) + 0.01 * (i % 5), "same": float(i % 7)})
            for i in range(80)]  # fmt: skip
    summary, lines = signals(rows, on="trades")
    good, same = lines
    assert (good.feature, good.verdict) == ("good", "separates: higher wins")
    assert good.difference == pytest.approx(1.0, abs=0.01)
    assert good.low < 1 < good.high
    assert (good.above, same.verdict) == (1.0, "may be chance")
    assert "p_adjusted" in summary.warning


def test_too_few_say_nothing():
    summary, lines = signals([(True, {"x": 1.0}), (False, {"x": math.nan, "y": None})], on="trades")
    assert {line.verdict for line in lines} == {"too few to say"}
    assert "too few" in summary.warning
    assert signals([], on="trades")[1] == []


def test_student_by_the_tables():
    assert student_quantile(0.975, 10) == pytest.approx(2.228139, abs=1e-6)
    assert student_quantile(0.975, 1) == pytest.approx(12.7062, abs=1e-4)
    assert two_sided(2.228139, 10) == pytest.approx(0.05, abs=1e-6)
    assert two_sided(0.0, 5) == pytest.approx(1.0)


def test_welch_by_hand():
    found = welch([1.0, 3.0], [0.0, 0.0, 0.0])  # mean 2, variance 2 / 2 = 1: t = 2 with one degree of freedom
    assert (found.value, found.t) == (2.0, pytest.approx(2.0))
    assert found.p == pytest.approx(1 - 2 / math.pi * math.atan(2.0))
    assert welch([], [1.0]) is None
    assert welch([1.0], [2.0]).p is None
    assert mean_interval([1.0]) is None


def test_holm_by_hand():
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]


def test_ranks():
    assert ranks_above([2.0, 3.0], [1.0, 2.0]) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert ranks_above([], [1.0]) is None
