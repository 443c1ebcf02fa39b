"""A coin of eight cents: a tick of a cent would be an eighth of its price, so nothing could be bought or stopped.

24/7 desks are the same here; the world's exchange hours only keep the bars short.
"""

from decimal import Decimal as D

import pytest

from tests.desk.world import World, at, decide, passes
from tradekit.desk.enter import EnterOptions, enter

COIN = """
paper: {half_spread: 0.0002, slippage: 0.0, participation: 1.0, fees: []}
market: {tick: 0.00000001, ticks: {CCC: 0.0001}, lot: 0.00000001}
risk: {min_turnover: 0, turnover_share: 1, too_late_s: 0, room_to_profit: 0}
"""
PLAN = {"stop": 0.02, "target": 0.04, "intent": "swing", "flat_before_close_s": None}
FALLS = [0.08] * 10 + [(0.08, 0.08, 0.0783, 0.0784), 0.0784, 0.0784]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "d", COIN)


def test_a_coin_of_eight_cents_could_not_be_traded_on_a_tick_of_a_cent(world):
    # mid 0.08, half spread 0.02 %: ask 0.080016, limit 0.080016 x 1.003 = 0.080256048, up to the eighth digit
    world.add("AAA", FALLS, volume=100_000_000.0)
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        decide(desk, "AAA", 0.08, **PLAN)
        found = enter(desk, EnterOptions())
        assert found.vetoes == []
        (order,) = found.orders
        assert order.limit_price == D("0.08025605")
        assert order.qty == D("124601.19828972")  # 10,000 / 0.08025605, down to the lot
        out = passes(desk, "09:36", "09:43")
        # bought at 0.080016 (its cost is booked to a millionth, which must not show: the stop was a step too low),
        # so the stop 2 % under it is 0.07841568; the bar of 09:40 touches it
        assert [(when, sold.reason, sold.decision_price) for when, sold in out] == [
            ("09:41", "hard-stop", D("0.07841568"))
        ]
        (trade,) = desk.store.trades.all()
        assert (trade.entry_price, trade.exit_price) == (D("0.080016"), D("0.07838432"))  # 0.0784 less 0.02 %


def test_a_symbols_own_tick_is_that_of_its_orders_its_quotes_and_the_venue(world):
    # tick 0.0001: half a tick (0.00005) is more than 0.02 % of 0.08 -> ask 0.08005; x 1.003 = 0.08029, up to 0.0803
    world.add("CCC", FALLS, volume=100_000_000.0)
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        quote = desk.market.quote("CCC", desk.clock.now())
        assert (quote.bid, quote.ask) == (D("0.07995"), D("0.08005"))
        decide(desk, "CCC", 0.08, **PLAN)
        (order,) = enter(desk, EnterOptions()).orders
        assert order.limit_price == D("0.0803")
        passes(desk, "09:36", "09:40")
        (position,) = desk.store.positions.open()
        assert position.avg_price == D("0.0801")
        assert position.stop_price == D("0.0784")  # 0.078498, down
        protect = desk.store.orders.get(position.protected_by)
        assert protect.stop_price == D("0.0768")  # 0.0801 - 4 % = 0.076896, down
