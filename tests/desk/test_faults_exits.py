"""Exits when much is broken: one symbol, the data, the venue's answers; before the open, in a halt, after a crash."""

from datetime import timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake, alerts, buy, refusal
from tests.desk.world import World, at, decide, passes
from tradekit.desk.desk import print_stderr
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.halts import HaltOptions, halt
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import keep_monitoring, monitor_exits
from tradekit.desk.sell import refusals
from tradekit.errors import BrokerError, DataError, OrderRejected, UsageError

FALLS = [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    return world


@pytest.fixture
def falling(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", FALLS)
    world.add("BBB", [price / 2 if isinstance(price, int) else tuple(x / 2 for x in price) for price in FALLS])
    return world


def two(desk, until="09:37", **plan):
    """AAA and BBB, held and protected."""
    desk.clock.set(at("09:35"))
    plan = plan or {"stop": 0.01, "target": 0.026, "after_target": "arm-trail", "trail": 0.015}
    decide(desk, "AAA", 100.0, **plan)
    decide(desk, "BBB", 50.0, **plan)
    enter(desk, EnterOptions())
    passes(desk, "09:36", until)
    assert {p.symbol for p in desk.store.positions.open()} == {"AAA", "BBB"}


class BrokenMarket:
    """Market data that fails: for one symbol, or for all."""

    def __init__(self, desk, symbol=None, only=("quote", "bars", "day_bars", "daily", "last_close_before")):
        self._market, self._symbol, self._only = desk.market, symbol, only
        desk.__dict__["market"] = self

    def __getattr__(self, name):
        found = getattr(self._market, name)
        if name not in self._only:
            return found

        def asked(symbol, *rest, **more):
            if self._symbol in (None, symbol):
                raise DataError(f"{symbol}: the data vendor does not answer")
            return found(symbol, *rest, **more)

        return asked


# one symbol, or everything else


def test_no_data_for_one_symbol_stops_no_other(falling):
    with falling.desk() as desk:
        two(desk)
        BrokenMarket(desk, "AAA")
        out = passes(desk, "09:38", "09:44")
        assert [order.symbol for _, order in out] == ["BBB"]
        assert len(alerts(desk, "exits-blind")) == 2  # at first sight and five minutes later
        assert desk.store.positions.open_for("AAA").qty == D(99)


def test_a_venue_error_on_one_order_stops_no_other(falling):
    with falling.desk() as desk:
        fake = Fake(desk)
        two(desk)
        cancels = fake.cancel

        def cancel(broker_order_id):
            order = fake.venue.order_by_broker_id(broker_order_id)
            if order.symbol == "AAA":
                raise RuntimeError("the adapter has a bug")
            return cancels(broker_order_id)

        fake.cancel = cancel
        out = passes(desk, "09:38", "09:42")
        assert [order.symbol for _, order in out] == ["BBB"]
        assert [event.symbol for event in alerts(desk, "exits-failing")] == ["AAA"]
        assert desk.counts["failed"] >= 1
        del fake.cancel
        assert [order.symbol for _, order in passes(desk, "09:43", "09:44")] == ["AAA"]


@pytest.mark.parametrize("how", ["kill-switch", "time-stop", "end-of-day", "liquidate", "decision"])
def test_without_any_data_exits_still_go_out(tmp_path, how):
    """design 6: no fresh price refuses entries, exits go on."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        two(desk, stop=0.01, target=0.5, **({"max_hold_s": 600} if how == "time-stop" else {}))
        BrokenMarket(desk)
        desk.clock.set(at("15:50") if how == "end-of-day" else at("10:00"))
        if how == "kill-switch":
            halt(desk, HaltOptions("out", flatten=True))
        if how == "decision":
            close_both(desk)
        sold = liquidate(desk, LiquidateOptions(all_=True)) if how == "liquidate" else monitor_exits(desk)
        assert sorted(order.symbol for order in sold) == ["AAA", "BBB"]
        assert {order.reason for order in sold} == {how}
        assert {order.type for order in sold} == {"market"}
        assert len(alerts(desk, "quotes-failing")) == 1


def close_both(desk):
    for position in desk.store.positions.open():
        base = decide(desk, position.symbol, 1.0)
        row = msgspec.structs.replace(base, id=f"d-{position.id}-x", position_id=position.id, action="CLOSE")
        desk.store.decisions.set_status(base.id, "used")
        desk.store.decisions.add(row)


def test_reports_that_break_and_a_full_log_disk_delay_no_exit(falling, monkeypatch):
    with falling.desk() as desk:
        two(desk)

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("builtins.print", full)
        desk.say = print_stderr
        monkeypatch.setattr("tradekit.desk.trouble.raise_automatic_halts", full)
        out = passes(desk, "09:38", "09:44")
        assert sorted(order.symbol for _, order in out) == ["AAA", "BBB"]
        assert alerts(desk, "account-unknown")


@pytest.mark.parametrize("broken", ["cash_flows_since", "open_orders", "fills_since", "account"])
def test_a_venue_that_answers_in_part_still_gets_the_exits(world, broken):
    """Catching up fails: what it holds and what we own still bound every sell; the error is raised after them."""
    with world.desk() as desk:
        fake = Fake(desk)
        two(desk)
        halt(desk, HaltOptions("out", flatten=True))

        def down(*_):
            raise BrokerError("503")

        setattr(fake, broken, down)
        desk.clock.set(at("09:38"))
        with pytest.raises(BrokerError):
            monitor_exits(desk)
        sells = [order for order in desk.store.orders.all() if order.purpose == "exit"]
        assert sorted(order.symbol for order in sells) == ["AAA", "BBB"]
        assert {order.status for order in sells} <= {"open", "filled"}


def test_the_loop_survives_passes_that_fail(world):
    with world.desk() as desk:
        fake = Fake(desk)
        two(desk)
        fake.fills_since = lambda since: (_ for _ in ()).throw(BrokerError("503"))
        loop = keep_monitoring(desk, 10)
        halt(desk, HaltOptions("out", flatten=True))
        fake.fills_since = iter_then(fake, 3)
        orders = next(loop)
        assert {order.reason for order in desk.store.orders.all() if order.purpose == "exit"} == {"kill-switch"}
        assert orders == [] or orders


def iter_then(fake, failures):
    """fills_since that fails so many times and then answers."""
    left = [failures]

    def ask(since):
        left[0] -= 1
        if left[0] >= 0:
            raise BrokerError("503")
        return fake.venue.fills_since(since)

    return ask


def test_an_exit_the_venue_refused_is_tried_again_with_pauses_and_stays_loud(falling):
    with falling.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:40")
        refuse_sells(fake)
        tries = [when for when, _ in passes(desk, "09:41", "10:15")]
        assert tries[:3] == ["09:41", "09:42", "09:43"]
        assert 6 <= len(tries) <= 14  # then every five minutes
        position = desk.store.positions.open_for("AAA")
        assert len(refusals(desk, position)) == len(tries)
        assert len(alerts(desk, "exit-failed")) >= 3
        kinds = [sent.type for sent in fake.sent if sent.side == "sell" and sent.type != "stop"]
        assert set(kinds) == {"market", "limit"}  # refused as one kind, tried as the other
        del fake.submit
        passes(desk, "10:16", "10:25")
        assert desk.store.positions.open() == []


def refuse_sells(fake):
    """A venue that refuses every sell but a stop."""
    submit = fake.submit

    def refuses(request):
        if request.side == "sell" and request.type != "stop":
            fake.sent.append(request)
            raise OrderRejected("wash trade: an opposite order is working")
        return submit(request)

    fake.submit = refuses


@pytest.mark.parametrize(("end", "sold"), [("rejected", True), ("expired", True), ("cancelled", False)])
def test_a_liquidate_that_the_venue_took_and_dropped_later_is_still_wanted(tmp_path, end, sold):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        Fake(desk)
        buy(desk, stop=0.05, target=0.5)
        passes(desk, "09:36", "09:37")
        desk.clock.set(at("09:38"))
        (order,) = liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        desk.broker.cancel(order.broker_order_id)
        desk.store.orders.change(order.id, status="open" if order.status != "open" else order.status)
        desk.store.orders.change(order.id, status=end)  # a human's cancel is a change of mind, the venue's no is not
        passes(desk, "09:39", "09:50")
        assert (desk.store.positions.open() == []) is sold


# before the open, after the close, in a halt


def test_after_hours_a_limit_gives_way_step_by_step_and_says_what_is_next(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390 + [100] * 60)
    with world.desk() as desk:
        fake = Fake(desk, settle_s=10.0)
        buy(desk, intent="swing", stop=0.05, target=0.5)
        passes(desk, "09:36", "09:37")
        desk.clock.set(at("16:10"))
        submit = fake.venue.submit

        def nobody_buys(request):  # far above the market: it rests
            return submit(msgspec.structs.replace(request, limit_price=request.limit_price + 50))

        fake.submit = lambda request: (fake.sent.append(request), nobody_buys(request))[1]
        orders = liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        limits = [order.limit_price for order in orders]
        assert limits[:2] == [D("99.49"), D("98.99")]  # bid 99.99 less 0.5 % and 1 %
        assert limits[-1] == D("96.99")  # and at the most 3 %
        assert all(order.extended_hours and order.type == "limit" for order in orders)
        assert desk.clock.now() - at("16:10") <= timedelta(minutes=7)  # a simulated cancel takes a bar
        assert [line for line in desk.said if "--at-open" in line and "AAA 99" in line]
        assert len([o for o in fake.venue.open_orders() if o.side == "sell"]) == 1


def test_max_discount_bounds_every_step(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390 + [100] * 60)
    with world.desk() as desk:
        Fake(desk)
        buy(desk, intent="swing", stop=0.05, target=0.5)
        passes(desk, "09:36", "09:37")
        desk.clock.set(at("16:10"))
        orders = liquidate(desk, LiquidateOptions(symbols=("AAA",), max_discount=0.002))
        assert [order.limit_price for order in orders] == [D("99.79")]


def test_at_open_queues_for_the_open(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        Fake(desk)
        buy(desk, intent="swing", stop=0.05, target=0.5)
        passes(desk, "09:36", "09:37")
        desk.clock.set(at("16:10"))
        (order,) = liquidate(desk, LiquidateOptions(all_=True, at_open=True))
        assert (order.type, order.tif, order.status) == ("market", "opg", "open")
        assert any("sells at the open" in line for line in desk.said)
        assert liquidate(desk, LiquidateOptions(all_=True, at_open=True)) == []


def test_at_open_on_a_venue_without_on_open_orders(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        Fake(desk, tifs=frozenset({"day", "gtc"}))
        buy(desk, intent="swing", stop=0.05, target=0.5)
        passes(desk, "09:36", "09:37")
        with pytest.raises(UsageError, match="no on-open orders"):
            liquidate(desk, LiquidateOptions(all_=True, at_open=True))
        desk.clock.set(at("16:10"))
        (order,) = liquidate(desk, LiquidateOptions(all_=True, at_open=True))
        assert (order.type, order.tif) == ("market", "day")


def test_a_halted_symbol_has_one_sell_resting_and_the_others_go_on(tmp_path):
    """faults 4.2, "Halted symbol": alert once, no churn."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [None] * 60 + [99] * 320)
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        fake = Fake(desk)
        two(desk, stop=0.04, target=0.5)
        desk.clock.set(at("09:46"))
        halt(desk, HaltOptions("out", flatten=True))
        out = passes(desk, "09:46", "10:35")
        assert sorted(order.symbol for _, order in out) == ["AAA", "BBB"]
        assert len(fake.asked) == 2  # the two stops, each once
        assert len(alerts(desk, "halted")) == 1
        passes(desk, "10:36", "10:43")
        assert sorted(trade.symbol for trade in desk.store.trades.all()) == ["AAA", "BBB"]


def test_nothing_is_judged_on_quotes_from_before_a_halt(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [None] * 60 + [97] * 320)
    with world.desk() as desk:
        buy(desk, stop=0.02, target=0.5)
        assert passes(desk, "09:36", "10:40") == []
        assert [(order.reason, when) for when, order in passes(desk, "10:41", "10:43")] == [("hard-stop", "10:41")]


# liquidate, again


@pytest.mark.parametrize("how", ["drop", "lose"])
def test_liquidate_run_again_sells_only_what_is_left(world, how):
    """faults 4.1, "kill -9 in the middle of liquidate all": done, left and unknown are listed."""
    with world.desk() as desk:
        fake = Fake(desk)
        two(desk)
        desk.clock.set(at("09:38"))
        fake.submits = [None, how]
        first = liquidate(desk, LiquidateOptions(all_=True))
        assert [order.status for order in first] == ["open", "unknown"]
        assert [line for line in desk.said if line.startswith("liquidate: unknown: BBB")]
        desk.said.clear()
        desk.clock.set(at("09:40"))
        again = liquidate(desk, LiquidateOptions(all_=True))
        assert {order.symbol for order in again} <= {"BBB"}
        for minute in range(41, 46):
            desk.clock.set(at(f"09:{minute}"))
            liquidate(desk, LiquidateOptions(all_=True))
        sold = [fill for fill in fake.venue.fills_since(at("09:37")) if fill.side == "sell"]
        assert {fill.symbol: fill.qty for fill in sold} == {"AAA": D(99), "BBB": D(199)}
        assert desk.store.positions.open() == []


def test_liquidate_goes_on_past_a_symbol_that_fails(world):
    with world.desk() as desk:
        fake = Fake(desk)
        two(desk)
        desk.clock.set(at("09:38"))
        fake.submits = [refusal("AAA cannot be traded")]
        orders = liquidate(desk, LiquidateOptions(all_=True))
        assert [(order.symbol, order.status) for order in orders] == [("AAA", "rejected"), ("BBB", "open")]
        assert any(line.startswith("liquidate: left: AAA 99 (no sell is working") for line in desk.said)


def test_a_cancel_that_never_settles_ends_in_time(world):
    """Every wait has an end: a stop whose cancel hangs delays its own exit by the settling time, no more."""
    with world.desk() as desk:
        fake = Fake(desk, settle_s=10.0)
        two(desk)
        fake.cancel = lambda broker_order_id: None  # accepted, never done
        halt(desk, HaltOptions("out", flatten=True))
        desk.clock.set(at("09:38"))
        started = desk.clock.now()
        assert monitor_exits(desk) == []
        assert desk.clock.now() - started <= timedelta(seconds=2 * 11)
        assert {p.symbol for p in desk.store.positions.open()} == {"AAA", "BBB"}
