"""Statements booked in bulk: the same tables as fill by fill, nothing half written."""

import itertools
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.make import D, at, make_adjustment, make_fill, make_mark, make_order
from tradekit.errors import UsageError
from tradekit.store import Opening, importing, open_store

folders = itertools.count()

moments = st.one_of(  # few of them, so that fills meet in an instant, in a minute, and in the wrong order
    st.integers(0, 6).map(lambda n: at(n)), st.integers(0, 200).map(lambda n: at(0, n))
)
fill_facts = st.tuples(
    st.sampled_from(["AAPL", "BTC/USD"]),
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(["1", "2", "3", "0.5", "10"]),
    st.sampled_from(["100", "99.99", "101.5", "33.333333", "0.00012345"]),
    st.sampled_from([("0", "USD"), ("0.35", "USD"), ("-0.1", "USD"), ("0.001", "BTC"), ("1", "EUR")]),
    moments,
)


@contextmanager
def two_stores(tmp_path):
    n = next(folders)
    one, other = (open_store(tmp_path / f"{name}{n}.db", create=True, synchronous="OFF") for name in ("one", "other"))
    try:
        yield one, other
    finally:
        one.close()
        other.close()


def tables(store):
    """Every table that a fill can change, as a set of rows with their columns' names."""
    found = {}
    for name in ("fills", "positions", "marks", "trades", "orders", "adjustments", "meta", "events"):
        columns = [row[1] for row in store.db.rows(f"PRAGMA table_info({name})")]
        rows = store.db.rows(f"SELECT {', '.join(columns)} FROM {name} ORDER BY 1")
        found[name] = [dict(zip(columns, row, strict=True)) for row in rows]
    return found


def indexes(store):
    return set(store.db.rows("SELECT name, sql FROM sqlite_master WHERE type = 'index'"))


def made(n, facts):
    symbol, side, qty, price, (fee, asset), when = facts
    return make_fill(
        id=f"f-x{n}", broker_fill_id=f"x{n}", order_id=None, symbol=symbol, side=side, qty=qty, price=price, fee=fee,
        fee_asset=asset, at=when, session=when.date(),
    )  # fmt: skip


@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), facts=st.lists(fill_facts, min_size=1, max_size=24))
def test_a_bulk_import_is_every_fill_booked_by_itself(tmp_path, data, facts):
    fills = [made(n, each) for n, each in enumerate(facts)]
    ids = st.lists(st.integers(0, len(fills) - 1), min_size=1, max_size=30)
    imports = data.draw(st.lists(ids, min_size=1, max_size=4), label="which fills, in which imports")
    batch = data.draw(st.sampled_from([1, 2, 3, 7, 20_000]), label="fills a batch")
    chunk = data.draw(st.sampled_from([1, 2, 5, 2_000]), label="fills a chunk")
    with pytest.MonkeyPatch.context() as patch, two_stores(tmp_path) as (one, bulk):
        patch.setattr(importing, "BATCH", batch)
        patch.setattr(importing, "CHUNK", chunk)
        before = indexes(bulk)
        for numbers in imports:
            wanted = [fills[n] for n in numbers]
            new = sum(one.book_fill(fill).new for fill in wanted)
            assert bulk.book_fills(wanted) == new
            assert tables(bulk) == tables(one)
            self_made(data, (one, bulk), {fill.at.replace(second=0) for fill in fills})
        assert tables(bulk) == tables(one)
        assert indexes(bulk) == before


