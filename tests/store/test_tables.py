from datetime import date, timedelta

import pytest

from tests.make import (
    CLOSE,
    OPEN,
    SESSION,
    D,
    at,
    make_account,
    make_candidate,
    make_decision,
    make_event,
    make_halt,
    make_risk_check,
    make_run,
    make_scan,
    make_session,
    make_slot,
    make_snapshot,
)
from tradekit.errors import StoreError


def test_sessions_and_what_the_operator_changed(store):
    monday = date(2026, 2, 16)
    rows = [make_session(), make_session(day=monday, open=OPEN + timedelta(days=3), close=CLOSE + timedelta(days=3))]
    store.sessions.replace(rows, SESSION, monday)
    assert store.sessions.load(SESSION, monday) == rows
    assert store.sessions.last() == monday
    store.sessions.override(SESSION, OPEN, OPEN + timedelta(hours=3), "early close")
    store.sessions.override(monday, None, None, "storm")
    store.sessions.replace(rows, SESSION, monday)  # a new calendar does not take that back
    (friday,) = store.sessions.load(SESSION, monday)
    assert (friday.half, friday.minutes) == (True, 180)
    assert [(day, reason) for day, _, _, reason in store.sessions.overrides()] == [
        (SESSION, "early close"),
        (monday, "storm"),
    ]


def test_candidates_of_the_first_stage_are_one_blob(store):
    scan = make_scan()
    found = [make_candidate(symbol=f"S{n}", passed=False, score=None, reject_reason="price") for n in range(300)]
    weak = make_candidate(symbol="WEAK", passed=False, score=5.0, reject_reason="stage-2")
    good = make_candidate()
    with store.transaction():
        store.scans.add(scan)
        assert store.candidates.add_many([*found, weak, good]) == 302
        assert store.candidates.add_many([*found, weak, good]) == 0
    assert store.db.value("SELECT count(*) FROM candidates") == 2
    assert store.candidates.of_scan(scan.id) == [weak, good, *found]
    assert store.candidates.of_scan(scan.id, rejected=False) == [good]
    assert store.candidates.found() == [good]
    assert len(store.candidates.found(rejected=True, session=SESSION)) == 302
    assert store.candidates.found(rejected=True, symbol="S7") == [found[7]]
    assert store.candidates.get("S7-20260213T1435-momentum") == found[7]
    assert store.candidates.get("S7-20260213T1436-momentum") is None
    store.candidates.set_outcome(good.id, return_1d=0.02, max_gain=0.05)
    assert store.candidates.get(good.id).return_1d == 0.02


def test_a_candidate_is_decided_once(store):
    store.scans.add_many([make_scan(), make_scan(id="late", type="close")])
    store.candidates.add_many([make_candidate(), make_candidate(symbol="MSFT", scan_id="late")])
    assert [c.symbol for c in store.candidates.undecided(SESSION, None)] == ["AAPL", "MSFT"]
    assert [c.symbol for c in store.candidates.undecided(SESSION, ["open", "midday"])] == ["AAPL"]
    assert store.candidates.undecided(SESSION, []) == []
    decision = make_decision(candidate_id="AAPL-20260213T1435-momentum")
    assert store.decisions.add(decision)
    assert not store.decisions.add(decision)
    assert store.decisions.for_candidate("AAPL-20260213T1435-momentum") == decision
    assert [c.symbol for c in store.candidates.undecided(SESSION, None)] == ["MSFT"]


def test_a_candidate_of_no_scan_is_refused(store):
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.candidates.add(make_candidate())


def test_decisions_wait_are_used_and_expire(store):
    store.decisions.add_many(
        [make_decision(id="1", candidate_id=None, status="waiting"), make_decision(id="2", candidate_id="x")]
    )
    assert [d.id for d in store.decisions.waiting()] == ["1"]
    assert [d.id for d in store.decisions.pending(SESSION)] == ["2"]
    assert store.decisions.pending(date(2026, 2, 12)) == []
    store.decisions.set_status("1", "pending")
    store.decisions.set_status("2", "expired")
    assert [d.id for d in store.decisions.pending()] == ["1"]
    with pytest.raises(StoreError, match="CHECK"):
        store.decisions.set_status("1", "maybe")
    store.risk_checks.add_many([make_risk_check(decision_id="1", order_id="o"), make_risk_check(decision_id="2")])
    assert len(store.risk_checks.for_decision("1")) == len(store.risk_checks.for_order("o")) == 1


