"""What every broker adapter promises, whatever is behind it. A subclass gives `stage`: `(broker, move, bars)`.

Times are New York's on 13 February 2026; the account has 100,000 and 50 MSFT that are not the desk's.
"""

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal

import pytest

from tests.brokers.tape import PriceBar, at, bar, order
from tradekit.brokers.base import Broker, BrokerFill, BrokerOrder, BrokerPosition
from tradekit.errors import BrokerError, OrderRejected
from tradekit.model import FINAL_STATUSES, LIVE_STATUSES

D = Decimal
FOREIGN = {"MSFT": D(50)}
# 9:35 trades at 100, 9:36 falls to 98, 9:37 comes back to 101
BARS: list[PriceBar] = [
    bar("12 15:58", 400.0, symbol="MSFT"),
    bar("9:35", 100.0),
    bar("9:36", 100.0, high=100.5, low=98.0, close=99.0),
    bar("9:37", 101.0),
]
Stage = tuple[Broker, Callable[[str], None]]


class BrokerContract:
    """Collected through its subclasses; each has a fixture `stage`: the broker at 9:35 and a way to move its clock."""

    ids = "unique"  # what the venue does with client ids

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError

    def find(self, broker: Broker, taken: BrokerOrder) -> BrokerOrder | None:
        """The order again, the way this venue allows."""
        if self.ids == "none":
            return broker.order_by_broker_id(taken.broker_order_id)
        assert taken.client_order_id is not None
        return broker.order(taken.client_order_id)

    def test_it_says_what_it_can_do(self, stage):
        broker, _ = stage
        can = broker.capabilities
        assert (can.client_ids, can.live) == (self.ids, False)
        assert {"market", "limit", "stop"} <= can.order_types
        assert {"day", "gtc"} <= can.tifs
        assert can.settle_s >= 0

    def test_a_fresh_account(self, stage):
        broker, _ = stage
        account = broker.account()
        assert (account.cash, account.buying_power, account.currency) == (D(100000), D(100000), "USD")
        assert account.equity == D(120000)  # 50 MSFT at 400
        assert account.account_id
        [held] = broker.positions()
        assert held == BrokerPosition(symbol="MSFT", qty=D(50), available=D(50), avg_price=None)
        assert list(broker.open_orders()) == []
        assert list(broker.fills_since(at("9:30"))) == []
        assert list(broker.orders_since(at("9:30"))) == []

    def test_a_market_order_fills_and_is_told_once(self, stage):
        broker, move = stage
        taken = broker.submit(order("buy", 10))
        assert (taken.symbol, taken.side, taken.qty, taken.filled_qty) == ("AAPL", "buy", D(10), D(0))
        assert taken.status in LIVE_STATUSES
        assert [o.broker_order_id for o in broker.open_orders()] == [taken.broker_order_id]
        move("9:36")
        [fill] = broker.fills_since(at("9:30"))
        assert isinstance(fill, BrokerFill)
        assert (fill.symbol, fill.side, fill.qty, fill.price, fill.at) == (
            "AAPL",
            "buy",
            D(10),
            D("100.07"),
            at("9:35"),
        )
        assert fill.broker_order_id == taken.broker_order_id
        assert fill.client_order_id == (None if self.ids == "none" else "c1")
        assert fill.at.tzinfo is UTC
        done = self.find(broker, taken)
        assert done is not None
        assert (done.status, done.filled_qty, done.avg_price) == ("filled", D(10), D("100.07"))
        assert list(broker.open_orders()) == []
        held = {p.symbol: (p.qty, p.available) for p in broker.positions()}
        assert held == {"AAPL": (D(10), D(10)), "MSFT": (D(50), D(50))}
        assert broker.account().cash == D("98999.3")  # 100,000 - 10 x 100.07
        assert [f.broker_fill_id for f in broker.fills_since(at("9:30"))] == [fill.broker_fill_id]
        assert list(broker.fills_since(at("9:40"))) == []

    def test_a_resting_order_is_cancelled_and_ends(self, stage):
        broker, move = stage
        taken = broker.submit(order("buy", 10, type="limit", limit_price="90"))
        assert (taken.limit_price, taken.type) == (D(90), "limit")
        broker.cancel(taken.broker_order_id)
        move("9:36")
        gone = self.find(broker, taken)
        assert gone is not None
        assert (gone.status, gone.filled_qty) == ("cancelled", D(0))
        assert list(broker.open_orders()) == []
        assert [o.status for o in broker.orders_since(at("9:30"))] == ["cancelled"]

    def test_cancelling_what_is_over_changes_nothing(self, stage):
        broker, move = stage
        taken = broker.submit(order("buy", 10))
        move("9:36")
        broker.cancel(taken.broker_order_id)
        again = self.find(broker, taken)
        assert again is not None and again.status == "filled"

    def test_cancelling_what_never_was_is_an_error(self, stage):
        broker, _ = stage
        with pytest.raises(BrokerError):
            broker.cancel("P12345")

    def test_an_unknown_order_is_none(self, stage):
        broker, _ = stage
        assert broker.order_by_broker_id("P12345") is None
        if self.ids == "none":
            with pytest.raises(BrokerError):  # it cannot know: that is no "absent"
                broker.order("c1")
        else:
            assert broker.order("c1") is None

    def test_the_same_id_again_while_it_works(self, stage):
        broker, _ = stage
        first = broker.submit(order("buy", 10, type="limit", limit_price="90"))
        second = broker.submit(order("buy", 10, type="limit", limit_price="90"))
        assert (second.broker_order_id == first.broker_order_id) is (self.ids != "none")
        assert len(broker.open_orders()) == (2 if self.ids == "none" else 1)

    def test_the_same_id_again_after_its_end(self, stage):
        broker, move = stage
        first = broker.submit(order("buy", 10))
        move("9:36")
        second = broker.submit(order("buy", 10))
        assert (second.broker_order_id == first.broker_order_id) is (self.ids == "unique")
        if self.ids == "open-only":
            found = broker.order("c1")
            assert found is not None and found.broker_order_id == second.broker_order_id  # the newest

    @pytest.mark.parametrize("asked", [
        order("buy", 100_000),  # more than the money
        order("sell", 1),  # none held
        order("buy", 1, symbol="NOPE"),
        order("buy", 1, type="limit", limit_price="100.005"),  # not on the tick
    ])  # fmt: skip
    def test_a_refused_order_is_rejected_and_leaves_nothing(self, stage, asked):
        broker, move = stage
        with pytest.raises(OrderRejected):
            broker.submit(asked)
        move("9:36")
        assert list(broker.open_orders()) == []
        assert [o.status for o in broker.orders_since(at("9:30")) if o.status not in FINAL_STATUSES] == []
        assert list(broker.fills_since(at("9:30"))) == []
        assert broker.account().cash == D(100000)

    def test_a_stop_rests_holds_its_shares_and_triggers(self, stage):
        broker, move = stage
        broker.submit(order("buy", 10, id="b"))
        move("9:36")
        stop = broker.submit(order("sell", 10, type="stop", stop_price="99", tif="gtc", id="s"))
        assert stop.stop_price == D(99)
        assert {p.symbol: p.available for p in broker.positions()}["AAPL"] == D(0)
        with pytest.raises(OrderRejected):
            broker.submit(order("sell", 10, id="s2"))
        move("9:37")
        done = self.find(broker, stop)
        assert done is not None
        assert (done.status, done.triggered_at is not None) == ("filled", True)
        assert [p.symbol for p in broker.positions()] == ["MSFT"]

    def test_deposits_and_foreign_shares_are_flows(self, stage):
        broker, _ = stage
        flows = broker.cash_flows_since(at("11 0:00"))
        assert [(flow.kind, flow.symbol, flow.qty, flow.amount) for flow in flows] == [
            ("deposit", None, None, D(100000)),
            ("hold", "MSFT", D(50), None),
        ]
        assert len({flow.ref for flow in flows}) == 2

    def test_a_guard_is_taken_and_withdrawn(self, stage):
        broker, _ = stage
        broker.guard({"AAPL": D("99.50")})
        broker.guard({"AAPL": None})

    def test_numbers_are_decimals(self, stage):
        broker, move = stage
        broker.submit(order("buy", 3, type="limit", limit_price="100.30"))
        move("9:36")
        [fill], [found] = broker.fills_since(at("9:30")), broker.orders_since(at("9:30"))
        values = [fill.qty, fill.price, fill.fee, found.qty, found.limit_price, found.filled_qty, found.avg_price]
        assert all(isinstance(value, Decimal) for value in values)
