"""Short days, worked out by hand: one entry, then whatever the bars bring.

No slippage, no fees, the smallest spread: half a tick, rounded against us, so a buy pays a cent more and a sell gets a
cent less than the bar says. A stop of 1 % under an entry of 100.01 is 99.00, a target of 2.6 % is 102.61.
"""

from decimal import Decimal as D

import pytest

from tests.desk.world import World, at, decide, passes
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.monitor_exits import monitor_exits

DAY_PLAN = {"stop": 0.01, "target": 0.026, "after_target": "arm-trail", "trail": 0.015}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "d")


def bought(desk, symbol="AAA", price=100.0, when="09:35", **plan):
    desk.clock.set(at(when))
    decide(desk, symbol, price, **(plan or DAY_PLAN))
    found = enter(desk, EnterOptions())
    assert [order.status for order in found.orders] == ["open"], found.vetoes
    return found.orders[0]


def test_a_stop_on_minute_bars_sells_at_the_next_open(world):
    # bought at the open of 09:35; 09:40 touches 99.00, the bar after it opens at 98.80
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2), (98.8, 99, 98.7, 98.9)] + [99] * 20)
    with world.desk() as desk:
        entry = bought(desk)
        assert (entry.qty, entry.limit_price) == (
            D(99),
            D("100.31"),
        )  # 10 % of 100,000; ask 100.005 x 1.003, up to the tick
        out = passes(desk, "09:36", "09:45")
        assert [(when, order.reason, order.type, order.qty) for when, order in out] == [
            ("09:41", "hard-stop", "market", D(99))
        ]
        (trade,) = desk.store.trades.all()
        assert (trade.entry_price, trade.exit_price, trade.exit_at) == (D("100.01"), D("98.79"), at("09:41"))
        assert (trade.gross, trade.net, trade.exit_reason) == (D("-120.78"), D("-120.78"), "hard-stop")
        assert trade.planned_risk == D("99.99")  # 99 x (100.01 - 99.00)
        assert trade.r_multiple == pytest.approx(-120.78 / 99.99)


def test_a_stop_inside_a_long_bar_fills_at_its_level(world):
    # the bar 09:40-09:45 falls from 100 to 97; the pass runs each minute, so a desk that watched got out at 99
    world.add("AAA", [100, 100, (100, 100, 97, 97.5), 97, 97, 97], minutes=5)
    with world.desk() as desk:
        bought(desk)
        out = passes(desk, "09:36", "09:50")
        assert [(when, order.reason) for when, order in out] == [("09:45", "hard-stop")]
        (trade,) = desk.store.trades.all()
        assert trade.exit_price == D("98.99")
        assert not desk.store.orders.live()


def test_a_long_bar_that_gaps_through_the_stop_fills_at_its_open(world):
    world.add("AAA", [100, 100, (98.5, 99.5, 98, 98.2), 98, 98, 98], minutes=5)
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:50")
        assert desk.store.trades.all()[0].exit_price == D("98.49")


def test_the_desk_level_comes_before_the_resting_stop_in_a_long_bar(world):
    # disaster stop at 98.00 (twice 1 % under 100.01, down to the tick), the plan's stop at 99.00: one bar takes both
    world.add("AAA", [100, 100, 100, (100, 100, 96, 96.5), 96, 96], minutes=5)
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:55")
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.exits[0]["reason"]) == (D("98.99"), "hard-stop")
        protect = [order for order in desk.store.orders.all() if order.purpose == "protect"]
        assert [(order.stop_price, order.status) for order in protect] == [(D(98), "cancelled")]


def test_the_resting_stop_fills_in_a_minute_bar_that_crashes(world):
    # on minute bars the desk sees the bar only when it is over; the stop at the venue was there
    world.add("AAA", [100] * 10 + [(100, 100, 96, 96.5), 96, 96, 96])
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:43")
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.exit_reason) == (D(98), "hard-stop")
        assert trade.qty == D(99)


def test_a_winner_hits_its_target_and_trails_out(world):
    # target 102.61 armed in the bar of 09:40; high 104 at 09:41 -> trail 102.44, floor 101.31; 09:43 falls to 102.40
    rise = [
        (100, 102.7, 100, 102.6),
        (102.6, 104, 102.6, 103.9),
        (103.8, 103.9, 103, 103.2),
        (103.2, 103.2, 102.4, 102.5),
    ]
    world.add("AAA", [100] * 10 + rise + [(102.45, 102.5, 102, 102.2)] + [102] * 20)
    with world.desk() as desk:
        bought(desk)
        out = passes(desk, "09:36", "09:50")
        assert [(when, order.reason, order.decision_price) for when, order in out] == [
            ("09:44", "trailing-stop", D("102.44"))
        ]
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.net) == (D("102.44"), D("240.57"))
        assert trade.mfe == pytest.approx(104 / 100.01 - 1)


def test_a_day_trade_leaves_before_the_close(world):
    # limit under the bid at 15:45, filled at the open of that minute
    world.add("AAA", [100] * 400)
    with world.desk() as desk:
        bought(desk)
        out = passes(desk, "15:40", "15:50")
        assert [(when, order.reason, order.type, order.limit_price) for when, order in out] == [
            ("15:45", "end-of-day", "limit", D("99.49"))  # bid 99.99 less 0.5 %, down to the tick
        ]
        assert desk.store.trades.all()[0].exit_price == D("99.99")


