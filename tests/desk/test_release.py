"""release lets shares go when nothing of the desk can sell them any more, not before."""

import json

import msgspec
import pytest

from tests.desk.test_turn_to_send import another_sender
from tests.desk.venues import Fake, buy
from tests.desk.world import NO_COSTS, World, at, passes
from tradekit.clock import iso
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.ownership import release
from tradekit.errors import BrokerError, Busy, UsageError
from tradekit.store import open_store


@pytest.fixture
def world(tmp_path):
    """99 AAA at 100; from 09:39 on the price falls to 97, through the venue's stop at 98."""
    return held(tmp_path / "d", [100] * 9 + [(97.5, 97.5, 97, 97)] + [97] * 60)


def held(path, bars):
    world = World(path, NO_COSTS)
    world.add("AAA", bars)
    with world.desk() as desk:
        buy(desk, stop=0.01, target=0.5)
        passes(desk, "09:36", "09:37")
        assert [order.purpose for order in desk.store.orders.live()] == ["protect"]
    return world


def typed(line, world, when, *more):
    return line("-C", world.path, "release", "AAA", *more, "--json", env={"TRADEKIT_CLOCK": iso(at(when))})


def test_a_stop_that_may_still_fill_keeps_the_position_managed(world, line):
    """It was released at once; the stop then sold shares that were the desk's no more."""
    done = typed(line, world, "09:38:30")
    assert (done.returncode, done.stdout) == (5, "")
    error = json.loads(done.stderr.splitlines()[-1])
    assert (error["code"], error["retryable"]) == (5, True)
    assert "may still fill" in error["error"] and "again in a minute" in error["hint"]
    with world.desk("09:38:40") as desk:
        (position,) = desk.store.positions.open()
        assert (position.symbol, position.qty) == ("AAA", 99)


def test_a_pass_in_between_places_no_other_stop_and_the_second_run_releases(world, line):
    assert typed(line, world, "09:37:30").returncode == 5
    with world.desk("09:38:30") as desk:  # the cancel is final, the price still above the desk's own stop
        assert monitor_exits(desk) == []
        assert desk.store.orders.live() == []
    done = typed(line, world, "09:38:45")
    assert done.returncode == 0, done.stderr
    with world.desk("09:50") as desk:
        monitor_exits(desk)
        assert desk.store.positions.open() == [] and desk.store.owned().get("AAA", 0) == 0
        assert {held.symbol: held.qty for held in desk.broker.positions()} == {"AAA": 99}
        assert desk.store.meta.under("releasing:") == {}


def test_a_release_that_was_given_up_gets_its_stop_again(tmp_path, line):
    world = held(tmp_path / "d", [100] * 60)
    assert typed(line, world, "09:37:30").returncode == 5
    with world.desk("09:46:29") as desk:  # deadlines.other: 540 s for `release`
        monitor_exits(desk)
        assert desk.store.orders.live() == []
        desk.clock.set(at("09:46:31"))
        monitor_exits(desk)
        assert [order.purpose for order in desk.store.orders.live()] == ["protect"]


def test_a_venue_that_takes_its_time_is_waited_for(world):
    with world.desk("09:37:30") as desk:
        Fake(desk, settle_s=90.0)
        position = release(desk, "AAA")
        assert position.qty == 99 and desk.clock.now() == at("09:38:00")  # with the bar the cancel was final
        assert desk.store.orders.live() == [] == desk.broker.open_orders()


def test_a_stop_that_filled_first_is_said(world):
    """The cancel reaches the venue after the bar that the stop fills in has begun."""
    with world.desk("09:39:30") as desk:
        Fake(desk, settle_s=90.0)
        with pytest.raises(UsageError, match="its stop filled before"):
            release(desk, "AAA")
        assert desk.store.positions.open() == []
        assert [trade.exit_reason for trade in desk.store.trades.all()] == ["hard-stop"]


def test_while_another_process_sends_nothing_is_begun(world):
    with world.desk("09:38:30") as desk:
        (stop,) = desk.store.orders.live()
        desk.settings = msgspec.structs.replace(
            desk.settings, exits=msgspec.structs.replace(desk.settings.exits, submit_wait_s=0.2)
        )
        with another_sender(desk), pytest.raises(Busy):
            release(desk, "AAA")
        assert desk.store.orders.live() == [stop] and desk.store.meta.under("releasing:") == {}


def test_a_dry_run_shows_it(world, line):
    done = typed(line, world, "09:38:30", "--dry-run")
    assert done.returncode == 0, done.stderr
    store = open_store(world.path / "desk.db", readonly=True)
    try:
        assert len(store.positions.open()) == 1 and store.meta.under("releasing:") == {}
    finally:
        store.close()


def test_shares_that_are_gone_wait_for_their_stop_too(world):
    with world.desk("09:38:30") as desk:
        fake = Fake(desk)
        fake.positions = list
        with pytest.raises(BrokerError, match="may still fill"):
            release(desk, "AAA", paid=0)
