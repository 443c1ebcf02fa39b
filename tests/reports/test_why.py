"""The chain behind a trade tells itself in order."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from tests.reports.records import (
    FILLS,
    D,
    at,
    candidate,
    check,
    decision,
    event,
    exit_order,
    order,
    position,
    rejected,
    scan,
    trade,
)
from tradekit.commands._report_text import story
from tradekit.model import MarketSnapshot
from tradekit.reports.why import Chain, nearest, why

SNAPSHOT = MarketSnapshot(
    at=at("14:35"), benchmark="SPY", price=D("600.10"), trend=0.012, sma20=593.0, volatility=0.11,
    breadth=0.6, regime="up",
)  # fmt: skip
EXIT = event(
    "exit", "15:30", ref=exit_order().id,
    data={"rule": "trailing-stop", "because": "low 101.95 reached 1.5 % under 103.5"},
)  # fmt: skip


def whole():
    return Chain(
        scan=scan(), snapshot=SNAPSHOT, candidate=candidate(), decisions=[decision()], checks=[check()],
        orders=[order(), exit_order()], fills=FILLS, events=[EXIT, event("order.intended", "14:35:02", ref=order().id)],
        trade=trade(),
    )  # fmt: skip


def test_the_steps_come_in_the_order_they_happened_causes_first():
    assert [step.step for step in why(whole())] == [
        "market", "scan", "candidate", "decision", "risk", "order", "fill", "fill", "exit", "order", "fill", "trade",
    ]  # fmt: skip


def test_each_step_has_its_reason_and_its_numbers():
    steps = {step.step: step for step in why(whole())}
    assert steps["market"].because == "SPY at 600.1: regime up"
    assert steps["candidate"].because == "passed: surge 2.1"
    assert steps["candidate"].data["rvol"] == 2.1
    assert steps["decision"].because == "BUY by rules: score 15 of 20 with a breakout (used)"
    assert steps["risk"].because == "approved by gate: 42 rules passed"
    assert steps["exit"].because == "trailing-stop: low 101.95 reached 1.5 % under 103.5"
    assert steps["fill"].because == "sold 90 AAPL at 101.9, fee 0.27 USD (estimated)"
    assert steps["trade"].because == "closed by trailing-stop: net 161.73, +1.80 %, +1.99 R"


def test_a_rejected_candidate_explains_itself():
    (step,) = why(Chain(candidate=rejected("A", "rvol")))
    assert step.because == "rejected by rvol: too little: rvol"


def test_a_vetoed_decision_says_what_would_have_to_change():
    veto = check(verdict="vetoed", rule="spread", because="the spread is 0.50 %; at most 0.30 % would pass")
    last = why(Chain(decisions=[decision(status="refused")], checks=[veto]))[-1]
    assert last.because == "vetoed by spread: the spread is 0.50 %; at most 0.30 % would pass"


def test_an_open_position_is_the_end_of_its_chain():
    last = why(Chain(decisions=[decision("MSFT")], position=position(target_hit=True)))[-1]
    assert (last.step, last.at) == ("position", None)
    assert last.because == "open: 10 at 200, stop 198, target 205 hit, trailing"


def test_a_refused_order_says_so():
    step = why(Chain(orders=[order(status="rejected", error="no buying power")]))[0]
    assert step.because == "buy 90 AAPL limit at 100.3, day (entry, entry); rejected, no buying power"


def test_the_story_uses_the_exchange_s_time_and_names_each_day():
    late = exit_order(created_at=at("15:30") + timedelta(days=3))
    text = story("AAPL", why(Chain(orders=[order(), late])), ZoneInfo("America/New_York")).splitlines()
    assert text[1] == "Friday 2026-02-13 (America/New_York)"
    assert text[2].startswith("  09:35:02  order      buy 90 AAPL limit")
    assert text[3] == "Monday 2026-02-16 (America/New_York)"


def test_nearest_finds_slips_of_the_keyboard():
    ids = ["AAPL", "AAPL-20260213T1435", "MSFT"]
    assert nearest("APPL", ids)[0] == "AAPL"
    assert "AAPL-20260213T1435" in nearest("20260213", ids)
    assert nearest("ZZZZ", ids) == []
