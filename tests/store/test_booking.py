import time

import pytest

from tests.make import SESSION, D, at, make_adjustment, make_decision, make_fill, make_mark, make_order
from tradekit.errors import UsageError
from tradekit.store import Opening

ENTRY = Opening(position_id="AAPL-P", strategy="momentum", intent="day", plan={"stop": 0.01}, because="score 14")


def enter(store, *, qty=10, price=100, minute=8, fee="0", opening=ENTRY):
    order = make_order(qty=qty, symbol="AAPL", position_id="AAPL-P")
    store.orders.add(order)
    return store.book_fill(make_fill(order_id=order.id, qty=qty, price=price, at=at(minute), fee=fee), opening)


def leave(store, *, qty=10, price=102, minute=20, purpose="exit", reason="target", fee="0"):
    order = make_order(side="sell", qty=qty, purpose=purpose, reason=reason, position_id="AAPL-P")
    store.orders.add(order)
    fill = make_fill(order_id=order.id, side="sell", qty=qty, price=price, at=at(minute), fee=fee)
    return store.book_fill(fill, None)


def test_a_fill_opens_a_position_and_a_fill_closes_it(store):
    booked = enter(store, fee="0.5")
    assert (booked.new, booked.trade, booked.amended) == (True, None, False)
    assert booked.position == store.positions.get("AAPL-P") == store.positions.open_for("AAPL")
    assert (booked.position.strategy, booked.position.intent, booked.position.plan) == (
        "momentum",
        "day",
        {"stop": 0.01},
    )
    assert store.owned() == {"AAPL": D(10)}
    booked = leave(store, fee="0.25")
    assert booked.position is None
    assert booked.trade == store.trades.get("AAPL-P") == store.trades.closed_on(SESSION)[0]
    assert (booked.trade.gross, booked.trade.fees, booked.trade.net) == (20, D("0.75"), D("19.25"))
    assert (booked.trade.because, booked.trade.planned_risk) == ("score 14", 10)  # the plan's 1 % of 100 x 10
    assert store.positions.open() == []
    assert store.positions.get("AAPL-P").qty == 0
    assert store.owned() == {}
    assert store.cash_delta() == D("19.25")


def test_a_fill_is_booked_once(store):
    fill = make_fill()
    assert store.book_fill(fill, ENTRY).new
    again = store.book_fill(fill, ENTRY)
    assert (again.new, again.position.qty) == (False, 10)
    assert store.cash_delta() == -1000
    assert store.fills.known(fill.broker_fill_id)


@pytest.mark.parametrize(
    ("purpose", "reason", "said"),
    [
        ("exit", "target", "target"),
        ("liquidate", "end-of-day", "end-of-day"),
        ("protect", "protect", "hard-stop"),
        ("protect", "trailing-stop", "trailing-stop"),
    ],
)
def test_the_reason_is_that_of_the_order(store, purpose, reason, said):
    enter(store)
    assert leave(store, purpose=purpose, reason=reason).trade.exit_reason == said


def test_the_first_stop_is_the_one_that_risk_counts_from(store):
    enter(store)
    store.positions.set_plan("AAPL-P", {"stop": 0.02}, D(98), D(105))
    store.positions.set_plan("AAPL-P", {"stop": 0.001}, D("99.9"), None)  # the operator tightened it
    assert store.positions.get("AAPL-P").stop_price == D("99.9")
    trade = leave(store).trade
    assert (trade.planned_risk, trade.r_multiple) == (20, 1.0)


def test_best_and_worst_come_from_the_marks(store):
    enter(store)
    assert leave(store).trade.mfe is None  # nobody watched
    store.book_fill(make_fill(at=at(30)), Opening(position_id="AAPL-Q"))
    store.marks.save([make_mark(position_id="AAPL-Q", high=103, low=99)])
    order = make_order(side="sell", position_id="AAPL-Q")
    store.orders.add(order)
    trade = store.book_fill(make_fill(order_id=order.id, side="sell", price=104, at=at(40)), None).trade
    assert (trade.mfe, trade.mae) == (0.04, -0.01)


def test_a_late_fill_amends_the_trade(store):
    enter(store, qty=10)
    leave(store, qty=6, minute=20, price=102)
    before = leave(store, qty=4, minute=21, price=103)
    assert (before.trade.gross, before.amended) == (24, False)
    late = make_fill(side="buy", qty=2, price=101, at=at(9))
    booked = store.book_fill(late, None)  # the entry had bought 12
    assert booked.amended
    assert booked.position.qty == 2
    assert store.trades.all() == []
    booked = leave(store, qty=2, minute=25, price=100)
    # in 1000 + 202, out 612 + 412 + 200
    assert (booked.trade.qty, booked.trade.gross) == (12, 22)


def test_a_late_part_of_a_closed_trade_changes_only_that_trade(store):
    enter(store, qty=10, minute=1)
    leave(store, qty=10, minute=2)
    store.book_fill(make_fill(at=at(30)), Opening(position_id="AAPL-Q"))
    store.marks.save([make_mark(position_id="AAPL-Q")])
    store.book_fill(make_fill(side="sell", qty=3, price=100, at=at(1, 30)), None)  # then the last sell went 3 short
    ids = [trade.id for trade in store.trades.all()]
    assert ids[0] == "AAPL-P"
    assert store.trades.get("AAPL-P").exit_price == D("101.4")  # 3 at 100, 7 at 102
    assert store.owned() == {"AAPL": D(7)}  # 3 short, covered by the next buy
    assert store.cash_delta() == store.cash_delta(recount=True)


