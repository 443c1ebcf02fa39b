"""What the venue does not tell about one order holds up no other order, no other stop, no other sale."""

from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake
from tests.desk.world import World, at, decide, passes
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.reconcile import reconcile
from tradekit.errors import BrokerError


@pytest.fixture
def desk(tmp_path):
    world = World(tmp_path / "d")
    for symbol in ("AAA", "BBB", "CCC"):
        world.add(symbol, [100] * 390)
    with world.desk() as desk:
        yield desk


class Deaf(Fake):
    """A venue that answers 500 to every question about one order, for ever."""

    deaf = None

    def order(self, client_order_id):
        if client_order_id == self.deaf:
            raise BrokerError("500 to GET order")
        return super().order(client_order_id)

    def open_orders(self):
        return [order for order in super().open_orders() if order.client_order_id != self.deaf]


def both(desk, *symbols):
    desk.clock.set(at("09:35"))
    for symbol in symbols:
        decide(desk, symbol, 100.0, stop=0.02, target=0.5)
    enter(desk, EnterOptions())
    passes(desk, "09:36", "09:37")


def stop_of(desk, symbol):
    return next(order for order in desk.store.orders.live_for(symbol) if order.purpose == "protect")


def test_the_others_are_settled_and_the_command_says_5(desk):
    """The first order's look-up fails at every pass; another symbol's sale, which never arrived, is sent again."""
    fake = Deaf(desk, settle_s=0.0)
    both(desk, "AAA", "BBB")
    fake.deaf = stop_of(desk, "AAA").client_order_id
    fake.submits = ["drop"]
    with pytest.raises(BrokerError):
        liquidate(desk, LiquidateOptions(symbols=("BBB",)))
    assert [o.status for o in desk.store.orders.live_for("BBB")] == ["unknown"]
    for minute in (39, 40, 41, 42, 43):
        desk.clock.set(at(f"09:{minute}"))
        with pytest.raises(BrokerError, match="500"):
            monitor_exits(desk)
    assert [position.symbol for position in desk.store.positions.open()] == ["AAA"]
    assert desk.store.orders.live_for("BBB") == []


def test_an_entry_that_is_stale_is_cancelled_all_the_same(desk):
    fake = Deaf(desk, settle_s=0.0)
    both(desk, "AAA")
    fake.deaf = stop_of(desk, "AAA").client_order_id
    fake.open_orders, seen = lambda: Fake.open_orders(fake), fake.open_orders
    desk.clock.set(at("09:40"))
    decide(desk, "CCC", 100.0, stop=0.02, target=0.5)
    fake.venue.submit, submit = lambda request: submit(_never(request)), fake.venue.submit
    enter(desk, EnterOptions())
    fake.open_orders, fake.venue.submit = seen, submit
    assert [o.status for o in desk.store.orders.live_for("CCC")] == ["open"]
    for minute in (42, 43, 44):
        desk.clock.set(at(f"09:{minute}"))
        with pytest.raises(BrokerError, match="500"):
            monitor_exits(desk)
    assert [(o.status, o.filled_qty) for o in desk.store.orders.all() if o.symbol == "CCC"] == [("cancelled", D(0))]


def _never(request):
    return msgspec.structs.replace(request, limit_price=D("50"))


def test_reconcile_protects_the_others_before_it_fails(desk):
    fake = Deaf(desk, settle_s=0.0)
    both(desk, "AAA", "BBB")
    fake.deaf = stop_of(desk, "AAA").client_order_id
    fake.venue.cancel(stop_of(desk, "BBB").broker_order_id)  # by the venue itself
    for minute in (38, 39, 40):
        desk.clock.set(at(f"09:{minute}"))
        with pytest.raises(BrokerError, match="500"):
            reconcile(desk)
    assert fake.venue.order(stop_of(desk, "BBB").client_order_id).status == "open"


def test_a_stop_that_cannot_be_freed_stops_no_other_symbol_s_sale(desk, monkeypatch):
    """A triggered, stuck stop whose cancel fails ended the pass before the other positions were looked at."""
    from tradekit.desk import triggered

    fake = Fake(desk, settle_s=0.0)
    both(desk, "AAA", "BBB")
    row = stop_of(desk, "AAA")
    monkeypatch.setattr(triggered, "_stuck", lambda desk, answer: True)
    stuck = msgspec.structs.replace(fake.venue.order(row.client_order_id), triggered_at=at("09:36"))
    fake.open_orders = lambda: [stuck]

    def positions():
        raise BrokerError("503 to GET positions")

    desk.clock.set(at("09:38"))
    decide_close(desk, "BBB")
    held = fake.venue.positions
    calls = []
    fake.positions = lambda: (calls.append(1), held())[1] if len(calls) != 1 else (calls.append(1), positions())[1]
    monitor_exits(desk)
    assert [o.purpose for o in desk.store.orders.all() if o.symbol == "BBB"][-1] == "exit"


@pytest.mark.parametrize("step", [monitor_exits, reconcile])
def test_a_stuck_stop_is_sold_although_another_order_s_look_up_fails(desk, monkeypatch, step):
    """The pass had the venue's working orders and forgot them with the first look-up that failed."""
    from tradekit.desk import triggered

    fake = Deaf(desk, settle_s=0.0)
    both(desk, "AAA", "BBB")
    fake.deaf, row = stop_of(desk, "AAA").client_order_id, stop_of(desk, "BBB")
    monkeypatch.setattr(triggered, "_stuck", lambda desk, answer: True)
    stuck = msgspec.structs.replace(fake.venue.order(row.client_order_id), triggered_at=at("09:36"))
    fake.open_orders = lambda: [stuck]
    desk.clock.set(at("09:38"))
    with pytest.raises(BrokerError, match="500 to GET order"):
        step(desk)
    assert row.id in [event.ref for event in desk.store.events.all() if event.kind == "alert.stop-stuck"]


def decide_close(desk, symbol):
    """The operator's CLOSE of a position."""
    position = desk.store.positions.open_for(symbol)
    row = decide(desk, f"{symbol}X", 100.0)
    desk.store.decisions.set_status(row.id, "used")
    desk.store.decisions.add(
        msgspec.structs.replace(row, id=f"c-{symbol}", symbol=symbol, action="CLOSE", position_id=position.id)
    )
