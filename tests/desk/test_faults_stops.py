"""Cancels that fail or come late, stops that are refused, stuck or outgrown, shares that others move."""

from datetime import timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake, alerts, buy, refusal, writes
from tests.desk.world import DAY, NO_COSTS, World, at, passes
from tradekit.desk.frozen import frozen
from tradekit.desk.halts import resume
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.operate import cancel
from tradekit.desk.reconcile import raise_findings, reconcile
from tradekit.desk.sell import sell
from tradekit.errors import BrokerError, Findings

THIN = NO_COSTS.replace("participation: 1.0", "participation: 0.0003")  # 30 shares a minute for us
FALLS = [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    return world


def stops(desk) -> list:
    return [order for order in desk.store.orders.live() if order.purpose == "protect"]


def held(desk, when="09:37"):
    """A desk that holds 99 AAA, protected."""
    buy(desk)
    passes(desk, "09:36", when)
    return desk.store.positions.open_for("AAA")


# cancels


def test_cancel_says_unknown_order_and_it_had_filled(world):
    """faults 4.2, "Cancel says unknown order": fetched by id, filled is booked."""
    with world.desk() as desk:
        fake = Fake(desk, settle_s=10.0)
        (order,) = buy(desk).orders
        desk.clock.set(at("09:37"))
        fake.cancels = [BrokerError("404 order not found")]
        desk.store.meta.set("account_id", desk.broker.account().account_id)
        found = cancel(desk, order.id)
        assert found.status == "filled"
        assert desk.store.positions.open_for("AAA").qty == D(99)


def test_cancel_says_unknown_order_and_it_is_gone(world):
    """... gone is closed, after two looks; no endless loop."""
    with world.desk() as desk:
        fake = Fake(desk, settle_s=10.0)
        (order,) = buy(desk).orders
        fake.venue.cancel(fake.venue.open_orders()[0].broker_order_id)
        fake.open_orders, fake.order = list, lambda cid: None
        fake.cancels = [BrokerError("404 order not found")]
        started = desk.clock.now()
        cancel(desk, order.id)
        assert desk.clock.now() - started <= timedelta(seconds=11)  # bounded
        desk.clock.sleep(11)
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "cancelled"
        asked = len(fake.asked)
        reconcile(desk)
        assert len(fake.asked) == asked


def test_a_fill_after_the_cancel_was_confirmed_is_booked_protected_and_found(world):
    """faults 4.2, "Fill after cancel confirmed"."""
    with world.desk() as desk:
        fake = Fake(desk)
        (order,) = buy(desk).orders
        twin = msgspec.structs.replace(fake.sent[0], client_order_id="late")
        assert cancel(desk, order.id).status == "cancelled"
        answer = fake.venue.submit(twin)
        desk.clock.set(at("09:37"))
        fills = [
            msgspec.structs.replace(fill, client_order_id=order.client_order_id, broker_order_id=order.broker_order_id)
            for fill in fake.venue.fills_since(at("09:30"))
        ]
        assert answer.symbol == "AAA" and fills
        fake.fills_since = lambda since: fills
        reconcile(desk)
        assert desk.store.positions.open_for("AAA").qty == D(99)
        assert [stop.qty for stop in stops(desk)] == [D(99)]
        assert len(alerts(desk, "late-fill")) == 1
        assert desk.store.orders.get(order.id).status == "cancelled"
        with pytest.raises(Findings, match="booked after it was cancelled"):
            raise_findings(desk)


def test_partial_fill_then_cancel_keeps_thirty_and_a_stop_over_thirty(tmp_path):
    """faults 4.2, "Partial fill then cancel"."""
    world = World(tmp_path / "d", THIN)
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        (order,) = buy(desk).orders
        assert order.qty == D(99)
        monitor_exits(desk)
        passes(desk, "09:36", "09:36")
        assert desk.store.positions.open_for("AAA").qty == D(30)
        cancel(desk, order.id)
        passes(desk, "09:37", "09:39")
        (first, *_) = desk.store.orders.for_decision(order.decision_id)
        kept = desk.store.positions.open_for("AAA").qty
        assert first.status == "cancelled" and kept == first.filled_qty < D(99)
        assert [stop.qty for stop in stops(desk)] == [kept]


def test_shares_held_by_our_own_order_are_freed_and_sold(world):
    """faults 4.2, "403 qty held by other order": a resting sell that our books had closed holds them."""
    with world.desk() as desk:
        fake = Fake(desk)
        position = held(desk)
        (stop,) = stops(desk)
        desk.store.orders.change(stop.id, status="cancelled")  # our books are wrong about it
        desk.clock.set(at("09:38"))
        sold = liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        passes(desk, "09:39", "09:41")
        assert sold or desk.store.trades.all()
        (trade,) = desk.store.trades.all()
        assert trade.qty == position.qty
        assert fake.venue.open_orders() == []


def test_held_shares_free_the_stop_at_the_venue_within_the_same_exit(world):
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        (stop,) = stops(desk)
        desk.clock.set(at("09:38"))
        reconcile(desk)
        desk.store.orders.change(stop.id, status="cancelled")
        fake.submits = [refusal("403 insufficient qty available: held_for_orders", "held")]
        order = sell(desk, desk.store.positions.open_for("AAA"), purpose="exit", reason="test", because="a test")
        assert order.status in ("open", "filled")
        assert fake.asked == [stop.broker_order_id]


def test_a_refused_sale_puts_the_stop_back(world):
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        desk.clock.set(at("09:38"))
        fake.submits = [refusal("trading is restricted")]
        liquidate(desk, LiquidateOptions(all_=True))
        assert len(stops(desk)) == 1
        assert len(alerts(desk, "exit-failed")) == 1


def test_fills_that_lag_behind_their_order_sell_nothing_twice(world):
    """The order says filled, its fills come later: the shares are neither sold again nor called sold by hand."""
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        hidden = fake.venue.fills_since
        fake.fills_since = lambda since: [f for f in hidden(since) if f.side == "buy" or desk.clock.now() > at("09:45")]
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=None)
        desk.clock.set(at("09:38"))
        liquidate(desk, LiquidateOptions(all_=True))
        passes(desk, "09:39", "09:44")
        assert desk.store.positions.open_for("AAA").qty == D(99)
        assert alerts(desk, "fills-missing")
        passes(desk, "09:46", "09:47")
        (trade,) = desk.store.trades.all()
        assert (trade.exit_reason, trade.qty) == ("liquidate", D(99))
        assert sum(fill.qty for fill in hidden(at("09:30")) if fill.side == "sell") == D(99)