def self_made(data, stores, minutes):
    """Between imports the desk goes on: a split, shares that were adopted with a plan of their own.

    Not in the minute of a fill: one that comes late and opens the position in the adoption's place takes its id, and
    its row, with the plan, where that is there already.
    """
    what = data.draw(st.sampled_from(["nothing", "nothing", "split", "adopt"]), label="in between")
    when, n = data.draw(moments), next(folders)
    for store in stores:
        if what == "split":
            store.book_adjustment(make_adjustment("split", id=f"a{n}", symbol="AAPL", qty=2, at=when))
        elif what == "adopt" and when.replace(second=0) not in minutes:
            row = make_adjustment("adopt", id=f"a{n}", symbol="AAPL", qty=5, amount=500, at=when)
            store.book_adjustment(row, Opening(strategy="momentum", stop_price=D(90)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=st.lists(fill_facts, min_size=2, max_size=20), cut=st.integers(1, 19), batch=st.integers(1, 8))
def test_a_position_that_is_watched_between_two_imports_keeps_its_marks(tmp_path, facts, cut, batch):
    fills = [made(n, each) for n, each in enumerate(sorted(facts, key=lambda each: each[-1]))]
    with pytest.MonkeyPatch.context() as patch, two_stores(tmp_path) as (one, bulk):
        patch.setattr(importing, "BATCH", batch)
        patch.setattr(importing, "CHUNK", max(1, batch // 2))
        for part in (fills[:cut], fills[cut:]):
            bulk.book_fills(part)
            for fill in part:
                one.book_fill(fill)
            for store in (one, bulk):
                held = store.positions.open()
                store.marks.save([make_mark(position_id=each.id, high=150, low=0.5, last_price=100) for each in held])
                for each in held:
                    store.positions.set_plan(each.id, {"stop": 0.02}, each.avg_price / 2, None)
        late = {fill.at for fill in fills[:cut]} & {fill.at for fill in fills[cut:]}
        if not late:  # else a fill of the same instant may have come before: an old row that was there for a moment
            assert tables(bulk) == tables(one)


def day(symbols=3, trips=40, start=0):
    """Round trips one after the other, the symbols side by side."""
    found = []
    for n in range(trips):
        for k in range(symbols):
            for side, later in (("buy", 0), ("sell", 30)):
                when = at(start + n, later + k)
                found.append(
                    made(f"{when:%H%M%S}{k}{side}", (f"S{k}", side, "10", f"{100 + n % 7}.25", ("0.1", "USD"), when))
                )
    return found


def test_a_first_import_builds_its_indexes_at_the_end_and_has_them_all(store, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 50)
    monkeypatch.setattr(importing, "CHUNK", 20)
    before, seen = indexes(store), []
    assert store.book_fills(day(), lambda done, total, when: seen.append((done, total))) == 240
    assert indexes(store) == before
    assert seen == [(50, 240), (100, 240), (150, 240), (200, 240), (240, 240)]
    assert (len(store.trades.all()), store.positions.open()) == (120, [])
    assert store.cash_delta() == store.cash_delta(recount=True) == sum(trade.net for trade in store.trades.all())
    assert store.db.value("PRAGMA integrity_check") == "ok"


def test_what_cannot_be_a_fill_is_refused_before_anything_is_written(store, monkeypatch):
    monkeypatch.setattr(importing, "BATCH", 10)
    fills, before = day(), tables(store)
    for field, value in (("qty", D(0)), ("price", D(0)), ("price", D("1e300")), ("qty", D("-1"))):
        bad = msgspec.structs.replace(fills[-1], **{field: value})
        with pytest.raises(UsageError, match=bad.broker_fill_id):
            store.book_fills([*fills[:-1], bad])
    assert tables(store) == before


@pytest.mark.parametrize("first", [0, 30])
def test_interrupted_it_leaves_whole_batches_and_goes_on_where_it_stopped(store, tmp_path, monkeypatch, first):
    monkeypatch.setattr(importing, "BATCH", 50)
    fills = day()
    if first:  # a desk that has fills is written in bounded transactions, an untouched one in a single one
        store.book_fills(fills[:first])

    def stop(done, total, when):
        if done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.book_fills(fills, stop)
    there = store.fills.count()
    assert there == (first + 100 if first else 0)
    assert store.cash_delta() == store.cash_delta(recount=True)
    assert store.book_fills(fills) == 240 - there
    with two_stores(tmp_path) as (one, _):
        for fill in fills:
            one.book_fill(fill)
        assert tables(store) == tables(one)
    assert store.db.value("PRAGMA foreign_keys") == 1


def test_what_the_desk_books_between_two_batches_counts(store, tmp_path, monkeypatch):
    """Another process trades while a statement is imported: the batch after it starts from what it left."""
    monkeypatch.setattr(importing, "BATCH", 50)
    fills = day()
    mine = [made("mine", ("S1", "buy", "4", "100", ("0", "USD"), fills[140].at + timedelta(milliseconds=1)))]
    mine += [made("old", ("S2", "sell", "1", "100", ("0", "USD"), fills[4].at + timedelta(milliseconds=1)))]
    store.book_fills(fills[:20])
    other = open_store(store.path, synchronous="OFF")

    def meanwhile(done, total, when):
        if done >= 100 and not other.fills.known("xmine"):
            for fill in [*mine, fills[200]]:  # one of them is in the statement too
                other.book_fill(fill)

    try:
        assert store.book_fills(fills, meanwhile) == 219
    finally:
        other.close()
    with two_stores(tmp_path) as (one, _):
        for fill in [*fills, *mine]:
            one.book_fill(fill)
        assert tables(store) == tables(one)


def test_a_fill_of_one_of_our_orders_counts_in_it(store):
    order = make_order(qty=10, symbol="AAPL", side="sell", reason="target", purpose="exit")
    store.orders.add(order)
    ours = make_fill(order_id=order.id, side="sell", qty=10, price=102, at=at(20))
    store.book_fills([ours, make_fill(order_id=None, qty=10, at=at(5))])
    (trade,) = store.trades.all()
    assert (trade.exit_reason, trade.gross) == ("target", 20)
    assert (store.orders.get(order.id).filled_qty, store.orders.get(order.id).status) == (10, "filled")
