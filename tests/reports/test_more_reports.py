"""Overnight, periods, exits, vetoes, metrics, risk and poor signals; every expected number is worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.make import D, at, make_decision, make_mark, make_order, make_position, make_risk_check, make_scan
from tests.make import make_candidate as a_candidate
from tests.make import make_trade as a_trade
from tests.reports.evening import day_row
from tradekit.metrics import Tally
from tradekit.model import PoorSignal
from tradekit.reports.exits import Overshot, exits_report, in_words
from tradekit.reports.overnight import overnight
from tradekit.reports.performance import holding, slices, windows
from tradekit.reports.periods import periods
from tradekit.reports.poor import patterns
from tradekit.reports.risk import Buy, Limits, held_at_once, risk_report, streaks
from tradekit.reports.vetoes import vetoes_report

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2026, 2, 13)


def tally(key, nets, hold_s=60.0):
    won, lost = sum(x for x in nets if x > 0), sum(x for x in nets if x < 0)
    return Tally(tuple(key), len(nets), sum(x > 0 for x in nets), sum(x < 0 for x in nets), sum(nets) + len(nets),
                 float(len(nets)), sum(nets), won, lost, sum(x * x for x in nets), hold_s * len(nets), len(nets),
                 sum(nets) / 10, max(nets), min(nets))  # fmt: skip


def test_overnight_counts_the_loss_at_the_live_stop_and_at_a_gap():
    held = make_position(qty=10, avg_price=100, last_price=110, stop_price="99.10", intent="swing")
    stop = make_order(side="sell", purpose="protect", type="stop", tif="gtc", stop_price="98", position_id=held.id)
    found = overnight([held], [stop], {}, at=at(68), desk_equity=D(10000))
    (row,) = found.held
    assert (row.live_stop, row.tif, row.loss_at_stop, row.loss_at_gap) == (D(98), "gtc", D(-20), D(-55))
    assert row.distance == pytest.approx(12 / 110)
    assert row.age_s == 3600
    assert (found.if_all_stops_fill_pct, found.if_all_gap_pct) == (pytest.approx(-0.002), pytest.approx(-0.0055))
    assert row.note == ""


def test_overnight_says_what_is_not_protected():
    day = make_position(symbol="AAPL", last_price=None)
    some = make_position(symbol="MSFT", id="MSFT-x", intent="swing", qty=10)
    stop = make_order(symbol="MSFT", side="sell", purpose="protect", type="stop", tif="day", stop_price="98", qty=4)
    found = overnight([day, some], [stop], {"AAPL-x": make_mark()}, at=at(68), desk_equity=None)
    assert found.unprotected == 1
    assert found.held[0].note == "no stop at the venue; a day trade that is still open"
    assert found.held[1].note == "the stop ends with the session; the stop covers 4 of 10"
    assert found.if_all_gap is None  # one price is unknown: so is the sum
    assert overnight([], [], {}, at=at(), desk_equity=None).if_all_gap == 0


def test_a_rule_that_never_wins_is_visible_at_a_glance():
    rows = exits_report(
        [tally(["target"], [50.0, 70.0]), tally(["hard-stop"], [-10.0] * 6), tally([None], [0.0])],
        [Overshot("hard-stop", "sell", 100.0, 99.9), Overshot("hard-stop", "buy", 100.0, 100.3)],
    )
    assert [(row.reason, row.note) for row in rows] == [("hard-stop", "NEVER WINS"), ("unknown", "few"),
                                                        ("target", "few"), ("all", "")]  # fmt: skip
    stop, all_ = rows[0], rows[-1]
    assert (stop.overshoot_p50_bp, stop.overshoot_max_bp) == (pytest.approx(20), pytest.approx(30))
    assert stop.share_of_losses == 1
    assert (all_.trades, all_.net, all_.profit_factor) == (9, D(60), pytest.approx(2.0))
    assert rows[2].profit_factor is None  # no loss: not infinity
    assert exits_report([]) == []


def test_why_money_was_lost_in_words():
    """Four stops of 100 and a day's end of +150 and +50: a win of 100 against a loss of 100 needs one in two."""
    stops, ends = tally(["hard-stop"], [-100.0] * 4), tally(["end-of-day"], [150.0, 50.0])
    assert in_words([stops, ends], "USD") == [
        "hard-stop: -400.00 USD in 4 of 6 trades; the other 2 made +200.00 USD",
        "a win brings 100.00 USD, a loss costs 100.00: 50 % must win to break even, 33 % did (95 %: 10 to 70)",
        "why: tradekit analyze entry-timing (too late?), targets (too far?), what-if (other plans?)",
    ]
    assert in_words([], "USD") == []
    assert in_words([ends], "USD") == []  # nothing was lost
    only = in_words([stops], "EUR")
    assert only[:2] == ["hard-stop: -400.00 EUR in 4 of 4 trades",
                        "nothing was won: 4 losses of 100.00 EUR on average"]  # fmt: skip