# stops


def covered(desk) -> list:
    """(stops at the venue, their shares) after every call that the desk made."""
    return [order.qty - order.filled_qty for order in desk.broker.venue.open_orders() if order.side == "sell"]


def test_a_grown_position_gets_one_stop_over_all_of_it_and_never_two(tmp_path):
    world = World(tmp_path / "d", THIN + "entry: {cancel_after_s: 600}\n")
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        fake = Fake(desk)
        seen = []
        submit, cancelled = fake.submit, fake.cancel

        def watch(call):
            def called(*args):
                answer = call(*args)
                seen.append(sum(covered(desk), D(0)))
                return answer

            return called

        fake.submit, fake.cancel = watch(submit), watch(cancelled)
        buy(desk)
        passes(desk, "09:36", "09:41")
        position = desk.store.positions.open_for("AAA")
        assert position.qty > D(30)
        assert [stop.qty for stop in stops(desk)] == [position.qty]
        assert max(seen) <= position.qty
        assert [order.status for order in desk.store.orders.for_position(position.id)].count("open") == 1


def test_a_refused_stop_is_tried_three_times_and_then_stays_loud_until_it_rests(world):
    """faults 4.2, "Rejected at once / later": a rejected stop is an alert."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        monitor_exits(desk)
        fake.submits = [refusal("stop orders are suspended")] * 8
        passes(desk, "09:36", "09:37")
        assert alerts(desk, "unprotected") == []
        passes(desk, "09:38", "09:38")
        assert len(alerts(desk, "unprotected")) == 1
        passes(desk, "09:39", "09:44")
        assert len(alerts(desk, "unprotected")) == 2  # every five minutes
        assert len(fake.sent) < 10  # with longer and longer pauses
        assert desk.store.positions.open_for("AAA").protected_by is None
        fake.submits = []
        passes(desk, "09:45", "10:10")
        loud = len(alerts(desk, "unprotected"))
        assert len(stops(desk)) == 1
        passes(desk, "10:11", "10:30")
        assert len(alerts(desk, "unprotected")) == loud


@pytest.mark.parametrize("why", ["stop-through", ""])
def test_a_stop_refused_because_price_is_through_sells_in_the_same_pass(tmp_path, why):
    """faults 4.2, "Stop refused: price already through"."""
    world = World(tmp_path / "d")
    low = 97.0 if not why else 100.0
    world.add("AAA", [100] * 6 + [(100, 100, low, low)] * 30)
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk, stop=None, target=0.5, trail=0.02, trail_from="entry")
        monitor_exits(desk)
        fake.submits = [refusal("422 stop price must be below the market", why)] if why else []
        desk.clock.set(at("09:36") if why else at("09:37"))
        orders = monitor_exits(desk)
        if why:
            assert [(order.reason, order.type) for order in orders] == [("stop unplaceable", "market")]
            passes(desk, "09:37", "09:38")
            assert desk.store.trades.all()[0].exit_reason == "stop unplaceable"
        else:
            assert [order.reason for order in orders] in (["trailing-stop"], ["stop unplaceable"])


def test_a_triggered_stop_that_does_not_fill_is_sold_at_market(world):
    """Triggered for 15 s of trading and still there: cancelled, sold, said aloud."""
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        (stop,) = stops(desk)

        def triggered():
            return [
                msgspec.structs.replace(order, triggered_at=at("09:37:50")) if order.type == "stop" else order
                for order in fake.venue.open_orders()
            ]

        fake.open_orders = triggered
        assert passes(desk, "09:38", "09:38") == []  # the last trade is 10 s younger than the trigger
        ((when, order),) = passes(desk, "09:39", "09:39") or passes(desk, "09:40", "09:40")
        assert (order.type, order.reason) == ("market", "hard-stop")
        assert len(alerts(desk, "stop-stuck")) == 1
        assert fake.asked == [stop.broker_order_id]
        assert when in ("09:39", "09:40")
        passes(desk, "09:41", "09:42")
        assert desk.store.trades.all()[0].exit_reason == "hard-stop"


@pytest.mark.parametrize("mode,level", [("disaster", D(98)), ("exact", D(99)), ("none", None)])
@pytest.mark.parametrize("can", [True, False])
def test_protection_modes_on_venues_with_and_without_stops(tmp_path, mode, level, can):
    world = World(tmp_path / "d", NO_COSTS + f"exits: {{protect: {mode}}}\n")
    world.add("AAA", FALLS)
    with world.desk() as desk:
        Fake(desk, **({} if can else {"order_types": frozenset({"market", "limit"})}))
        held(desk)
        assert [stop.stop_price for stop in stops(desk)] == ([level] if can and level else [])
        passes(desk, "09:38", "09:45")
        assert desk.store.trades.all()[0].exit_reason == "hard-stop"  # by the venue or by the desk


# what others do to the account


def test_a_position_closed_by_hand_takes_its_stop_along(world):
    """faults 4.2, "Position closed by hand": closed external, the stop withdrawn, no re-entry today."""
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        (stop,) = stops(desk)
        fake.positions = list
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=fake.venue.account().cash)
        for _ in range(2):
            desk.clock.sleep(11)
            reconcile(desk)
        assert desk.store.trades.all()[0].exit_reason == "external"
        assert fake.asked == [stop.broker_order_id]
        assert "closed-today" in [veto.rule for veto in buy(desk, when="09:45").vetoes]


def test_a_position_grown_by_hand_keeps_its_own_size(world):
    """faults 4.2, "Position grown by hand": the extra shares are unmanaged and never sold."""
    with world.desk() as desk:
        Fake(desk)
        held(desk)
        desk.broker.venue.hold("AAA", D(50))
        passes(desk, "09:38", "09:39")
        assert desk.store.unmanaged() == {"AAA": D(50)}
        assert [stop.qty for stop in stops(desk)] == [D(99)]
        liquidate(desk, LiquidateOptions(all_=True))
        passes(desk, "09:40", "09:42")
        assert [(p.symbol, p.qty) for p in desk.broker.positions()] == [("AAA", D(50))]


def test_dust_is_marked_once_and_left_alone(world):
    with world.desk() as desk:
        fake = Fake(desk)
        held(desk)
        fake.profile["min_qty"] = D(200)
        desk.clock.set(at("09:38"))
        sent = len(fake.sent)
        for _ in range(5):
            assert liquidate(desk, LiquidateOptions(all_=True)) == []
            desk.clock.sleep(60)
        position = desk.store.positions.open_for("AAA")
        assert len(fake.sent) == sent
        assert desk.store.marks.get(position.id).note.startswith("dust")
        assert [event.kind for event in desk.store.events.all()].count("dust") == 1


def swing(desk, **plan):
    """99 AAA bought on the Friday, held into the next session."""
    buy(desk, intent="swing", stop=0.05, target=0.5, flat_before_close_s=None, **plan)
    passes(desk, "09:36", "09:37")
    return desk.store.positions.open_for("AAA")


def monday(text: str):
    """A New York time of the next session."""
    return at(text) + timedelta(days=3)


def test_a_split_that_price_and_quantity_tell_scales_everything_together(tmp_path):
    """faults 4.2, "Split 10:1": 99 at 100 become 990 at 10; no rule fires on the unscaled price."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("AAA", [10] * 390, day=DAY + timedelta(days=3))
    with world.desk() as desk:
        fake = Fake(desk)
        swing(desk)
        before = desk.store.positions.open_for("AAA")
        split = msgspec.structs.replace
        fake.positions = lambda: [split(p, qty=p.qty * 10, available=p.qty * 10) for p in fake.venue.positions()]
        desk.clock.set(monday("09:00"))
        monitor_exits(desk)
        assert list(frozen(desk)) == [("split", "AAA")]
        assert len(alerts(desk, "frozen")) == 1
        assert fake.venue.open_orders() == []  # a stop at 90 would sell the lot at the open
        desk.clock.set(monday("09:32"))
        assert monitor_exits(desk) == []
        desk.clock.sleep(60)
        monitor_exits(desk)
        position = desk.store.positions.open_for("AAA")
        assert (position.qty, position.avg_price) == (before.qty * 10, before.avg_price / 10)
        assert position.stop_price == D("9.5")
        assert frozen(desk) == {}
        assert desk.store.trades.all() == []
        assert [stop.stop_price for stop in stops(desk)] in ([D("9")], [])


