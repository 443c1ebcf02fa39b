"""The store as it was: what came later is not there, what was answered later still waits."""

from tests.make import at, make_candidate, make_decision, make_event, make_halt, make_order, make_run, make_scan
from tradekit.store import open_store
from tradekit.store.as_of import AsOf


def test_what_came_later_is_left_out_and_what_changed_later_is_as_it_was(tmp_path):
    store = open_store(tmp_path / "desk.db", create=True, synchronous="OFF")
    asked = make_decision(by="human", status="pending", at=at(6), expires_at=at(21))
    store.decisions.add_many([asked, make_decision(symbol="IBM", at=at(12))])
    store.events.add_many([
        make_event(id="e1", kind="decision.waiting", at=at(6), ref=asked.id),
        make_event(id="e2", kind="decision.pending", at=at(9), ref=asked.id),
    ])  # fmt: skip
    order = make_order(status="cancelled", created_at=at(7), submitted_at=at(7), updated_at=at(11))
    store.orders.add(order)
    store.halts.add(make_halt(at=at(5), cleared_at=at(10)))
    run = store.runs.start(make_run(started_at=at(5)))
    store.runs.finish(run.id, at(10), 0, {"candidates": 1})

    early, late = AsOf(store, at(8)), AsOf(store, at(15))
    assert [d.id for d in early.decisions.all()] == [asked.id] and len(late.decisions.all()) == 2
    assert ([d.id for d in early.decisions.waiting()], late.decisions.waiting()) == ([asked.id], [])
    assert AsOf(store, at(5)).decisions.get(asked.id) is None
    assert ([o.status for o in early.orders.live()], late.orders.live()) == (["open"], [])
    assert (early.orders.get(order.id).status, late.orders.get(order.id).status) == ("open", "cancelled")
    assert (len(early.halts.open()), late.halts.open()) == (1, [])
    assert [r.exit_code for r in (*early.runs.unfinished(), *late.runs.all())] == [None, 0]
    assert early.meta.get("desk_id") == store.meta.get("desk_id")
    store.close()


def test_what_became_of_a_candidate_was_not_known_then(tmp_path):
    store = open_store(tmp_path / "desk.db", create=True, synchronous="OFF")
    scan = make_scan(at=at(5))
    store.scans.add(scan)
    store.candidates.add(make_candidate(at=at(5), scan_id=scan.id, max_gain=0.05, return_1d=0.01))
    assert store.candidates.all()[0].max_gain == 0.05
    (then,) = AsOf(store, at(60)).candidates.found(rejected=True)
    assert (then.max_gain, then.return_1d) == (None, None)
