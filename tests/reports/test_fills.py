"""What orders cost and how long they took, by hand."""

import pytest

from tests.reports.records import FILLS, D, at, decision, event, exit_order, order
from tradekit.reports.fills import average, fills_report, slippage_bp


@pytest.mark.parametrize(("side", "wanted", "got", "bp"), [
    ("buy", "100", "100.10", 10.0),    # paid 0.1 % more
    ("buy", "100", "99.90", -10.0),
    ("sell", "102", "101.898", 10.0),  # got 0.1 % less
    ("sell", "100", "100.05", -5.0),
    ("buy", None, "100", None),
    ("buy", "100", None, None),
    ("buy", "0", "1", None),
])  # fmt: skip
def test_slippage_is_a_cost_when_positive(side, wanted, got, bp):
    def number(text):
        return None if text is None else D(text)

    assert slippage_bp(side, number(wanted), number(got)) == bp


def test_a_row_per_order_with_fills():
    orders = [exit_order(), order(), order("MSFT", filled_qty=D(0), status="cancelled")]
    entry, out = fills_report(orders, FILLS, {decision().id: decision()})
    assert (entry.order_id, entry.fills, entry.avg_price, entry.slippage_bp) == (order().id, 2, D("100.1"), 10.0)
    assert (entry.decide_s, entry.send_s, entry.fill_s, entry.last_fill_s) == (2.0, 1.0, 57.0, 117.0)
    assert (entry.arrival_price, entry.arrival_slippage_bp, entry.ack_s) == (None, None, None)
    assert (out.slippage_bp, out.fees, out.fees_estimated, out.decide_s) == (9.8039, D("0.27"), True, 60.0)
    assert out.currency == "USD"


def test_the_arrival_quote_and_the_answer_come_from_the_events_of_the_order():
    notes = [
        event("order.intended", ref=order().id, data={"bid": "99.98", "ask": "100.02"}),
        event("order.accepted", ref=order().id, data={"acknowledged_at": at("14:35:03.500").isoformat()}),
        event("order.accepted", ref="another", data={"bid": "1", "ask": "2"}),
    ]
    row = fills_report([order()], FILLS, {}, notes)[0]
    assert (row.arrival_price, row.arrival_slippage_bp, row.ack_s) == (D(100), 10.0, 0.5)
    assert row.decide_s is None


def test_a_resting_stop_is_compared_with_its_own_level():
    stop = exit_order(decision_price=None, stop_price=D(102), purpose="protect", type="stop")
    assert fills_report([stop], FILLS, {})[0].slippage_bp == 9.8039


def test_no_fills_no_rows():
    assert fills_report([order()], [], {}) == []
    assert average([]) is None
