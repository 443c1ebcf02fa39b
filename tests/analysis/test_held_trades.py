"""Entry timing, price movement and targets, by hand: nothing from before the entry may count after it."""

from datetime import timedelta

import pytest

from tests.analysis.tape import a_case, bars_of, reader
from tests.make import at, make_candidate
from tradekit.analysis.entry_timing import entry_line, entry_timing
from tradekit.analysis.price_movement import move_line, price_movement
from tradekit.analysis.targets import target_line, targets
from tradekit.model import ExitPlan

# opens at 100, high of 110 in minute 3, we buy at 105 in minute 5, then 106, 104, 107, and 103 from minute 9 on
PATH = bars_of(
    100, (100, 104, 100, 104), (104, 108, 104, 108), (108, 110, 107, 107), (107, 107, 105, 105), (105, 106, 104.5, 106),
    (106, 106, 104, 104), (104, 107, 104, 107), (107, 107, 103, 103), *[103] * 380,
)  # fmt: skip
TRADE = {"entry_at": at(5), "entry_price": 105, "exit_at": at(8), "exit_price": 107, "exit_reason": "target"}


def test_the_high_before_the_entry_is_no_potential():
    case = a_case(ExitPlan(target=0.03), **TRADE | {"exit_reason": "end-of-day"})
    line = target_line(case, reader(PATH))
    assert line.high_of_day == 110
    assert (line.high_after, line.reachable) == (107, False)  # the target of 108.15 was passed before we had bought
    assert line.missing == pytest.approx(108.15 / 107 - 1)
    assert line.why == "never got there before the deadline"


def test_a_target_touched_after_the_deadline_is_not_reachable():
    plan = ExitPlan(target=0.01, max_hold_s=60, intent="day", flat_before_close_s=900)
    line = target_line(a_case(plan, **TRADE | {"exit_reason": "time-stop"}), reader(PATH))
    assert line.target == pytest.approx(106.05)
    assert line.deadline == at(6)
    assert (line.reachable, line.high_after) == (False, 106)


def test_a_target_that_came_after_we_had_sold():
    plan = ExitPlan(target=0.018, intent="day", flat_before_close_s=900)
    case = a_case(plan, **TRADE | {"exit_reason": "hard-stop", "exit_at": at(7), "exit_price": 104})
    line = target_line(case, reader(PATH))
    assert (line.reachable, line.in_time, line.reached_at) == (True, False, at(8))
    assert line.why == "got there after hard-stop had sold"


def test_without_intraday_bars_the_order_is_unknown():
    summary, (line,) = targets([a_case(**TRADE | {"exit_reason": "hard-stop"})], reader([]))
    assert (line.reachable, line.why) == (None, "order unknown: no intraday bars after the entry")
    assert (summary.placed, summary.unknown, summary.reachable) == (1, 1, 0)


def test_the_bar_of_the_entry_says_nothing():
    """The bar in which we bought may have had its high before us."""
    case = a_case(ExitPlan(target=0.03), **TRADE | {"entry_at": at(3, 30), "exit_reason": "hard-stop"})
    assert target_line(case, reader(PATH)).high_after == 107


def test_targets_together():
    cases = [a_case(**TRADE), a_case(**TRADE | {"exit_reason": "hard-stop"})]
    summary, lines = targets(cases, reader(PATH))
    assert (summary.placed, summary.filled, summary.cancelled) == (2, 1, 1)
    assert summary.filled_share == 0.5
    assert "1 of 2" in summary.answer
    assert targets([], reader([]))[0].filled_share is None
    assert targets([], reader([]))[0].answer == "no plan had a target"


def test_half_of_the_rise_was_over_when_it_was_picked():
    pick = make_candidate(at=at(4), price=106)
    line = entry_line(a_case(candidate=pick, **TRADE), reader(PATH))
    assert (line.day_open, line.used, line.used_at_pick) == (100, 0.5, 0.6)
    assert line.rise_of_day == pytest.approx(0.1)
    assert line.verdict == "after the high"
    assert line.wait_s == 60
    assert line.slippage_bp == pytest.approx((105 / 106 - 1) * 10_000, abs=1e-3)
    assert line.best_after == pytest.approx(107 / 105 - 1)


@pytest.mark.parametrize(
    ("pick", "entry", "verdict"), [(103, 104, "in time"), (104, 106, "late entry"), (106, 106.5, "late pick")]
)
def test_who_was_late(pick, entry, verdict):
    rising = bars_of(100, 102, 104, 105, 106, 107, *[108] * 20, 110)
    case = a_case(candidate=make_candidate(at=at(4), price=pick), **TRADE | {"entry_price": entry})
    assert entry_line(case, reader(rising)).verdict == verdict


def test_waiting_is_measured_against_the_same_exit():
    summary, waits, _ = entry_timing([a_case(**TRADE)], reader(PATH))
    by = {line.wait_min: line for line in waits}
    assert by[0].mean == pytest.approx(107 / 105 - 1)
    assert by[1].mean == pytest.approx(107 / 106 - 1)  # the open of minute 6
    assert (by[5].n, by[5].skipped, by[5].mean) == (0, 1, None)
    assert summary.n == 1
    assert entry_timing([a_case(**TRADE)], reader([]))[0].answer.startswith("no bars")


def test_movement_after_entry_and_after_exit():
    line = move_line(a_case(**TRADE), reader(PATH))
    assert (line.mfe, line.mfe_min) == (pytest.approx(107 / 105 - 1), 3)
    assert (line.mae, line.mae_min) == (pytest.approx(104 / 105 - 1), 2)
    assert line.worst_first is True
    assert line.after_5m == pytest.approx(103 / 105 - 1)
    assert line.left == pytest.approx(0.0)  # the next bar opens at our exit
    assert line.captured == pytest.approx(1.0)
    assert line.at_close == pytest.approx(103 / 105 - 1)


def test_a_short_is_turned_round():
    line = move_line(a_case(side="short", **TRADE | {"exit_price": 104, "exit_at": at(7)}), reader(PATH))
    assert line.mfe == pytest.approx(1 - 104 / 105)
    assert line.mae == pytest.approx(1 - 106 / 105)
    assert line.got == pytest.approx(1 - 104 / 105)
    assert target_line(a_case(side="short", **TRADE), reader(PATH)) is None


def test_horizons_count_what_they_know():
    horizons, _ = price_movement([a_case(**TRADE), a_case(**TRADE)], reader(PATH))
    five = horizons[0]
    assert (five.after, five.n, five.up) == ("after_5m", 2, 0.0)
    assert five.mean == pytest.approx(103 / 105 - 1)
    empty, _ = price_movement([a_case(**TRADE)], reader([]))
    assert all(line.n == 0 and line.mean is None for line in empty if line.after != "got")


def test_a_day_that_is_not_over_has_no_close_yet():
    case = a_case(last=at(30), **TRADE)
    assert move_line(case, reader(PATH)).at_close is None
    assert case.deadline == at(30)
    assert a_case(**TRADE).deadline == at(375)
    assert timedelta(minutes=375).total_seconds() == 22500
