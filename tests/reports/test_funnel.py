"""Where everything went: each stage foots by id."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports.records import DAY, SCAN, D, at, candidate, check, decision, order, rejected, scan, trade
from tradekit.reports.funnel import funnel


def lines(found):
    return {line.stage: (line.into, line.out, line.lost, line.reasons) for line in found.lines}


def test_a_day_by_hand():
    """Nine symbols: two fail stage 1, one stage 2, six are decided, four bought, two pass the gate, one fills."""
    candidates = [
        rejected("A", "price"), rejected("B", "rvol"), rejected("C", "surge", score=3.0),
        *(candidate(s) for s in ("AAPL", "D", "E", "F", "G", "H")),
    ]  # fmt: skip
    decisions = [
        decision(), decision("D", status="refused"), decision("E", status="expired"), decision("F"),
        decision("G", action="WATCH"), decision("H", action="SKIP"),
    ]  # fmt: skip
    checks = [check(), check("D", "vetoed", "spread"), check("D", "vetoed", "liquidity", at=at("14:36"))]
    orders = [order(), order("F", status="cancelled", filled_qty=D(0))]
    found = funnel(DAY, candidates, decisions, checks, orders, [trade()])
    assert found.findings == []
    assert lines(found) == {
        "stage 1": (9, 7, 2, {"price": 1, "rvol": 1}),
        "stage 2": (7, 6, 1, {"surge": 1}),
        "decide": (6, 6, 0, {}),
        "buy": (6, 4, 2, {"WATCH": 1, "SKIP": 1}),
        "risk gate": (4, 2, 2, {"spread": 1, "expired": 1}),
        "order": (2, 2, 0, {}),
        "fill": (2, 1, 1, {"cancelled": 1}),
        "close": (1, 1, 0, {}),
    }
    assert found.lines[-1].kinds == {"trailing-stop": 1}
    assert found.lines[0].as_row()["in"] == 9


def test_what_a_recording_scan_found_is_not_decided():
    found = funnel(DAY, [candidate()], [], [], [], [], scans=[scan(type="close")], buy_types=["open"])
    assert lines(found)["decide"] == (1, 0, 1, {"close scans only record": 1})
    assert funnel(DAY, [candidate()], [], [], [], []).lines[2].reasons == {"not decided": 1}


def test_what_is_still_held_is_lost_to_still_open():
    found = funnel(DAY, [candidate()], [decision()], [check()], [order()], [])
    assert lines(found)["close"] == (1, 0, 1, {"still open": 1})
    assert found.findings == []


def test_a_second_try_of_an_entry_counts_once():
    later = at("14:36") + timedelta(seconds=1)
    orders = [
        order(status="rejected", filled_qty=D(0)),
        order(id=f"{decision().id}-entry-1", client_order_id="c2", created_at=later, attempt=1),
    ]
    assert lines(funnel(DAY, [candidate()], [decision()], [check()], orders, [trade()]))["fill"] == (1, 1, 0, {})


def test_ids_that_lead_nowhere_are_findings():
    found = funnel(DAY, [candidate()], [decision(), decision("GHOST")], [], [order(), order("LOST")], [])
    assert found.findings == [
        "decision d-GHOST-20260213T1435-momentum: has no candidate",
        "order d-LOST-20260213T1435-momentum-entry-0: no decision",
    ]


def test_a_scan_that_counted_more_than_it_kept_is_a_finding():
    found = funnel(DAY, [candidate()], [], [], [], [], scans=[scan(counts={"universe": 2})])
    assert found.findings == [f"scan {SCAN}: counted more symbols than it kept candidates"]


def test_an_empty_day_foots():
    found = funnel(DAY, [], [], [], [], [])
    assert all((line.into, line.out, line.lost) == (0, 0, 0) for line in found.lines)
    assert found.findings == []


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from(["BUY", "WATCH", "SKIP", None]),
                          st.sampled_from(["used", "refused", "expired", "pending"]), st.booleans(), st.booleans()),
                max_size=12))  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_every_stage_takes_what_the_one_before_let_through(rows):
    candidates, decisions, orders, trades = [], [], [], []
    for i, (passed, scored, action, status, filled, closed) in enumerate(rows):
        symbol = f"S{i}"
        candidates.append(candidate(symbol) if passed else rejected(symbol, "rvol", 2.0 if scored else None))
        if not passed or action is None:
            continue
        decisions.append(decision(symbol, action=action, status=status))
        if action == "BUY" and status == "used":
            orders.append(order(symbol, filled_qty=D(90 if filled else 0)))
            trades += [trade(symbol)] if filled and closed else []
    found = funnel(DAY, candidates, decisions, [], orders, trades)
    assert found.findings == []
    for line in found.lines:
        assert line.into == line.out + line.lost
        assert sum(line.reasons.values()) == line.lost
    for before, after in zip(found.lines, found.lines[1:], strict=False):
        assert before.out == after.into