def test_the_watchlist_is_the_last_word(store):
    words = [("AAPL", "WATCH"), ("MSFT", "WATCH"), ("AAPL", "BUY"), ("IBM", "SKIP"), ("IBM", "WATCH")]
    store.decisions.add_many(
        make_decision(symbol=symbol, action=action, at=at(n), status="used") for n, (symbol, action) in enumerate(words)
    )
    assert [d.symbol for d in store.watchlist.all()] == ["MSFT", "IBM"]


def test_runs_of_one_second_have_two_names(store):
    first, second = store.runs.start(make_run()), store.runs.start(make_run())
    assert (first.id, second.id) == ("20260213T143500-scan", "20260213T143500-scan-2")
    store.runs.finish(first.id, at(6), 0, {"candidates": 3})
    assert [run.id for run in store.runs.unfinished()] == [second.id]
    assert store.runs.unfinished("enter") == []
    assert store.runs.get(first.id).counts == {"candidates": 3}
    store.runs.start(make_run(command="enter", started_at=at(7)))
    assert [(run.command, run.id[-2:]) for run in store.runs.last_of_each()] == [("scan", "an"), ("enter", "er")]


def test_events_and_alerts(store):
    store.events.add_many([make_event(kind="fill", ref="o"), make_event(kind="alert.late-fill", at=at(20))])
    assert [e.kind for e in store.events.alerts()] == ["alert.late-fill"]
    assert store.events.alerts(at(21)) == []
    assert [e.kind for e in store.events.about("o")] == ["fill"]


def test_slots_keep_their_last_state(store):
    store.slots.save(make_slot(state="running", run_id="r"))
    store.slots.save(make_slot(state="done", run_id="r"))
    store.slots.save(make_slot(name="enter", due_at=at(6)))
    assert store.slots.get("open-scan", SESSION).state == "done"
    assert store.slots.get("open-scan", date(2026, 2, 12)) is None
    assert [slot.name for slot in store.slots.on(SESSION)] == ["open-scan", "enter"]


def test_halts_are_cleared_once(store):
    halt = make_halt()
    store.halts.add(halt)
    assert store.halts.open() == [halt]
    store.halts.clear(halt.id, at(40))
    store.halts.clear(halt.id, at(50))
    assert store.halts.open() == []
    assert store.halts.get(halt.id).cleared_at == at(40)


def test_the_account_and_its_peak(store):
    yesterday = make_account(at=at(-1000), session=date(2026, 2, 12), desk_equity=120)
    store.account.add(yesterday)
    store.account.add(make_account(desk_equity=110))
    store.account.add(make_account(desk_equity=111))  # of the same instant: the last word
    assert store.account.latest().desk_equity == 111
    assert store.account.latest_before(SESSION) == yesterday
    assert store.account.peak() == 120
    assert store.account.peak(at(0)) == 111
    assert store.account.peak(at(100)) is None


def test_memory_of_a_strategy_and_of_the_desk(store):
    assert store.strategy_state.get("ema") == {}
    store.strategy_state.set("ema", {"n": 1})
    store.strategy_state.set("ema", {"n": 2})
    assert store.strategy_state.get("ema") == {"n": 2}
    store.meta.set("a", "1")
    assert (store.meta.get("a"), store.meta.get("b")) == ("1", None)
    store.meta.set("a", None)
    assert store.meta.all() == {}


def test_the_market_as_it_was(store):
    store.snapshots.add_many([make_snapshot(), make_snapshot(at=at(60), price=D("601.5"))])
    assert store.snapshots.latest(at(59)).price == 600
    assert store.snapshots.latest(at(1)) is None