def test_weeks_add_up_to_their_month():
    tallies = [tally(["2026-01-30"], [5.0]), tally(["2026-02-02"], [7.0]), tally(["2026-02-13"], [-3.0])]
    days = [day_row(date(2026, 1, 30), 1005, 5), day_row(date(2026, 2, 2), 1012, 7), day_row(DAY, 1009, -3, None)]
    months = periods("month", tallies, days, with_weeks=True)
    names = [(row.kind, row.period) for row in months]
    assert names == [("week", "2026-W05"), ("month", "2026-01"), ("week", "2026-W06"), ("week", "2026-W07"),
                     ("month", "2026-02")]  # fmt: skip
    assert [row.net for row in months] == [5, 5, 7, -3, 4]
    assert months[-1].return_pct == pytest.approx((1 + 7 / 1005) * (1 - 3 / 1012) - 1)
    assert months[-1].benchmark_return is None  # one session's is unknown
    assert months[1].benchmark_return == pytest.approx(0.001)
    assert months[-1].equity == 1009


def test_a_day_without_trades_and_a_trade_without_a_row_both_count():
    rows = periods("week", [tally(["2026-02-13"], [1.0])], [day_row(date(2026, 2, 12), 1000, 0)])
    (row,) = rows
    assert (row.sessions, row.trades, row.returns_known, row.return_pct) == (2, 1, 1, 0.0)


def test_metrics_say_when_there_is_too_little():
    (row, *_) = windows([])
    assert (row.n, row.total_return, row.sharpe, row.note) == (0, None, None, "no daily rows: jobs snapshot")
    one = windows([day_row(DAY, 1010, 10)])[0]
    assert (one.n, one.total_return, one.sharpe, one.volatility) == (1, pytest.approx(0.01), None, None)
    assert "too few" in one.note


def test_rolling_windows_end_at_the_newest_row_and_gaps_are_counted():
    days = [DAY - timedelta(days=i) for i in range(40, -1, -1)]
    rows = [day_row(day, 1001, 1) for day in days if day != date(2026, 2, 10)]
    found = {row.window: row for row in windows(rows, days)}
    assert (found["inception"].n, found["inception"].gaps) == (40, 1)
    assert (found["7d"].n, found["7d"].first) == (6, date(2026, 2, 7))
    assert found["30d"].n == 29
    assert found["inception"].total_return == pytest.approx(1.001**40 - 1)
    assert found["inception"].benchmark_return == pytest.approx(1.001**40 - 1)
    assert found["inception"].sharpe is None  # equal returns every day do not vary: no ratio


def test_trades_sorted_by_the_exchange_s_hour_and_weekday():
    keys = ("momentum", "1", "mid", "up")
    found = slices([tally([*keys, "2026-02-13T14", "0"], [10.0, -5.0]), tally([*keys, "2026-07-13T13", "3"], [1.0])],
                   NEW_YORK)  # fmt: skip
    by = {(row.by, row.key): row for row in found}
    assert by["hour", "09:00"].trades == 3  # 14:30 UTC in winter is 13:30 in summer
    assert (by["weekday", "Friday"].net, by["weekday", "Monday"].net) == (5, 1)
    assert by["holding time", "under 5 min"].profit_factor == pytest.approx(2)
    assert by["all", "all"].note == "few"
    assert slices([], NEW_YORK) == []