def test_a_price_that_halves_overnight_freezes_the_price_rules_until_the_operator_says(tmp_path):
    world = World(tmp_path / "d", NO_COSTS + "exits: {protect: none}\n")
    world.add("AAA", [100] * 390)
    world.add("AAA", [50] * 390, day=DAY + timedelta(days=3))
    with world.desk() as desk:
        Fake(desk)
        swing(desk)
        desk.clock.set(monday("09:35"))
        assert monitor_exits(desk) == []
        assert list(frozen(desk)) == [("split", "AAA")]
        desk.clock.sleep(60)
        assert monitor_exits(desk) == []
        resume(desk)  # it fell: the stop is right
        desk.clock.sleep(60)
        assert [order.reason for order in monitor_exits(desk)] == ["hard-stop"]


def test_a_sale_of_unknown_fate_from_before_a_split_is_not_sent_again_with_its_old_quantity(tmp_path):
    """99 of 990 shares were sold again, the position was closed in the books and 891 shares were nobody's."""
    world = World(tmp_path / "d", NO_COSTS + "exits: {protect: none}\n")
    world.add("AAA", [100] * 390)
    world.add("AAA", [10] * 390, day=DAY + timedelta(days=3))
    with world.desk() as desk:
        fake = Fake(desk)
        swing(desk)
        desk.clock.set(at("15:59:55"))
        fake.submits = ["drop"]
        liquidate(desk, LiquidateOptions(all_=True))
        assert [order.status for order in desk.store.orders.live_for("AAA")] == ["unknown"]
        split = msgspec.structs.replace
        fake.positions = lambda: [split(p, qty=p.qty * 10, available=p.qty * 10) for p in fake.venue.positions()]
        desk.clock.set(monday("09:32"))
        sent = len(fake.sent)
        for _ in range(10):
            monitor_exits(desk)
            desk.clock.sleep(30)
        sold = [request.qty for request in fake.sent[sent:] if request.type != "stop"]
        assert sold[0] == D(990)  # the operator's wish stands, for all of it
        assert [e.data["qty"] for e in desk.store.events.all() if e.kind == "split"] == ["990"]


def test_shares_doubled_by_hand_overnight_are_no_split(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("AAA", [100] * 390, day=DAY + timedelta(days=3))
    with world.desk() as desk:
        Fake(desk)
        position = swing(desk)
        desk.broker.venue.hold("AAA", position.qty)
        desk.clock.set(monday("09:35"))
        monitor_exits(desk)
        assert frozen(desk) == {}
        assert desk.store.positions.open_for("AAA").qty == position.qty
        assert desk.store.unmanaged() == {"AAA": position.qty}


def test_a_frozen_split_can_still_be_liquidated(tmp_path):
    world = World(tmp_path / "d", NO_COSTS + "exits: {protect: none}\n")
    world.add("AAA", [100] * 390)
    world.add("AAA", [10] * 390, day=DAY + timedelta(days=3))
    with world.desk() as desk:
        position = swing(desk)
        desk.clock.set(monday("09:35"))
        monitor_exits(desk)
        assert frozen(desk)
        (order,) = liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        assert order.qty == position.qty


def test_a_second_pass_over_all_of_this_writes_nothing(world):
    with world.desk() as desk:
        Fake(desk)
        held(desk)
        reconcile(desk)
        before = writes(desk)
        assert reconcile(desk) == []
        assert writes(desk) == before
