"""What a pass over many positions reads at once, and rows that are remembered: they say what single reads say."""

import msgspec
import pytest

from tests.make import D, at, make_decision, make_fill, make_mark, make_order
from tradekit.store import Opening, open_store


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


def test_a_list_that_is_asked_for_again_is_that_of_the_file(store):
    """Open positions and live orders are read once while nobody writes: here, in a part that is undone, elsewhere."""

    def held():
        return {position.symbol: position.qty for position in store.positions.open()}

    store.book_fill(make_fill())
    assert held() == held() == {"AAPL": 10}
    store.positions.open().clear()  # the caller's own list
    assert held() == {"AAPL": 10}
    store.book_fill(make_fill(qty=5))
    assert held() == {"AAPL": 15}
    with pytest.raises(RuntimeError), store.transaction():
        store.book_fill(make_fill(symbol="MSFT"))
        assert held() == {"AAPL": 15, "MSFT": 10}
        raise RuntimeError
    assert held() == {"AAPL": 15}
    with store.transaction():
        with pytest.raises(RuntimeError), store.transaction():
            store.book_fill(make_fill(symbol="MSFT"))
            raise RuntimeError
        assert held() == {"AAPL": 15}
    other = open_store(store.path, synchronous="OFF")
    other.book_fill(make_fill(qty=15, side="sell", at=at(20)))
    other.orders.add(make_order(id="o1"))
    other.close()
    assert held() == {}
    assert [order.id for order in store.orders.live()] == ["o1"]
    store.orders.change("o1", status="cancelled")
    assert store.orders.live() == []


def test_the_cash_of_all_open_positions_is_that_of_their_fills(store):
    for n, (symbol, side, qty) in enumerate(
        [("AAPL", "buy", 10), ("MSFT", "buy", 5), ("MSFT", "sell", 5), ("AAPL", "sell", 4), ("IBM", "buy", 3),
         ("IBM", "sell", 8), ("MSFT", "buy", 1)]
    ):  # fmt: skip
        store.book_fill(make_fill(symbol=symbol, side=side, qty=qty, at=at(n), fee="0.5"))
    ids = {position.symbol: position.id for position in store.positions.open()}
    expected = {ids["AAPL"]: D("-601"), ids["IBM"]: D("799.5"), ids["MSFT"]: D("-100.5")}
    for _ in range(2):
        assert store.fills.cash_of_open("USD") == expected
    store.book_fill(make_fill(symbol="AAPL", side="buy", qty=1, at=at(0, 30)))  # late, and before all others but one
    store.book_fill(make_fill(symbol="MSFT", side="sell", qty=1, at=at(20)))
    assert store.fills.cash_of_open("USD") == {ids["AAPL"]: D("-701"), ids["IBM"]: D("799.5")}


def test_a_list_is_read_again_when_what_it_is_made_of_changed_and_only_then(store, tmp_path):
    """Marks and notes of the desk are written at each pass; the orders are not read again for that."""
    store.book_fill(make_fill(), Opening(position_id="AAPL-20260213T1438"))
    store.orders.add(make_order(id="o1"))
    read = []
    store.db.raw.set_trace_callback(lambda sql: read.append("orders" if "FROM orders" in sql else "positions")
                                    if sql.startswith("SELECT") and "FROM meta" not in sql else None)  # fmt: skip

    def asked():
        read.clear()
        found = [order.id for order in store.orders.live()], [p.last_price for p in store.positions.open()]
        return (*found, read.copy())

    assert asked() == (["o1"], [None], ["orders", "positions"])
    assert asked() == (["o1"], [None], [])
    store.meta.set("peak", "1 2")
    assert asked() == (["o1"], [None], [])
    store.marks.save([make_mark(last_price=101)])
    assert asked() == (["o1"], [101], ["positions"])
    with pytest.raises(RuntimeError), store.transaction():
        store.marks.save([make_mark(last_price=102)])
        store.orders.change("o1", status="cancelled")
        assert asked()[:2] == ([], [102])
        raise RuntimeError
    assert asked()[:2] == (["o1"], [101])
    other = open_store(store.path)
    other.orders.change("o1", status="cancelled")
    other.marks.save([make_mark(last_price=103)])
    other.close()
    assert asked() == ([], [103], ["orders", "positions"])
    store.marks.save([make_mark(last_price=104)])
    store.orders.add(make_order(id="o2"))
    assert asked() == (["o2"], [104], ["orders", "positions"])


def test_a_mark_that_another_one_amended_is_read_as_it_is(store):
    """What a pass has written is remembered as the row that it wrote; a job's part of it makes it another row."""
    store.book_fill(make_fill(), Opening(position_id="AAPL-20260213T1438"))
    store.marks.save([make_mark(last_price=101, reversal_score=4)], store.marks.SAID)
    store.marks.save([make_mark(last_price=102)], store.marks.SEEN)
    (mark,) = store.marks.of_open().values()
    assert (mark.last_price, mark.reversal_score) == (102, 4)