def test_the_benchmark_over_our_own_holding_times():
    found = holding([(0.02, 0.01), (-0.01, 0.0), (0.05, None)], "SPY")
    assert (found.trades, found.known, found.beat) == (3, 2, 0.5)
    assert found.difference == pytest.approx(0.0)
    assert holding([], None).average_return is None


def test_vetoes_and_what_the_refused_did():
    aapl, msft = make_decision(), make_decision(symbol="MSFT")
    checks = [
        make_risk_check(decision_id=aapl.id, verdict="vetoed", rule="spread"),
        make_risk_check(decision_id=aapl.id, verdict="vetoed", rule="liquidity"),
        make_risk_check(decision_id=msft.id, verdict="vetoed", rule="spread", because="0.6 %"),
        make_risk_check(decision_id="d-other"),
    ]
    known = a_candidate(symbol="MSFT", at=at(6), return_1d=0.03, max_gain=0.05)
    scan = make_scan(counts={"universe": 100, "passed": 2, "reject.change": 98})
    rows = vetoes_report(checks, {d.id: d for d in (aapl, msft)}, {known.id: known, "x": known}, [scan])
    spread, liquidity, change = rows
    assert (spread.rule, spread.said_no, spread.share, spread.only_rule) == ("spread", 2, pytest.approx(2 / 3), 1)
    assert (spread.return_1d, spread.known_returns, spread.because) == (0.03, 1, "0.6 %")
    assert (liquidity.only_rule, liquidity.return_1d) == (0, None)
    assert (change.stage, change.said_no, change.share) == ("scan", 98, 0.98)


LIMITS = Limits(0.02, 0.08, 0.6, 2, 0.1, 12, 3)


def test_risk_says_how_close_each_limit_came():
    trades = [a_trade(net=n, exit_at=at(60 + i)) for i, n in enumerate([-1, 0, -1, 5, -1])]
    assert [n for _, n in streaks(trades)] == [1, 1, 2, 0, 1]
    days = [day_row(DAY, 980, -20)]
    veto = make_risk_check(verdict="vetoed", rule="spread")
    rows = {row.limit: row for row in risk_report(LIMITS, days, [], trades, [], [veto], ["daily-loss"])}
    assert (rows["daily-loss"].used, rows["daily-loss"].note, rows["daily-loss"].halts) == (1.0, "REACHED", 1)
    assert rows["consecutive-losses"].closest == 2
    assert rows["max-positions"].closest is None  # nothing was bought: unknown, not 0
    assert rows["spread"].vetoes == 1


def test_positions_held_at_once():
    trades = [a_trade(exit_at=at(30))]
    buys = [Buy(at(m), DAY, None) for m in (5, 10, 40)]
    assert [n for _, n in held_at_once(trades, buys)] == [1, 2, 2]


def test_patterns_of_poor_signals():
    def signal(id, net, pattern="below-sma20, gap-down"):
        return PoorSignal(id=id, symbol=id, strategy="momentum", session=DAY, at=datetime(2026, 2, 13, tzinfo=UTC),
                          entry_because="", exit_because="", score=14.0, reversal_score=5, hold_s=60, net=D(net),
                          return_pct=None, features={}, pattern=pattern)  # fmt: skip

    rows = patterns([signal("A", -5), signal("B", 2), signal("C", 9, "rsi")])
    assert [(row.pattern, row.trades, row.losses, row.net) for row in rows] == [
        ("below-sma20, gap-down", 2, 1, -3), ("rsi", 1, 0, 9)]  # fmt: skip


def test_two_losses_are_no_evidence():
    """A desk with two trades was shown t = -43."""
    keys = ["momentum", "0.1.0", "mid", "up", "2026-02-13T14", "0"]
    two, many = tally(keys, [-10.0, -10.5]), tally(keys, [-10.0, -11.0] * 10)
    assert slices([two], NEW_YORK)[0].t_statistic is None
    assert slices([many], NEW_YORK)[0].t_statistic < -2
