"""On a weekend and at night an exit waits for the next open; no limit for extended hours is sent into nothing."""

from datetime import timedelta

import pytest

from tests.desk.venues import Fake, buy
from tests.desk.world import DAY, World, at, passes
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits


@pytest.fixture
def held(tmp_path):
    """99 AAA held over the weekend; the last bar of the Friday went through the stop, unseen."""
    world = World(tmp_path / "d", "paper: {half_spread: 0.0, slippage: 0.0, participation: 1.0, fees: []}\n"
                  "market: {tick: 0.01}\nrisk: {min_turnover: 0, too_late_s: 0}\nexits: {protect: none}\n")  # fmt: skip
    world.add("AAA", [100] * 389 + [(100, 100, 94, 94)])
    world.add("AAA", [94] * 30, day=DAY + timedelta(days=3))
    with world.desk("09:31") as desk:
        buy(desk, intent="swing", stop=0.05, target=0.5, flat_before_close_s=None)
        passes(desk, "09:36", "09:37")
        yield desk


@pytest.mark.parametrize(("after", "kind"), [
    (timedelta(hours=24, minutes=46), ("market", "opg", False)),  # Saturday 10:46
    (timedelta(hours=11), ("market", "opg", False)),  # Friday 21:00
    (timedelta(hours=64, minutes=-1), ("market", "opg", False)),  # Monday, a minute before extended hours
    (timedelta(hours=7, minutes=30), ("limit", "day", True)),  # Friday 17:30
    (timedelta(hours=66), ("limit", "day", True)),  # Monday 04:00
])  # fmt: skip
def test_by_the_hour(held, after, kind):
    held.clock.set(at("10:00") + after)
    (order,) = liquidate(held, LiquidateOptions(all_=True))[:1]
    assert (order.type, order.tif, order.extended_hours) == kind


def test_an_exit_of_the_last_bar_found_on_saturday_is_sold_at_mondays_open(held):
    held.clock.set(at("10:00") + timedelta(days=1))
    (order,) = monitor_exits(held)
    assert (order.reason, order.type, order.tif) == ("hard-stop", "market", "opg")
    held.clock.set(at("09:33") + timedelta(days=3))
    monitor_exits(held)
    assert [trade.exit_reason for trade in held.store.trades.all()] == ["hard-stop"]


def test_a_venue_without_on_open_orders_gets_a_day_order_that_waits(held):
    Fake(held, tifs=frozenset({"day", "gtc"}))
    held.clock.set(at("10:00") + timedelta(days=1))
    assert [(order.type, order.tif) for order in monitor_exits(held)] == [("market", "day")]
