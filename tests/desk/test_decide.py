"""decide: a candidate is decided once; a human answers in time or not at all."""

from datetime import timedelta

import msgspec
import pytest

from tests.desk.morning import STRONG, TAME, make_desk, rows_of
from tests.make import OPEN, at, make_candidate, make_scan
from tradekit.config import Settings
from tradekit.desk.decide import DecideOptions, approve, decide, skip
from tradekit.desk.scan import ScanOptions, scan
from tradekit.errors import Refused, UsageError

ROWS = {"AAA": STRONG, "BBB": STRONG | {"volume": 2000.0}, "CCC": TAME}
BREAKOUT = {"momentum_breakout": 1.0, "surge": 2.0}


def scanned(path, settings=None, **options):
    desk = make_desk(path, ROWS, settings=settings)
    return desk, scan(desk, ScanOptions(**options))


def given(desk, **fields):
    """One stored candidate that was not scanned."""
    candidate = make_candidate(**({"features": BREAKOUT} | fields))
    desk.store.scans.add(make_scan(id=candidate.scan_id, at=candidate.at, strategy=candidate.strategy))
    desk.store.candidates.add_many([candidate])
    return candidate


def test_candidates_are_decided_best_first(tmp_path):
    desk, _ = scanned(tmp_path)
    found = decide(desk, DecideOptions())
    assert [(d.symbol, d.action, d.score, d.conviction, d.rvol) for d in found] == [
        ("AAA", "BUY", 16.0, 0.8, 3.0),
        ("BBB", "BUY", 14.0, 0.7, 2.0),
    ]
    first = found[0]
    assert first.id == "d-AAA-20260213T1435-momentum"
    assert (first.status, first.by, first.order_kind, first.intent) == ("pending", "rules", "limit", "swing")
    assert first.expires_at == at(10)
    assert (first.plan["trail"], first.plan["close_above"], first.plan["stop"]) == (0.05, 0.15, None)
    assert first.because.startswith("score 16 with a breakout; +5.5% on the day")


def test_deciding_twice_shows_the_stored_decisions(tmp_path):
    desk, candidates = scanned(tmp_path)
    first, before = decide(desk, DecideOptions()), rows_of(desk.store)
    assert decide(desk, DecideOptions()) == first
    assert decide(desk, DecideOptions(ids=tuple(c.id for c in candidates))) == first
    assert decide(desk, DecideOptions(ids=(candidates[1].id, candidates[1].id))) == first[1:]
    assert decide(desk, DecideOptions(ids=())) == []
    assert rows_of(desk.store) == before
    desk.clock.sleep(60)
    assert decide(desk, DecideOptions()) == []


def test_an_id_that_the_store_does_not_hold_decides_nothing(tmp_path):
    desk, candidates = scanned(tmp_path)
    with pytest.raises(UsageError, match="ZZZ-20260213T1435-momentum"):
        decide(desk, DecideOptions(ids=(candidates[0].id, "ZZZ-20260213T1435-momentum")))
    assert desk.store.decisions.all() == []


def test_a_rejected_candidate_may_be_named_and_is_skipped(tmp_path):
    desk, _ = scanned(tmp_path)
    (found,) = decide(desk, DecideOptions(ids=("CCC-20260213T1435-momentum",)))
    assert (found.action, found.status, found.expires_at) == ("SKIP", "used", None)


def test_a_close_scan_only_records(tmp_path):
    desk, _ = scanned(tmp_path, type="close")
    found = decide(desk, DecideOptions())
    assert {d.action for d in found} == {"WATCH"}
    assert found[0].because.startswith("a close scan only records")


def test_the_desks_own_plan_wins_part_by_part(tmp_path):
    day = {"stop": 0.009, "target": 0.026, "after_target": "arm-trail", "close_above": None, "intent": "day"}
    desk, _ = scanned(tmp_path, msgspec.convert({"exits": {"plans": {"momentum": day}}}, Settings))
    found = decide(desk, DecideOptions())[0]
    assert (found.intent, found.plan["stop"], found.plan["close_above"]) == ("day", 0.009, None)
    assert (found.plan["trail"], found.plan["trail_from"]) == (0.05, "entry")  # not named


def test_an_old_candidate_is_not_bought(tmp_path):
    desk, _ = scanned(tmp_path)
    desk.clock.sleep(16 * 60)
    assert {(d.action, d.because) for d in decide(desk, DecideOptions())} == {
        ("SKIP", "scanned 16 minutes ago: scan again")
    }


