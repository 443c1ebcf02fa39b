import itertools

import pytest

from tests.make import D, at, make_decision, make_fill, make_order, make_scan
from tradekit.errors import Refused, StoreError, UsageError
from tradekit.model import FINAL_STATUSES
from tradekit.store import IllegalTransition
from tradekit.store.orders import TRANSITIONS

LEGAL = {
    "intended": "submitted open partially_filled filled cancelled rejected expired unknown",
    "submitted": "open partially_filled filled cancelled rejected expired unknown",
    "open": "partially_filled filled cancelled rejected expired unknown",
    "partially_filled": "filled cancelled rejected expired unknown",
    "unknown": "submitted open partially_filled filled cancelled rejected expired",
    "filled": "",
    "cancelled": "",
    "rejected": "",
    "expired": "",
}


@pytest.mark.parametrize(("before", "after"), [*itertools.product(LEGAL, LEGAL)])
def test_only_the_moves_of_the_table(store, before, after):
    order = make_order(status=before)
    store.orders.add(order)
    if after == before or after in LEGAL[before].split():
        assert store.orders.change(order.id, status=after).status == after
        assert store.orders.get(order.id).status == after
    else:
        with pytest.raises(IllegalTransition, match=f"{before} cannot become {after}"):
            store.orders.change(order.id, status=after)
        assert store.orders.get(order.id).status == before


def test_the_table_knows_every_status():
    assert set(TRANSITIONS) == set(LEGAL)
    assert all(not TRANSITIONS[status] for status in FINAL_STATUSES)


def test_an_order_is_written_once(store):
    order = make_order()
    assert store.orders.add(order) is True
    assert store.orders.add(order) is False


def test_one_live_entry_per_symbol_and_per_decision(store):
    store.decisions.add(make_decision(id="d-1"))
    store.orders.add(make_order(id="a", symbol="AAPL", decision_id="d-1"))
    with pytest.raises(Refused, match="a \\(open\\)"):
        store.orders.add(make_order(id="b", symbol="AAPL"))
    with pytest.raises(Refused):
        store.orders.add(make_order(id="c", symbol="MSFT", decision_id="d-1"))
    store.orders.add(make_order(id="x", symbol="AAPL", side="sell"))  # an exit is never in the way
    store.orders.change("a", status="cancelled")
    assert store.orders.add(make_order(id="d", symbol="AAPL", decision_id="d-1")) is True


def test_a_client_id_is_used_once(store):
    store.orders.add(make_order(id="a", client_order_id="same", status="filled"))
    with pytest.raises(Refused, match="a \\(filled\\)"):
        store.orders.add(make_order(id="b", client_order_id="same", symbol="MSFT"))


def test_what_fills_say_is_not_changed_by_hand(store):
    order = make_order()
    store.orders.add(order)
    with pytest.raises(UsageError, match="filled_qty"):
        store.orders.change(order.id, filled_qty=D(5))
    with pytest.raises(UsageError, match="no field colour"):
        store.orders.change(order.id, colour="red")
    with pytest.raises(UsageError, match="there is no order nothing"):
        store.orders.change("nothing", status="open")


def test_an_unknown_decision_is_refused(store):
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.orders.add(make_order(decision_id="never"))


def test_fills_fill_up_an_order(store):
    store.orders.add(make_order(id="a", qty=10))
    store.book_fill(make_fill(order_id="a", qty=4, price=100, fee="0.10"), None)
    found = store.orders.get("a")
    assert (found.status, found.filled_qty, found.avg_price, found.fees) == ("partially_filled", D(4), D(100), D("0.1"))
    store.book_fill(make_fill(order_id="a", qty=6, price=101, fee="0.20"), None)
    found = store.orders.get("a")
    assert (found.status, found.filled_qty, found.avg_price, found.fees) == ("filled", D(10), D("100.6"), D("0.3"))


@pytest.mark.parametrize("status", ["cancelled", "rejected", "expired"])
def test_a_late_fill_is_booked_and_moves_no_status(store, status):
    store.orders.add(make_order(id="a", qty=10, status=status))
    assert store.book_fill(make_fill(order_id="a", qty=10), None).new
    found = store.orders.get("a")
    assert (found.status, found.filled_qty) == (status, D(10))


def test_a_filled_order_is_never_submitted_again(store):
    store.orders.add(make_order(id="a", qty=10))
    store.book_fill(make_fill(order_id="a", qty=10), None)
    with pytest.raises(IllegalTransition):
        store.orders.change("a", status="submitted")


def test_a_fill_of_an_unknown_order_leaves_nothing(store):
    with pytest.raises(UsageError, match="names order never"):
        store.book_fill(make_fill(order_id="never"), None)
    assert store.fills.all() == []
    assert store.cash_delta() == 0


def test_attempts_count_final_orders_of_the_subject(store):
    store.decisions.add(make_decision(id="d-1"))
    store.orders.add(make_order(id="1", decision_id="d-1", status="rejected"))
    store.orders.add(make_order(id="2", decision_id="d-1", status="open"))
    store.orders.add(make_order(id="3", side="sell", position_id="p", status="cancelled"))
    assert store.orders.final_count("d-1", "entry") == 1
    assert store.orders.final_count("d-1", "exit") == 0
    assert store.orders.final_count("p", "exit") == 1


def test_the_words_of_orders(store):
    store.scans.add(make_scan())
    store.orders.add(make_order(id="1", symbol="AAPL", broker_order_id="B1", created_at=at(1)))
    store.orders.add(make_order(id="2", symbol="MSFT", status="unknown", created_at=at(2)))
    store.orders.add(make_order(id="3", symbol="AAPL", status="filled", created_at=at(3), position_id="p"))
    assert [o.id for o in store.orders.live()] == ["1", "2"]
    assert [o.id for o in store.orders.live_for("AAPL")] == ["1"]
    assert store.orders.by_broker_id("B1").id == "1"
    assert store.orders.by_client_id("?") is None
    assert [o.id for o in store.orders.for_position("p")] == ["3"]
    assert [o.id for o in store.orders.created_since(at(2))] == ["2", "3"]
    store.orders.add(make_order(id="4", side="sell", symbol="AAPL", created_at=at(4), position_id="p"))
    assert [o.id for o in store.orders.created_since(at(2), "entry")] == ["2", "3"]
    assert [o.id for o in store.orders.created_since(at(2), "exit")] == ["4"]


def test_orders_as_of_a_time(store):
    store.orders.add(make_order(id="a", qty=10, status="submitted", created_at=at(1), submitted_at=at(2)))
    store.book_fill(make_fill(order_id="a", qty=4, at=at(5)), None)
    store.book_fill(make_fill(order_id="a", qty=6, at=at(7)), None)

    def then(minute):
        return [(o.status, o.filled_qty) for o in store.orders.as_of(at(minute))]

    assert then(0) == []
    assert then(1) == [("intended", 0)]
    assert then(3) == [("open", 0)]
    assert then(5) == [("partially_filled", 4)]
    assert then(9) == [("filled", 10)]