def test_a_closing_limit_that_does_not_fill_gives_way_to_the_market(world):
    # no bar between 15:45 and 15:50, then a fall under the limit of 99.50
    world.add("AAA", [100] * 375 + [None] * 4 + [99.2] * 11)
    with world.desk() as desk:
        bought(desk)
        out = passes(desk, "15:40", "15:59")
        assert [(when, order.type) for when, order in out] == [("15:45", "limit"), ("15:50", "market")]
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.exit_at, trade.exit_reason) == (D("99.19"), at("15:50"), "end-of-day")


def test_a_closing_limit_gives_way_although_the_last_bar_was_wide(world):
    # armed, trail 102.44 under the high of 104; the bar that ends at 15:45 spans 102.9 to 105.5, 1.5 % under which is
    # 103.91: its own high is no watermark for it, and the close still asks for the market at 15:50
    rise = [(100, 104, 100, 104)] + [104] * 363 + [(104, 105.5, 102.9, 104.2)]
    world.add("AAA", [100] * 10 + rise + [(102, 102.5, 99.5, 102)] + [102] * 15)
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "15:44")
        out = passes(desk, "15:45", "15:59")
        assert [(when, order.type, order.reason) for when, order in out] == [
            ("15:45", "limit", "end-of-day"),
            ("15:50", "market", "end-of-day"),
        ]
        assert [order.decision_price for _, order in out] == [D("104.2"), D(102)]  # the price when it was decided
        (trade,) = desk.store.trades.all()
        assert trade.exit_price == D("101.99")
        assert trade.mfe == pytest.approx(105.5 / 100.01 - 1)
        assert trade.mae == pytest.approx(99.5 / 100.01 - 1)  # while the limit waited


def test_an_exit_in_the_last_bar_is_sold_at_the_next_open(world):
    from datetime import date

    swing = {"stop": 0.01, "intent": "swing", "flat_before_close_s": None}
    world.add("AAA", [100] * 389 + [(100, 100, 98.9, 98.95)])
    world.add("AAA", [97.0, 97, 97], day=date(2026, 2, 16))
    with world.desk() as desk:
        bought(desk, **swing)
        out = passes(desk, "15:58", "16:01")
        assert [(when, order.tif) for when, order in out] == [("16:00", "opg")]
        assert [event.kind for event in desk.store.events.alerts()] == ["alert.exit-at-open"]
        desk.clock.set(at("09:31").replace(day=16))
        monitor_exits(desk)
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.exit_reason) == (D(97), "hard-stop")


def test_a_swing_stop_rests_overnight_and_day_stops_do_not(world):
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        bought(desk, "AAA", 100.0, stop=0.01, intent="swing", flat_before_close_s=None)
        passes(desk, "09:36", "09:37")
        bought(desk, "BBB", 50.0, when="09:38", **DAY_PLAN)
        passes(desk, "09:39", "09:40")
        rests = {order.symbol: order.tif for order in desk.store.orders.live() if order.purpose == "protect"}
        assert rests == {"AAA": "gtc", "BBB": "day"}


def test_a_second_pass_of_the_same_minute_sends_nothing(world):
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 20)
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:40")
        desk.clock.set(at("09:41"))
        assert len(monitor_exits(desk)) == 1
        assert monitor_exits(desk) == []
        assert len([o for o in desk.store.orders.all() if o.side == "sell" and o.purpose == "exit"]) == 1


def test_a_trail_from_entry_moves_the_resting_stop_up_and_never_down(world):
    swing = {"trail": 0.05, "trail_from": "entry", "intent": "swing", "flat_before_close_s": None}
    world.add(
        "AAA",
        [100] * 10
        + [(100, 104, 100, 104), (104, 104, 101, 101), (101, 110, 101, 109)]
        + [(109, 109, 104, 104.4)] * 1
        + [104] * 10,
    )
    with world.desk() as desk:
        bought(desk, **swing)
        passes(desk, "09:36", "09:45")
        levels = [order.stop_price for order in desk.store.orders.all() if order.purpose == "protect"]
        assert levels == [D(95), D("98.8"), D("104.5")]
        (trade,) = desk.store.trades.all()
        assert (trade.exit_price, trade.exit_reason) == (D("104.5"), "trailing-stop")


def test_an_entry_that_does_not_fill_is_cancelled_after_a_minute(world):
    world.add("AAA", [100] * 5 + [101.0] * 30)
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:38")
        (order,) = desk.store.orders.all()
        assert (order.status, order.filled_qty) == ("cancelled", D(0))
        assert desk.store.positions.open() == []


def test_a_partial_entry_is_kept_and_protected(tmp_path):
    from tests.desk.world import NO_COSTS

    world = World(tmp_path / "d", NO_COSTS.replace("participation: 1.0", "participation: 0.1"))
    world.add("AAA", [100] * 30, volume=300.0)  # 30 shares a bar are ours
    with world.desk() as desk:
        bought(desk)
        passes(desk, "09:36", "09:39")
        entry = next(order for order in desk.store.orders.all() if order.purpose == "entry")
        assert (entry.status, entry.filled_qty) == ("cancelled", D(30))
        (position,) = desk.store.positions.open()
        rests = [order for order in desk.store.orders.live() if order.purpose == "protect"]
        assert position.qty == D(30)
        assert [(order.qty, order.id) for order in rests] == [(D(30), position.protected_by)]
