"""desk.db and paper.db after a small day: they foot, and each tampering is named."""

import sqlite3
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.brokers.tape import DAY, at, bar, order, venue
from tests.make import make_adjustment, make_fill, make_order
from tradekit.errors import StoreError
from tradekit.reports import footing
from tradekit.reports.footing import foot, foot_day
from tradekit.store import open_store

D = Decimal


@pytest.fixture(params=[5, 0])
def day(tmp_path, request):
    """100 AAPL bought in two parts and sold again, 10 more still held, and 5 or none that are not the desk's."""
    bars = [bar("9:35", 100.0, volume=600), bar("9:36", 100.0), bar("9:37", 102.0), bar("9:38", 101.0)]
    broker, clock = venue(tmp_path, bars, holdings={"AAPL": D(request.param)} if request.param else {})
    store = open_store(tmp_path / "desk.db", create=True, synchronous="OFF")
    for when, side, qty in (("9:35", "buy", 100), ("9:37", "sell", 100), ("9:38", "buy", 10)):
        clock.set(at(when))
        book(store, broker)
        request = order(side, qty, id=f"c-{when}")
        store.orders.add(
            make_order(
                id=f"o-{when}", client_order_id=request.client_order_id, side=side, qty=qty, type="market",
                broker_order_id=broker.submit(request).broker_order_id, created_at=at(when), limit_price=None,
            )
        )  # fmt: skip
    clock.set(at("9:40"))
    book(store, broker)
    for flow in broker.cash_flows_since(at("11 0:00")):
        if flow.amount is not None:
            store.book_adjustment(make_adjustment(flow.kind, ref=flow.ref, amount=flow.amount))
    store.close()
    broker.close()
    return tmp_path


def book(store, broker):
    for fill in broker.fills_since(at("11 0:00")):
        ours = store.orders.by_client_id(fill.client_order_id)
        store.book_fill(
            make_fill(
                broker_fill_id=fill.broker_fill_id, order_id=ours.id, at=fill.at, symbol=fill.symbol, side=fill.side,
                qty=fill.qty, price=fill.price, fee=fill.fee,
            )
        )  # fmt: skip


def found(folder):
    """The checks that say something; the day's quick look says the same."""
    quick = foot_day(folder / "desk.db", folder / "paper.db", DAY)
    assert quick == foot(folder / "desk.db", folder / "paper.db")
    return sorted({finding.check for finding in foot(folder / "desk.db", folder / "paper.db")})


def tamper(path, sql):
    db = sqlite3.connect(path)
    db.execute("PRAGMA foreign_keys = OFF")
    assert db.execute(sql).rowcount > 0
    db.commit()
    db.close()


def test_an_honest_day_foots(day):
    assert foot(day / "desk.db", day / "paper.db") == []
    assert foot_day(day / "desk.db", day / "paper.db", DAY) == []


@pytest.mark.parametrize("day", [0], indirect=True)
def test_an_honest_day_needs_no_second_look(day, monkeypatch):
    """report daily on five years of fills compares one day of them."""
    monkeypatch.setattr(footing, "foot", lambda *paths: pytest.fail("all of it was compared"))
    assert foot_day(day / "desk.db", day / "paper.db", DAY) == []
    assert foot_day(day / "desk.db", day / "paper.db", DAY - timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("file", "sql", "checks"),
    [
        ("desk.db", "UPDATE fills SET price = price + 0.01 WHERE side = 'sell'", {"fill-differs", "cash", "pnl"}),
        ("desk.db", "UPDATE fills SET fee = fee + 0.01 WHERE side = 'sell'", {"fill-differs", "fees", "order-fees"}),
        ("desk.db", "DELETE FROM fills WHERE broker_fill_id = 'P1-2'", {"fill-unbooked", "order-filled", "managed"}),
        ("paper.db", "DELETE FROM fills WHERE id = 'P1-2'", {"fill-missing", "paper-ledger", "holdings"}),
        ("desk.db", "UPDATE trades SET net = net + 1", {"trade-net"}),
        ("desk.db", "UPDATE trades SET fees = fees + 1, net = net - 1", {"trade-net", "trade-fees"}),
        ("desk.db", "UPDATE positions SET qty = qty + 10 WHERE closed_at IS NULL", {"managed"}),
        ("desk.db", "UPDATE orders SET client_order_id = 'x' WHERE id = 'o-9:38'", {"unknown-order", "order-missing"}),
        ("desk.db", "UPDATE adjustments SET amount = amount + 1", {"cash-flow", "cash"}),
        ("paper.db", "UPDATE meta SET value = value + 1 WHERE key = 'cash'", {"paper-cash", "cash"}),
        ("paper.db", "UPDATE holdings SET qty = qty - 8", {"holdings", "managed"}),
        ("paper.db", "UPDATE orders SET filled_qty = 99 WHERE id = 'P1'", {"order-filled"}),
    ],
)
def test_each_tampering_is_named(day, file, sql, checks):
    tamper(day / file, sql)
    assert checks <= set(found(day))


def test_the_numbers_of_the_day(day):
    """100 at 100.07, 100 at 101.9286 -> 101.92, fee 0.02, 10 at 101 + 0.0202 + 0.0505 -> 101.08, by hand."""
    db = sqlite3.connect(day / "paper.db")
    (cash,) = db.execute("SELECT value FROM meta WHERE key = 'cash'").fetchone()
    assert D(cash) == 100000 - 100 * D("100.07") + 100 * D("101.92") - D("0.02") - 10 * D("101.08")
    db.close()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StoreError, match="no such file"):
        foot(tmp_path / "desk.db", tmp_path / "paper.db")


def test_a_foreign_file_is_named(tmp_path):
    for name in ("desk.db", "paper.db"):
        (tmp_path / name).write_text("these are no books, only words " * 50)
    with pytest.raises(StoreError, match="not a database"):
        foot(tmp_path / "desk.db", tmp_path / "paper.db")
