"""What nobody bought: once a symbol, with what kept it out and what it did after; unknown is None."""

from zoneinfo import ZoneInfo

import pytest

from tests.reports.records import SESSION, at, candidate, check, decision, order
from tests.reports.test_daily import day
from tradekit.commands._report_text import daily_text
from tradekit.reports.daily import daily
from tradekit.reports.missed import missed

ZONE = ZoneInfo("America/New_York")


def found(candidates, decisions=(), checks=(), orders=(), **how):
    return missed(candidates, decisions, checks, orders, types={"S1": "open"}, **how)


def test_a_day_without_candidates_missed_nothing():
    assert found([]) == ([], [])


def test_each_fate_has_its_word():
    picks = [candidate(s, scan_id="S1") for s in ("BOUGHT", "VETOED", "WATCHED", "NOBODY", "CANCELLED", "EXPIRED")]
    choices = [decision(s, status="used") for s in ("BOUGHT", "VETOED", "CANCELLED")]
    choices += [decision("WATCHED", action="WATCH"), decision("EXPIRED", status="expired")]
    checks = [check("VETOED", verdict="vetoed", rule="spread"), check("VETOED", verdict="vetoed", rule="liquidity")]
    orders = [order("BOUGHT"), order("CANCELLED", status="cancelled", filled_qty=0)]
    lines, rejected = found(picks, choices, checks, orders)
    assert {line.symbol: line.why for line in lines} == {
        "VETOED": "spread", "WATCHED": "WATCH", "NOBODY": "not decided", "CANCELLED": "order cancelled",
        "EXPIRED": "expired",
    }  # fmt: skip
    assert rejected == []
    recorded, _ = found([candidate(scan_id="S1")], buy_types=("midday",))
    assert recorded[0].why == "open scans only record"


def test_what_was_bought_in_the_morning_was_not_missed_at_noon():
    noon = candidate(id="noon", at=at("17:00"), passed=False, reject_reason="held")
    assert found([candidate(), noon], [decision(status="used")], [], [order()]) == ([], [])


def test_the_first_price_counts_and_the_best_come_first():
    picks = [
        candidate("AAPL", id="a1", at=at("14:35"), max_gain=0.01, return_1d=0.02),
        candidate("AAPL", id="a2", at=at("17:30"), max_gain=0.09),
        candidate("MSFT", id="m", max_gain=0.04, max_drawdown=-0.01),
        candidate("LATE", id="l", max_gain=None),
    ]
    lines, _ = found(picks)
    assert [(line.id, line.scans, line.max_gain) for line in lines] == [("m", 1, 0.04), ("a1", 2, 0.01), ("l", 1, None)]


def test_the_rejected_are_counted_once_by_their_last_reason():
    picks = [
        candidate("A", id="a1", at=at("14:35"), passed=False, reject_reason="rvol", max_gain=0.5),
        candidate("A", id="a2", at=at("17:30"), passed=False, reject_reason="change", max_gain=0.03, return_1d=-0.01),
        candidate("B", id="b", passed=False, reject_reason="change", max_gain=0.01),
        candidate("C", id="c", passed=False, reject_reason="rvol"),
    ]
    _, (change, rvol) = found(picks)
    assert (change.reason, change.symbols, change.known, change.best) == ("change", 2, 2, "A")
    assert (change.max_gain, change.return_1d) == (pytest.approx(0.02), -0.01)
    assert (rvol.reason, rvol.symbols, rvol.known, rvol.max_gain, rvol.best) == ("rvol", 1, 0, None, None)


def test_the_page_says_what_is_not_known_yet():
    lines, rejected = found([candidate("AAPL"), candidate("B", passed=False, reject_reason="rvol")])
    text = daily_text(daily(day(missed=lines, rejected=rejected)), SESSION, ZONE)
    assert "1 passed and were not bought; what they did after is not known yet: tradekit jobs outcomes" in text
    assert "rejected by the scans" not in text
    lines, rejected = found([candidate("AAPL", max_gain=0.034), candidate("B", passed=False, reject_reason="rvol",
                                                                         max_gain=0.2)])  # fmt: skip
    text = daily_text(daily(day(missed=lines, rejected=rejected)), SESSION, ZONE)
    assert "3.4" in text and "rejected by the scans" in text and "rvol" in text
