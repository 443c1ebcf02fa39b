"""what-if: the desk's own exits, costs in, chosen on one half and shown on the other, and no advice on too little."""

import random
from datetime import date, timedelta

import pytest

from tests.analysis.tape import OPEN, a_case, bars_of, numbers
from tests.make import at, make_candidate, make_session
from tradekit.analysis.what_if import (
    AS_TRADED,
    AT_OPEN,
    Costs,
    Grid,
    Outcome,
    Setting,
    Tape,
    advice,
    parse_axis,
    permutation_p,
    plan_with,
    simulate,
    what_if,
)
from tradekit.exits import NO_STATE, advance, begin, judge, levels
from tradekit.model import ExitPlan

FREE = Costs(0.0, 0.0, 0.01)
PLAN = ExitPlan(stop=0.01, target=0.03, intent="day", flat_before_close_s=900)
TRADE = {"entry_at": at(5), "entry_price": 100, "exit_at": at(8), "exit_price": 99}


def one(bars, plan, entry=AS_TRADED, costs=FREE, **fields):
    return simulate(Tape(a_case(plan, **TRADE | fields), numbers(bars), costs), plan, entry)


def walked(case, bars, plan, costs):
    """The plain way: every bar through judge and advance, as monitor-exits does."""
    view = Tape(case, numbers(bars), costs).view(AS_TRADED)
    fixed = levels(plan, view.entry, costs.tick, opened_s=view.opened_s, close_s=view.close_s)
    held = begin(fixed, view.entry, view.opened_s)
    for bar in view.bars:
        found = judge(held, bar, fixed, NO_STATE)
        if found:
            return found.rule, bar.start_s
        held = advance(held, bar, fixed)
    return "end of bars", None


def test_a_stop_on_minute_bars_sells_at_the_next_open():
    path = bars_of(*[100] * 7, (100, 100, 98.5, 98.8), 98.7, *[98] * 380)
    assert one(path, PLAN) == Outcome(pytest.approx(-0.013), "hard-stop", at(8).timestamp())


def test_a_stop_inside_a_long_bar_fills_at_its_level():
    path = bars_of(100, 100, (100, 100, 98, 98.5), *[98] * 70, seconds=300)
    assert one(path, PLAN).ret == pytest.approx(-0.01)


def test_costs_are_taken_on_the_way_out_and_on_a_new_entry():
    path = bars_of(*[100] * 20, *[104] * 370)
    dear = Costs(0.0002, 0.0005, 0.01)
    assert one(path, PLAN, costs=dear).ret == pytest.approx(104 * (1 - 0.0007) / 100 - 1)
    assert one(path, PLAN, "5", dear).ret == pytest.approx(104 * (1 - 0.0007) / (100 * 1.0007) - 1)


def test_a_delay_buys_the_open_of_that_minute():
    path = bars_of(*[100] * 10, *[102] * 380)
    assert one(path, ExitPlan(intent="day"), "5").ret == pytest.approx(0.0)
    assert one(path, ExitPlan(intent="day")).ret == pytest.approx(0.02)
    assert one(path, PLAN, "600") is None


def test_the_open_before_the_pick_cannot_be_bought():
    """Candidates are picked because they rose: buying them at that day's open would be knowing the future."""
    tomorrow = make_session(day=date(2026, 2, 16), open=OPEN + timedelta(days=3), close=OPEN + timedelta(days=3.25))
    path = bars_of(*[90] * 390) + bars_of(*[120] * 300, start=tomorrow.open)
    pick = make_candidate(at=at(5))
    late = a_case(PLAN, candidate=pick, following=tomorrow, **TRADE)
    assert Tape(late, numbers(path), FREE).view(AT_OPEN).entry == 120
    early = a_case(PLAN, candidate=make_candidate(at=at(-40)), following=tomorrow, **TRADE)
    assert Tape(early, numbers(path), FREE).view(AT_OPEN).entry == 90
    assert Tape(a_case(PLAN, candidate=pick, **TRADE), numbers(path), FREE).view(AT_OPEN) is None


def test_an_open_that_nobody_knows_yet_is_no_trade_without_a_loss():
    tomorrow = make_session(day=date(2026, 2, 16), open=OPEN + timedelta(days=3), close=OPEN + timedelta(days=3.25))
    losing = bars_of(*[100] * 10, *[90] * 380)
    unknown = a_case(PLAN, candidate=make_candidate(at=at(5)), **TRADE)
    grid = Grid(entries=(AS_TRADED, AT_OPEN), stops=(None,), targets=(None,), trails=(None,), holds=(None,))
    answer, lines = what_if([unknown], numbers(losing), grid, FREE)
    assert (answer.trades, answer.left_out, {line.entry for line in lines}) == (1, 0, {AS_TRADED})
    known = a_case(PLAN, candidate=make_candidate(at=at(5)), following=tomorrow, **TRADE)
    both = numbers(losing + bars_of(*[95] * 300, start=tomorrow.open))
    answer, lines = what_if([unknown, known], both, grid, FREE)
    assert (answer.trades, answer.left_out) == (1, 1)
    assert {line.entry for line in lines} == {AS_TRADED, AT_OPEN}


