"""Nothing that protects a position is taken back before it is this process's turn to send what takes its place."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake, buy, refusal
from tests.desk.world import NO_COSTS, World, at, passes
from tradekit.base.interrupts import Interrupted, handled
from tradekit.clock import iso
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.errors import BrokerError, Busy, UsageError
from tradekit.model import LIVE_STATUSES

HOLDER = """
import sys
from pathlib import Path
from tradekit.base.locks import Lock
sys.stdin.readline()
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
FALLS = [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 80  # at 09:40 through the desk's stop of 1 %, not the venue's


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "d", NO_COSTS + "deadlines: {exits: 1, liquidate: 1}\nexits: {submit_wait_s: 0.2}\n")


@contextmanager
def held_by_another(lock):
    """A process that takes the lock when it is told to, `taken()`, and keeps it to the end of the block."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdin=-1, stdout=-1, text=True)

    def taken():
        process.stdin.write("take\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"

    try:
        yield taken
    finally:
        process.communicate("go\n", timeout=60)


@contextmanager
def another_sender(desk):
    """Another process has the account's submit lock."""
    with held_by_another(desk.account_dir / "submit.lock") as taken:
        taken()
        yield


def held(desk, until="09:37", **plan):
    """99 AAA with a stop that rests 2 % below the price; the stop."""
    buy(desk, **(plan or {"stop": 0.01, "target": 0.5}))
    passes(desk, "09:36", until)
    (stop,) = stops(desk)
    assert (stop.qty, stop.status) == (D(99), "open")
    return stop


def stops(desk):
    return [order for order in desk.store.orders.live() if order.purpose == "protect"]


def asked_back(desk):
    return [event.ref for event in desk.store.events.all() if event.kind == "order.cancel-asked"]


@pytest.mark.parametrize("words", [["monitor-exits"], ["liquidate", "--all"]])
def test_an_exit_took_its_stop_back_before_it_could_send(world, line, words):
    world.add("AAA", FALLS)
    with world.desk() as desk:
        stop = held(desk)
        with another_sender(desk):
            done = line("-C", world.path, *words, env={"TRADEKIT_CLOCK": iso(at("09:42"))})
        assert (done.returncode, "submit.lock" in done.stderr) == (8, True)
    with world.desk("09:43") as desk:
        assert stops(desk) == [desk.store.orders.get(stop.id)]
        assert [order.client_order_id for order in desk.broker.open_orders()] == [stop.client_order_id]
        assert asked_back(desk) == []
        passes(desk, "09:43", "09:46")  # the lock is free: the exit goes out
        assert desk.store.positions.open() == []


def test_a_trail_took_its_stop_back_before_it_could_send_the_higher_one(world):
    world.add("AAA", [100] * 10 + [104] * 80)
    with world.desk() as desk:
        stop = held(desk, trail=0.02, trail_from="entry")
        assert stop.stop_price == D("98.00")
        desk.clock.set(at("09:42"))  # 2 % under the high of 104: 101.92
        with another_sender(desk), pytest.raises(Busy):
            monitor_exits(desk)
        assert stops(desk) == [desk.store.orders.get(stop.id)] and asked_back(desk) == []
        passes(desk, "09:43", "09:45")
        assert [order.stop_price for order in stops(desk)] == [D("101.92")]


def test_the_limit_before_the_close_stays_until_the_market_order_can_go(world):
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        Fake(desk)
        held(desk, stop=0.05, target=0.5, intent="day", flat_before_close_s=900)
        rests_far_away(desk)
        passes(desk, "15:44", "15:47")
        (limit,) = [order for order in desk.store.orders.live() if order.purpose == "exit"]
        assert limit.type == "limit"
        before = asked_back(desk)
        desk.clock.set(at("15:56"))
        with another_sender(desk), pytest.raises(Busy):
            monitor_exits(desk)
        assert desk.store.orders.get(limit.id).status in LIVE_STATUSES and asked_back(desk) == before
        passes(desk, "15:57", "15:59")
        assert asked_back(desk) == [*before, limit.id]
        assert desk.store.positions.open() == []