def test_on_a_virtual_clock_piped_candidates_are_decided_at_their_own_time(tmp_path):
    desk, candidates = scanned(tmp_path)
    desk.clock.sleep(16 * 60)
    found = decide(desk, DecideOptions(ids=(candidates[0].id,)))[0]
    assert (found.action, found.at, found.expires_at) == ("BUY", at(5), at(10))


def test_yesterdays_candidate_is_skipped(tmp_path):
    desk = make_desk(tmp_path, ROWS, now=at(4 * 1440 + 5))
    desk.clock.stands_at_records = False
    candidate = given(desk)
    (found,) = decide(desk, DecideOptions(ids=(candidate.id,)))
    assert (found.action, found.because) == ("SKIP", "it is of the session 2026-02-13: scan again")


def moo(desk, symbol, score, **fields):
    return given(desk, symbol=symbol, score=score, strategy="market-on-open", at=OPEN - timedelta(minutes=40), **fields)


def test_market_on_open_has_three_masters_and_aims_by_conviction(tmp_path):
    desk = make_desk(tmp_path, ROWS, now=OPEN - timedelta(minutes=39))
    for symbol, score in (("AAA", 13.0), ("BBB", 17.0), ("CCC", 16.0), ("DDD", 12.0), ("EEE", 11.0)):
        moo(desk, symbol, score)
    found = decide(desk, DecideOptions())
    assert [(d.symbol, d.action, d.master, d.plan["target"]) for d in found] == [
        ("BBB", "BUY", True, 0.026),  # conviction 0.85
        ("CCC", "BUY", True, 0.018),  # 0.8 is not above 0.8
        ("AAA", "BUY", True, 0.018),
        ("DDD", "BUY", False, 0.018),
        ("EEE", "WATCH", False, 0.018),
    ]
    assert {(d.order_kind, d.plan["stop"], d.intent) for d in found} == {("moo", 0.009, "day")}
    assert found[0].expires_at == OPEN
    moo(desk, "FFF", 20.0)
    assert not decide(desk, DecideOptions())[0].master  # the three are chosen


def test_the_floor_of_conviction_keeps_market_on_open_out(tmp_path):
    settings = msgspec.convert({"decide": {"conviction_floor": 0.7}}, Settings)
    desk = make_desk(tmp_path, ROWS, settings=settings, now=OPEN - timedelta(minutes=39))
    moo(desk, "AAA", 13.0)
    moo(desk, "BBB", 14.0)
    assert [(d.symbol, d.action) for d in decide(desk, DecideOptions())] == [("BBB", "BUY"), ("AAA", "WATCH")]


def test_market_on_open_is_too_late_after_the_open(tmp_path):
    desk = make_desk(tmp_path, ROWS, now=OPEN)
    moo(desk, "AAA", 20.0)
    assert [d.action for d in decide(desk, DecideOptions())] == ["SKIP"]


def test_a_human_is_asked_and_answers(tmp_path):
    desk, _ = scanned(tmp_path)
    yes, no = decide(desk, DecideOptions(by="human"))
    assert (yes.status, yes.by, yes.expires_at) == ("waiting", "human", at(20))
    assert desk.store.decisions.pending() == []
    assert approve(desk, yes.id).status == approve(desk, yes.id).status == "pending"
    assert skip(desk, no.id).status == skip(desk, no.id).status == "refused"
    with pytest.raises(Refused):
        approve(desk, no.id)
    assert [d.id for d in desk.store.decisions.pending()] == [yes.id]
    assert [e.kind for e in desk.store.events.all()][-2:] == ["decision.pending", "decision.refused"]


def test_an_answer_may_come_too_late(tmp_path):
    desk, _ = scanned(tmp_path)
    late, other = decide(desk, DecideOptions(by="human"))
    desk.clock.sleep(15 * 60)
    with pytest.raises(Refused, match="expired at 14:50:00Z"):
        approve(desk, late.id)
    assert desk.store.decisions.get(late.id).status == "expired"
    scan(desk, ScanOptions())
    decide(desk, DecideOptions())
    assert desk.store.decisions.get(other.id).status == "expired"


def test_what_was_used_cannot_be_skipped(tmp_path):
    desk, _ = scanned(tmp_path)
    found = decide(desk, DecideOptions())[0]
    desk.store.decisions.set_status(found.id, "used")
    with pytest.raises(Refused):
        skip(desk, found.id)


def test_wrong_words_are_refused(tmp_path):
    desk, _ = scanned(tmp_path)
    with pytest.raises(UsageError) as caught:
        decide(desk, DecideOptions(by="rule"))
    assert caught.value.hint == "did you mean rules?"
    for answer in (approve, skip):
        with pytest.raises(UsageError):
            answer(desk, "d-nothing")
