"""What a pass over many positions reads at once, and rows that are remembered: they say what single reads say."""

import msgspec

from tests.make import make_decision, make_fill, make_mark, make_order
from tradekit.store import Opening


def test_positions_that_are_asked_to_close(store):
    store.decisions.add(make_decision(action="CLOSE", position_id="AAPL-20260213T1438"))
    store.decisions.add(make_decision(symbol="MSFT"))  # a BUY
    store.decisions.add(make_decision(action="CLOSE", position_id="XYZ-20260213T1438", status="used"))
    assert store.decisions.asked_to_close() == {"AAPL-20260213T1438"}


def test_keys_under_a_prefix(store):
    for key in ("missing:AAPL", "missing:MSFT", "missinh", "missing"):
        store.meta.set(key, "x")
    assert store.meta.under("missing:") == {"missing:AAPL": "x", "missing:MSFT": "x"}


def test_a_remembered_row_is_read_again_when_it_changed(store):
    store.orders.add(make_order(id="o1"))
    before = store.orders.get("o1")
    assert store.orders.get("o1") is before
    store.orders.change("o1", status="cancelled")
    assert store.orders.get("o1") == msgspec.structs.replace(before, status="cancelled")


def test_a_position_follows_its_mark(store):
    store.book_fill(make_fill(), Opening(position_id="AAPL-20260213T1438"))
    assert store.positions.open()[0].last_price is None
    for price, won in ((101, 10), (102, 20), (101, 10)):
        store.marks.save([make_mark(last_price=price)])
        (position,) = store.positions.open()
        assert (position.last_price, position.unrealized) == (price, won)


def test_more_rows_than_are_remembered(store):
    store.orders.remembered = 3
    for n in range(10):
        store.orders.add(make_order(id=f"o{n}", symbol=f"S{n}"))
    for _ in range(3):
        assert [order.id for order in store.orders.live()] == [f"o{n}" for n in range(10)]