def rests_far_away(desk):
    """Limit sells reach the venue 50 too high: they rest."""
    fake, submit = desk.broker, desk.broker.submit

    def far(request):
        if request.type == "limit" and request.side == "sell":
            request = msgspec.structs.replace(request, limit_price=request.limit_price + 50)
        return submit(request)

    fake.submit = far


def test_a_limit_after_hours_stays_until_the_next_one_can_go(world):
    world.add("AAA", [100] * 450)
    with world.desk() as desk:
        Fake(desk)
        held(desk, intent="swing", stop=0.05, target=0.5)
        rests_far_away(desk)
        desk.clock.set(at("16:10"))
        liquidate(desk, LiquidateOptions(all_=True, max_discount=0.005))
        passes(desk, "16:11", "16:12")
        (limit,) = [order for order in desk.store.orders.live() if order.purpose == "liquidate"]
        before = asked_back(desk)
        desk.clock.set(at("16:13"))
        with another_sender(desk), pytest.raises(Busy):
            liquidate(desk, LiquidateOptions(all_=True))
        assert desk.store.orders.get(limit.id).status in LIVE_STATUSES and asked_back(desk) == before


def test_a_venue_that_cannot_be_read_leaves_the_stop(world):
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake, stop = Fake(desk), held(desk)
        desk.clock.set(at("09:42"))
        fake.positions = fails(1000, fake)
        with pytest.raises(BrokerError):
            monitor_exits(desk)
        assert stops(desk) == [desk.store.orders.get(stop.id)] and asked_back(desk) == []


def test_a_sale_that_cannot_be_sent_puts_the_stop_back(world):
    """The venue answers, gives the stop back, and fails the next read: the one before the sale."""
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake, stop = Fake(desk, settle_s=90.0), held(desk)  # a simulated cancel takes a bar
        desk.clock.set(at("09:42"))
        fake.cancels = [lambda: (setattr(fake, "positions", fails(1, fake)), fake.venue.cancel(stop.broker_order_id))]
        assert liquidate(desk, LiquidateOptions(all_=True)) == []
        (again,) = stops(desk)
        assert (again.attempt, again.qty, again.stop_price) == (stop.attempt + 1, stop.qty, stop.stop_price)
        assert [decision.action for decision in desk.store.decisions.pending()] == ["CLOSE"]  # the next pass sells


def test_a_sale_that_the_store_is_too_busy_for_puts_the_stop_back(world, monkeypatch):
    from tradekit.desk import orders as module

    world.add("AAA", FALLS)
    with world.desk() as desk:
        stop, whole = held_at_a_slow_venue(desk), module._intend

        def busy(*words):
            monkeypatch.setattr(module, "_intend", whole)
            raise Busy("writer.lock")

        monkeypatch.setattr(module, "_intend", busy)
        with pytest.raises(Busy):
            monitor_exits(desk)
        assert [(o.stop_price, o.attempt) for o in stops(desk)] == [(stop.stop_price, stop.attempt + 1)]


def test_a_trail_is_moved_although_one_read_fails_after_its_stop_is_gone(world):
    world.add("AAA", [100] * 10 + [104] * 80)
    with world.desk() as desk:
        fake = Fake(desk, settle_s=90.0)  # a simulated cancel takes a bar
        stop = held(desk, trail=0.02, trail_from="entry")
        desk.clock.set(at("09:42"))
        fake.cancels = [lambda: (setattr(fake, "positions", fails(1, fake)), fake.venue.cancel(stop.broker_order_id))]
        monitor_exits(desk)
        assert [(o.stop_price, o.attempt) for o in stops(desk)] == [(D("101.92"), stop.attempt + 1)]