def test_a_second_position_of_a_symbol_takes_its_own_name(store):
    enter(store, minute=1)
    leave(store, minute=2)
    store.book_fill(make_fill(at=at(3)), ENTRY)
    assert [p.id for p in store.positions.open()] == ["AAPL-P-2"]


def test_a_split_moves_levels_and_marks_with_it(store):
    enter(store)
    plan = {"stop": 0.01, "stop_price": 99.0, "target_price": None}
    store.positions.set_plan("AAPL-P", plan, D(99), D(104))
    store.marks.save([make_mark(position_id="AAPL-P", high=102, low=98, last_price=100, stop_price=99)])
    split = make_adjustment("split", symbol="AAPL", qty=4, at=at(60))
    assert store.book_adjustment(split)
    assert not store.book_adjustment(split)
    p, mark = store.positions.get("AAPL-P"), store.marks.get("AAPL-P")
    assert (p.qty, p.avg_price, p.stop_price, p.target_price) == (40, 25, D("24.75"), 26)
    assert (p.plan["stop_price"], p.plan["stop"]) == (24.75, 0.01)
    assert (mark.high, mark.low, mark.last_price, mark.stop_price) == (D("25.5"), D("24.5"), 25, D("24.75"))
    assert p.unrealized == 0
    trade = leave(store, qty=40, price=26, minute=70).trade
    assert (trade.gross, trade.planned_risk, trade.r_multiple) == (40, 10, 4.0)


def test_adopt_and_release(store):
    with pytest.raises(UsageError, match="adopt needs"):
        store.book_adjustment(make_adjustment("adopt", symbol="AAPL", qty=10))
    store.book_adjustment(make_adjustment("adopt", symbol="AAPL", qty=10, amount=950), ENTRY)
    assert store.positions.open_for("AAPL").avg_price == 95
    assert store.cash_delta() == 0  # no money moved
    store.book_adjustment(make_adjustment("release", symbol="AAPL", qty=10, at=at(50)))
    assert store.trades.get("AAPL-P").exit_reason == "release"
    assert store.owned() == {}


def test_money_that_comes_and_goes(store):
    for kind, amount in [("deposit", 1000), ("withdrawal", 50), ("withdrawal", -50), ("dividend", 3), ("fee", 1)]:
        store.book_adjustment(make_adjustment(kind, amount=amount))
    store.book_adjustment(make_adjustment("deposit", symbol="MSFT", qty=5))  # foreign shares
    assert store.cash_delta() == 902
    assert store.cash_delta(recount=True) == 902
    assert store.owned() == {}


def test_unrealized_uses_the_last_price_that_was_seen(store):
    enter(store)
    assert store.positions.open()[0].unrealized is None
    store.marks.save([make_mark(position_id="AAPL-P", last_price="101.5", target_hit=True)])
    p = store.positions.open()[0]
    assert (p.unrealized, p.target_hit, p.last_price) == (15, True, D("101.5"))


def test_books_as_they_were(store):
    enter(store, qty=10, minute=8)
    leave(store, qty=4, minute=20)
    leave(store, qty=6, minute=30)
    assert store.positions_at(at(7)) == []
    assert [(p.id, p.qty) for p in store.positions_at(at(8))] == [("AAPL-P", 10)]
    assert [p.qty for p in store.positions_at(at(25))] == [6]
    assert store.positions_at(at(30)) == []


def test_a_statement_is_booked_at_once(store):
    rows = [make_fill(side="buy" if n % 2 == 0 else "sell", at=at(n), symbol=f"S{n % 4 // 2}") for n in range(8)]
    assert store.book_fills(rows) == 8
    assert store.book_fills(rows) == 0
    assert len(store.trades.all()) == 4
    assert store.cash_delta() == store.cash_delta(recount=True) == 0


def test_operators_words_on_positions(store):
    enter(store)
    store.positions.set_protected("AAPL-P", "o-1")
    store.positions.set_master("AAPL-P", True)
    leave(store, qty=4, minute=12)  # a refold leaves them alone
    p = store.positions.get("AAPL-P")
    assert (p.protected_by, p.master, p.qty) == ("o-1", True, 6)
    with pytest.raises(UsageError, match="there is no position X"):
        store.positions.set_protected("X", None)


def test_a_closing_decision(store):
    enter(store)
    store.decisions.add(make_decision(action="CLOSE", position_id="AAPL-P"))
    assert store.decisions.asked_to_close() == {"AAPL-P"}
    store.decisions.close_used("MSFT-P")
    assert store.decisions.asked_to_close() == {"AAPL-P"}
    store.decisions.close_used("AAPL-P")
    assert (store.decisions.asked_to_close(), store.decisions.pending()) == (set(), [])


def test_a_booking_is_quick(store):
    fills = [make_fill(symbol=f"S{n % 20}", side="buy" if n % 40 < 20 else "sell", at=at(n)) for n in range(400)]
    begun = time.process_time()
    with store.transaction():
        for fill in fills:
            store.book_fill(fill, None)
    assert (time.process_time() - begun) / len(fills) < 0.001