def test_a_trail_is_armed_by_the_target():
    path = bars_of(*[100] * 10, (100, 103.5, 100, 103), (103, 105, 103, 105), (105, 105, 103, 103), *[103] * 380)
    plan = plan_with(PLAN, Setting(AS_TRADED, 0.01, 0.03, 0.015, None))
    assert (plan.after_target, plan.trail_from) == ("arm-trail", "target")
    assert one(path, plan).reason == "trailing-stop"
    alone = plan_with(PLAN, Setting(AS_TRADED, 0.01, None, 0.015, None))
    assert (alone.after_target, alone.trail_from) == ("exit", "entry")


@pytest.mark.parametrize("seed", range(8))
def test_the_quick_way_ends_where_the_plain_way_ends(seed):
    dice = random.Random(seed)
    price, rows = 100.0, []
    for _ in range(390):
        first, price = price, round(price * (1 + dice.gauss(0, 0.002)), 2)
        rows.append((first, round(max(first, price) + abs(dice.gauss(0, 0.1)), 2),
                     round(min(first, price) - abs(dice.gauss(0, 0.1)), 2), price))  # fmt: skip
    path = bars_of(*rows)
    case = a_case(PLAN, **TRADE | {"entry_price": rows[5][0]})
    for setting in Grid(entries=(AS_TRADED,), trails=(None, 0.005, 0.015), holds=(None, 45),
                        stops=(None, 0.003, 0.01), targets=(None, 0.003, 0.01)).settings():  # fmt: skip
        plan = plan_with(PLAN, setting)
        rule, _ = walked(case, path, plan, FREE)
        assert simulate(Tape(case, numbers(path), FREE), plan, AS_TRADED).reason == rule, setting


GRID = Grid(entries=(AS_TRADED,), stops=(0.005, 0.01, 0.02), targets=(0.01, 0.02, None), trails=(None,))


def days_of(n, trades_a_day, path):
    cases, bars = [], []
    for d in range(n):
        shift = timedelta(days=d)
        session = make_session(
            day=date(2026, 1, 1) + shift, open=OPEN + shift, close=OPEN + shift + timedelta(hours=6.5)
        )
        for t in range(trades_a_day):
            symbol = f"S{t}"
            bars += bars_of(*path(d, t), symbol=symbol, start=session.open)
            trade = {"symbol": symbol, "entry_at": at(5) + shift, "exit_at": at(8) + shift, "session": session.day}
            cases.append(a_case(PLAN, when=session, last=session.close, **TRADE | trade))
    by = {}
    for bar in bars:
        by.setdefault(bar.symbol, []).append(bar)
    return cases, lambda s, a, b: numbers(by.get(s, []))(s, a, b)


def test_a_plan_that_is_really_better_is_found_and_too_few_trades_get_no_advice():
    """Every trade dips 1.5 % and then rises 5 %: a stop of 1 % always loses, one of 2 % always wins."""
    cases, bars = days_of(22, 5, lambda d, t: [*[100] * 7, (100, 100, 98.5, 98.5), 98.5, 98.5, *[105] * 60])
    summary, lines = what_if(cases, bars, GRID, FREE)
    assert (summary.trades, summary.sessions, summary.settings) == (110, 22, 9)
    assert summary.best["stop"] == 0.02
    assert summary.p_value < 0.01
    assert summary.advice.startswith("worth trying")
    assert lines[0].mark == "baseline" and lines[1].mark == "best"
    few, _ = what_if(cases[:60], bars, GRID, FREE)
    assert few.advice.startswith("no advice: 60 trades")


def test_chance_is_called_chance():
    def noise(d, t):
        dice = random.Random(1000 * d + t)
        price, rows = 100.0, [100.0] * 6
        for _ in range(60):
            price = round(price * (1 + dice.gauss(0, 0.003)), 2)
            rows.append(price)
        return rows

    cases, bars = days_of(22, 5, noise)
    summary, _ = what_if(cases, bars, GRID, FREE)
    assert summary.p_value > 0.05
    assert summary.advice.startswith("keep the plans")


def test_nothing_to_try_on():
    summary, lines = what_if([a_case(PLAN, **TRADE)], numbers([]), GRID, FREE)
    assert (summary.trades, summary.left_out, summary.p_value, lines) == (0, 1, None, [])
    assert summary.advice.startswith("no advice")


def test_advice_needs_the_second_half_too():
    assert advice(200, 30, 0.01, 0.001, 0.002).startswith("keep the plans")
    assert advice(200, 30, None, 0.001, 0.002).startswith("keep the plans")
    assert advice(200, 19, 0.01, 1.0, 0.0).startswith("no advice")


def test_permutation_by_hand():
    import numpy as np

    same = np.zeros((2, 4))
    assert permutation_p(same, [date(2026, 1, 1)] * 4) is None
    days = [date(2026, 1, d) for d in range(1, 21)]
    always = np.full((1, 20), 0.01)  # all 20 sessions better: 1 of 2**20 sign patterns does as well
    assert permutation_p(always, days, n=999) == pytest.approx(0.001)


def test_an_axis_is_fractions_or_none():
    assert parse_axis("0.01,none,0.01", "--stop") == (0.01, None)
    for text in ("1.5", "-0.1", "x", ""):
        with pytest.raises(ValueError):
            parse_axis(text, "--stop")
    assert parse_axis("90", "--hold", whole=True) == (90.0,)
