"""Metrics: worked out by hand, and against two independent libraries on real returns (../shared/truth)."""

import json
from functools import cache
from pathlib import Path

import pytest

from tradekit import metrics as m

SHARED = Path(__file__).resolve().parents[2] / "shared"
TRUTH, BARS = SHARED / "truth" / "metrics_reference.json", SHARED / "market" / "us" / "daily_lean.parquet"
R = [0.10, -0.10, 0.20, 0.0]
OURS = {
    "annual_return": lambda r, b: m.annual_return(r),
    "cum_return": lambda r, b: m.cumulative(r),
    "annual_volatility": lambda r, b: m.volatility(r),
    "sharpe": lambda r, b: m.sharpe(r),
    "sortino": lambda r, b: m.sortino(r),
    "max_drawdown": lambda r, b: m.max_drawdown(r),
    "calmar": lambda r, b: m.calmar(r),
    "omega": lambda r, b: m.omega(r),
    "tail_ratio": lambda r, b: m.tail_ratio(r),
    "var5": lambda r, b: m.value_at_risk(r),
    "cvar5": lambda r, b: m.expected_shortfall(r),
    "stability": lambda r, b: m.stability(r),
    "alpha": lambda r, b: m.alpha(r, b),
    "beta": lambda r, b: m.beta(r, b),
    "up_capture": lambda r, b: m.capture(r, b, up=True),
    "down_capture": lambda r, b: m.capture(r, b, up=False),
    "qs_sharpe": lambda r, b: m.sharpe(r),
    "qs_sortino": lambda r, b: m.sortino(r),
    "qs_max_drawdown": lambda r, b: m.max_drawdown(r),
    "qs_cagr": lambda r, b: m.annual_return(r),
    "qs_volatility": lambda r, b: m.volatility(r),
    "qs_win_rate": lambda r, b: m.win_rate(r),
    "qs_profit_factor": lambda r, b: m.omega(r),
    "qs_payoff": lambda r, b: m.payoff(r),
    "qs_expected": lambda r, b: m.geometric_mean(r),
    "qs_kelly": lambda r, b: m.kelly(r),
    "qs_ulcer": lambda r, b: m.ulcer(r),
    "qs_info": lambda r, b: m.information_ratio(r, b),
}


@cache
def closes(symbol):
    import pyarrow.parquet as pq

    table = pq.read_table(BARS, columns=["symbol", "ts", "close"], filters=[("symbol", "==", symbol)]).sort_by("ts")
    days = table["ts"].to_numpy().astype("datetime64[D]").astype(str)
    return dict(zip(days.tolist(), table["close"].to_pylist(), strict=True))


def returns(prices, days):
    values = [prices[day] for day in days]
    return [b / a - 1 for a, b in zip(values, values[1:], strict=False)]


@pytest.mark.skipif(not TRUTH.is_file(), reason="../shared/truth is not here")
@pytest.mark.parametrize("i", range(4))
def test_every_metric_agrees_with_two_libraries_to_1e9(i):
    pytest.importorskip("pyarrow")
    case = json.loads(TRUTH.read_text())[i]
    ours, theirs = closes(case["series"]), closes(case["benchmark"])
    known = sorted(set(ours) & set(theirs))
    days = [max(day for day in known if day < case["start"])] + [d for d in known if case["start"] <= d <= case["end"]]
    r, b = returns(ours, days), returns(theirs, days)
    assert set(OURS) == set(case["metrics"])
    wrong = {
        name: (OURS[name](r, b), expected)
        for name, expected in case["metrics"].items()
        if OURS[name](r, b) != pytest.approx(expected, rel=1e-9, abs=1e-12)
    }
    assert not wrong


def test_by_hand():
    assert m.growth(R) == pytest.approx([1.1, 0.99, 1.188, 1.188])
    assert m.cumulative(R) == pytest.approx(0.188)
    assert m.max_drawdown(R) == pytest.approx(-0.1)
    assert m.drawdowns([-0.1, 0.05]) == pytest.approx([-0.1, -0.055])  # the peak is the start
    assert m.longest_drawdown([-0.1, 0.05, 0.1, 0.0, -0.1]) == 2
    assert m.mean(R) == pytest.approx(0.05)
    assert m.deviation([1, 3]) == pytest.approx(2**0.5)
    assert m.sortino([0.1, -0.1], 1) == pytest.approx(0)
    assert m.sortino([0.3, -0.1], 1) == pytest.approx(0.1 / (0.01 / 2) ** 0.5)
    assert m.omega(R) == pytest.approx(3)
    assert m.quantile([1, 2, 3, 4], 0.5) == 2.5
    assert m.win_rate(R) == pytest.approx(2 / 3)
    assert m.payoff(R) == pytest.approx(1.5)
    assert m.kelly(R) == pytest.approx(2 / 3 - (1 / 3) / 1.5)
    assert m.beta([0.02, -0.02], [0.01, -0.01]) == pytest.approx(2)


@pytest.mark.parametrize(
    "name",
    ["mean", "cumulative", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown", "calmar", "ulcer",
     "omega", "tail_ratio", "value_at_risk", "expected_shortfall", "stability", "win_rate", "payoff", "kelly",
     "geometric_mean"],
)  # fmt: skip
def test_nothing_says_nothing(name):
    assert getattr(m, name)([]) is None


@pytest.mark.parametrize("name", ["volatility", "sharpe", "sortino", "stability", "ulcer"])
def test_one_period_does_not_vary(name):
    assert getattr(m, name)([0.01]) is None


def test_never_a_fake_number():
    assert m.sharpe([0.01, 0.01, 0.01]) is None
    assert m.sortino([0.01, 0.02]) is None  # no loss: not infinity
    assert m.calmar([0.01, 0.02]) is None
    assert m.omega([0.01]) is None
    assert m.annual_return([-1.0]) is None
    assert m.stability([0.1, -1.0]) is None
    assert m.beta([0.01, 0.02], [0.0, 0.0]) is None
    assert m.profit_factor(100.0, 0.0) is None
    assert m.finite(float("inf")) is None


def test_an_interval_of_a_share():
    low, high = m.interval(3, 28)  # Wilson, worked out with z = 1.96
    assert (low, high) == (pytest.approx(0.0371, abs=1e-3), pytest.approx(0.2722, abs=1e-3))
    assert m.interval(0, 0) is None
    assert m.interval(0, 10)[0] == 0.0


def tally(nets):
    won, lost = sum(x for x in nets if x > 0), sum(x for x in nets if x < 0)
    return m.Tally((), len(nets), sum(x > 0 for x in nets), sum(x < 0 for x in nets), sum(nets), 0.0, sum(nets), won,
                   lost, sum(x * x for x in nets), 60.0 * len(nets), 0, 0.0, max(nets), min(nets))  # fmt: skip


def test_a_t_statistic_by_hand():
    assert m.t_statistic(tally([1.0, 3.0])) == pytest.approx(2 / (2 / 2) ** 0.5)
    assert m.t_statistic(tally([2.0, 2.0])) is None
    assert m.t_statistic(tally([2.0])) is None


def test_groups_add_up():
    both = m.merged([tally([1.0, -2.0]), tally([5.0])], ("all",))
    assert (both.n, both.wins, both.losses, both.net, both.best, both.worst) == (3, 2, 1, 4.0, 5.0, -2.0)
    assert m.merged([]).n == 0
    assert m.expectancy(m.merged([])) is None