def held_at_a_slow_venue(desk):
    Fake(desk, settle_s=90.0)  # a simulated cancel takes a bar
    stop = held(desk)
    desk.clock.set(at("09:42"))
    return stop


def fails(times, fake):
    """Reads of the positions that fail so often and then work."""
    left = [times]

    def positions():
        left[0] -= 1
        if left[0] >= 0:
            raise BrokerError("503")
        return fake.venue.positions()

    return positions


def test_an_order_that_the_venue_has_no_word_for_leaves_the_stop(world):
    world.add("AAA", [100] * 390)
    with world.desk() as desk:
        Fake(desk, tifs=frozenset({"day", "gtc"}))
        stop = held(desk)
        desk.clock.set(at("09:42"))
        with pytest.raises(UsageError, match="no on-open orders"):
            liquidate(desk, LiquidateOptions(all_=True, at_open=True))
        assert stops(desk) == [desk.store.orders.get(stop.id)] and asked_back(desk) == []


def test_a_signal_between_the_stop_and_the_sale_waits_for_the_sale(world):
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake, stop = Fake(desk, settle_s=90.0), held(desk)
        desk.clock.set(at("09:42"))
        fake.cancels = [lambda: (fake.venue.cancel(stop.broker_order_id), os.kill(os.getpid(), signal.SIGTERM))]
        with handled(), pytest.raises(Interrupted):
            monitor_exits(desk)
        assert [order.purpose for order in desk.store.orders.live()] == ["exit"]


def test_who_waited_while_another_process_sold_takes_nothing_back(world, monkeypatch):
    """Two passes want the same exit: the second has the turn when the first one's sale is out."""
    from tradekit.desk import sell as module

    world.add("AAA", FALLS)
    with world.desk() as desk:
        held(desk)
        desk.clock.set(at("09:42"))
        whole = module.replacing

        def after_the_other(mine):
            monkeypatch.setattr(module, "replacing", whole)
            with world.desk("09:43") as other:
                passes(other, "09:42", "09:43")  # a simulated cancel takes a bar
            desk.clock.set(at("09:43"))
            return whole(mine)

        monkeypatch.setattr(module, "replacing", after_the_other)
        assert monitor_exits(desk) == []
        exits = [order for order in desk.store.orders.all() if order.purpose == "exit"]
        assert len(exits) == 1 and len(asked_back(desk)) == 1


def test_a_refused_sale_puts_the_stop_back_in_the_same_turn(world):
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake, stop = Fake(desk, settle_s=90.0), held(desk)
        desk.clock.set(at("09:42"))
        fake.submits = [refusal("not now")]
        (refused,) = monitor_exits(desk)
        assert refused.status == "rejected"
        assert [(o.stop_price, o.attempt) for o in stops(desk)] == [(stop.stop_price, stop.attempt + 1)]
        assert not desk.sending


def test_who_waited_while_another_process_moved_the_stop_forgets_none(world, monkeypatch):
    """Two passes want the same higher stop: the position was shown as unprotected from then on."""
    from tradekit.desk import protect as module

    world.add("AAA", [100] * 10 + [104] * 80)
    with world.desk() as desk:
        Fake(desk, settle_s=90.0)  # a simulated cancel takes a bar
        held(desk, trail=0.02, trail_from="entry")
        desk.clock.set(at("09:42"))
        whole = module.replacing

        def after_the_other(mine):
            monkeypatch.setattr(module, "replacing", whole)
            with world.desk("09:42") as other:
                Fake(other, settle_s=90.0)
                passes(other, "09:42", "09:43")
            desk.clock.set(at("09:44"))
            return whole(mine)

        monkeypatch.setattr(module, "replacing", after_the_other)
        assert monitor_exits(desk) == []
        (stop,) = stops(desk)
        assert (stop.stop_price, stop.attempt) == (D("101.92"), 1)
        assert desk.store.positions.open()[0].protected_by == stop.id
