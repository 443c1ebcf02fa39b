"""The day's record: doubts first, unknown is None."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.reports.records import (
    CLOSE,
    DAY,
    FILLS,
    OPEN,
    SESSION,
    D,
    at,
    candidate,
    check,
    decision,
    event,
    exit_order,
    order,
    position,
    run,
    trade,
)  # fmt: skip
from tradekit.commands._report_text import daily_text
from tradekit.model import Account, Slot
from tradekit.reports.daily import Day, daily
from tradekit.reports.funnel import funnel

EMPTY = funnel(DAY, [], [], [], [], [])


def day(**changes):
    return Day(**{"session": SESSION, "until": CLOSE, "funnel": EMPTY, **changes})


def passes(first, last, every=60):
    n = int((last - first).total_seconds() // every)
    return [run((first + timedelta(seconds=every * i)).strftime("%H:%M:%S")) for i in range(n + 1)]


def test_a_day_without_anything_knows_nothing():
    found = daily(day())
    assert (found.result.trades, found.result.win_rate, found.result.average_r, found.result.profit_factor) == (
        0, None, None, None,
    )  # fmt: skip
    assert (found.books.match, found.account, found.blind.minutes_without_exit_check) == (None, None, None)
    assert found.trades == []


def test_a_trade_with_r_slippage_and_overshoot():
    found = daily(day(trades=[trade()], orders=[order(), exit_order()], fills=FILLS))
    line = found.trades[0]
    assert (line.entry_slippage_bp, line.exit_slippage_bp, line.overshoot_bp) == (10.0, 9.8039, 9.8039)
    assert (found.result.net, found.result.win_rate, found.result.average_r) == (D("161.73"), 1.0, 1.9947)
    assert found.result.profit_factor is None  # nothing was lost
    assert (found.books.estimated_fees, found.books.estimated_fees_sum) == (1, D("0.27"))


def test_an_exit_without_a_level_has_no_overshoot():
    out = exit_order(reason="end-of-day")
    line = daily(day(trades=[trade(exit_reason="end-of-day")], orders=[order(), out], fills=FILLS)).trades[0]
    assert (line.exit_slippage_bp, line.overshoot_bp) == (9.8039, None)


def test_wins_losses_and_break_even():
    trades = [trade(), trade("B", net=D(-50), r_multiple=-1.0), trade("C", net=D(0), r_multiple=None)]
    found = daily(day(trades=trades)).result
    assert (found.trades, found.wins, found.losses) == (3, 1, 1)
    assert found.win_rate == pytest.approx(1 / 3)
    assert found.average_r == pytest.approx(0.49735)
    assert found.profit_factor == pytest.approx(161.73 / 50)


@pytest.mark.parametrize(("findings", "match"), [(None, None), ([], True), (["cash differs by 1.00 USD"], False)])
def test_the_books_match_only_when_somebody_compared_them(findings, match):
    unknown = order(status="unknown", filled_qty=D(0))
    found = daily(day(findings=findings, orders=[unknown])).books
    assert (found.match, found.unknown_orders) == (match, [unknown.id])


def test_a_check_every_minute_is_not_blind():
    found = daily(day(runs=passes(OPEN, CLOSE))).blind
    assert (found.exit_checks, found.minutes_without_exit_check, found.longest_gap_s) == (391, 0.0, 0.0)


@pytest.mark.parametrize(("runs", "minutes"), [
    (passes(OPEN, at("15:00")) + passes(at("15:10"), CLOSE), 9.0),     # ten minutes, one of them normal
    (passes(OPEN, at("15:00")) + passes(at("15:02"), CLOSE), 0.0),     # one check missed
    (passes(at("15:00"), CLOSE), 29.0),                                # late start
    (passes(OPEN, at("20:00")), 59.0),                                 # died an hour before the close
    ([run("14:00", "scan")], 389.0),                                   # nobody looked all day
    ([run("14:30", argv="monitor-exits --every 10s", ended_at=CLOSE)], 0.0),
    (passes(OPEN, at("15:00")) + [run("15:05", exit_code=5)] + passes(at("15:10"), CLOSE), 9.0),  # a failed one
])  # fmt: skip
def test_minutes_without_an_exit_check(runs, minutes):
    assert daily(day(runs=runs)).blind.minutes_without_exit_check == minutes


def test_blind_minutes_count_twice_as_much_while_something_is_held():
    runs = passes(OPEN, at("15:00")) + passes(at("16:00"), CLOSE)  # blind from 15:01 to 16:00, held until 15:31
    found = daily(day(runs=runs, trades=[trade()])).blind
    assert (found.minutes_without_exit_check, found.minutes_blind_while_holding) == (59.0, 30.0)
    both = daily(day(runs=runs, trades=[trade(), trade("B", exit_at=at("15:11"))])).blind
    assert both.minutes_blind_while_holding == 30.0


def test_a_day_that_is_not_over_ends_now():
    found = daily(day(runs=passes(OPEN, at("15:00")), until=at("15:00"))).blind
    assert found.minutes_without_exit_check == 0.0


def test_missed_slots_restarts_alerts_and_stale_data():
    slots = [
        Slot(name="open-scan", session=DAY, due_at=at("14:35"), state="missed", run_id=None),
        Slot(name="open-enter", session=DAY, due_at=at("14:36"), state="failed", run_id=None),
        Slot(name="reconcile", session=DAY, due_at=at("14:00"), state="done", run_id=None),
    ]
    runs = [run("15:00", exit_code=137), run("15:01", exit_code=130), run("15:02", "scan", exit_code=5)]
    events = [event("alert.held-overnight", symbol="AAPL", data={"message": "AAPL is held"}), event("data.stale")]
    checks = [check(verdict="vetoed", rule="stale-quote"), check("B", verdict="vetoed", rule="spread")]
    found = daily(day(slots=slots, runs=runs, events=events, checks=checks))
    blind = found.blind
    assert (blind.missed_slots, blind.failed_slots, blind.restarts) == (["open-scan"], ["open-enter"], 2)
    assert blind.failed_runs == ["20260213T1502-scan (5)"]
    assert (blind.stale_data, [a["kind"] for a in blind.alerts]) == (2, ["held-overnight"])
    assert found.vetoes == {"stale-quote": 1, "spread": 1}


def test_each_missed_minute_of_monitor_exits_had_a_line_of_its_own():
    def slot(name, due, state="missed"):
        return Slot(name=name, session=DAY, due_at=at(due), state=state, run_id=None)

    slots = [slot("monitor-exits", f"15:{n:02}") for n in range(27)]
    slots += [slot("open-scan", "14:35"), slot("open-enter", "14:36", "failed")]
    found = daily(day(slots=slots))
    assert found.blind.slots[0] == {
        "state": "missed", "name": "monitor-exits", "count": 27, "first": at("15:00"), "last": at("15:26"),
    }  # fmt: skip
    text = [line.strip() for line in daily_text(found, SESSION, ZoneInfo("America/New_York")).splitlines()]
    assert [line for line in text if line.startswith(("missed:", "failed slot"))] == [
        "missed: monitor-exits 27 x, 10:00 - 10:26",
        "missed: open-scan at 09:35",
        "failed slot: open-enter at 09:36",
    ]


def test_the_text_starts_with_the_doubts_and_names_units():
    account = Account(
        at=CLOSE, equity=D(100162), cash=D("100161.73"), buying_power=D(0), desk_equity=D("100161.73"), exposure=D(0),
        exposure_pct=0.0, positions=0, daily_pnl=D("161.73"), daily_pnl_pct=0.0016173, peak_equity=None, drawdown=None,
    )  # fmt: skip
    footed = funnel(DAY, [candidate()], [decision()], [check()], [order()], [trade()])
    full = day(
        trades=[trade()], orders=[order(), exit_order()], fills=FILLS, runs=passes(OPEN, CLOSE), account=account,
        findings=[], positions=[position()], funnel=footed,
    )  # fmt: skip
    text = daily_text(daily(full), SESSION, ZoneInfo("America/New_York")).splitlines()
    assert text[0] == "Friday 2026-02-13, 09:30 - 16:00 America/New_York"
    assert text[2] == "books      match the broker's; 0 orders of unknown fate, 1 estimated fees (0.27 USD)"
    assert text[3].startswith("watch      391 exit checks, 0 min of the session without one")
    assert any("day +161.73 USD (+0.16 %)" in line and "drawdown unknown" in line for line in text)
    assert any("1 closed, 1 won, 0 lost, net +161.73 USD, fees 0.27 USD, average +1.99 R" in line for line in text)
    assert any(line.split()[:1] == ["close"] and line.endswith("trailing-stop 1") for line in text)
    assert any("open P&L USD" in line for line in text)
