"""Cancels in bar order, guards and triggered sells on long bars: who comes first is worked out by hand."""

from decimal import Decimal

import pytest

from tests.brokers.tape import at, bar, order, venue
from tradekit.errors import BrokerError

D = Decimal
HELD = {"AAPL": D(100)}
FIVE = 300


def five(start, open, high=None, low=None, close=None, **more):
    return bar(start, open, high, low, close, seconds=FIVE, **more)


def prices(broker):
    return [(f.broker_order_id, str(f.price), int(f.qty), f.at) for f in broker.fills_since(at("11 0:00"))]


def test_a_cancel_between_bars_is_final_at_once(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0), bar("9:36", 90.0)])
    broker.submit(order(type="limit", limit_price="95"))
    clock.set(at("9:36"))
    broker.cancel("P1")
    seen = broker.order("c1")
    assert (seen.status, seen.updated_at) == ("cancelled", at("9:36"))
    clock.set(at("9:40"))
    assert prices(broker) == []


@pytest.mark.parametrize(
    ("open_", "low", "filled"),
    [
        (94.0, 94.0, 10),  # the bar's open was before the cancel
        (100.0, 94.0, 0),  # inside it: too late
    ],
)
def test_a_bar_that_began_before_the_cancel_may_fill_at_its_open_only(tmp_path, open_, low, filled):
    broker, clock = venue(tmp_path, [five("9:35", open_, low=low)], seconds=FIVE)
    broker.submit(order(type="limit", limit_price="95"))
    clock.set(at("9:36"))
    broker.cancel("P1")
    seen = broker.order("c1")
    assert (seen.status, seen.raw_status) == ("open", "pending_cancel")
    assert len(broker.open_orders()) == 1
    broker.cancel("P1")  # asking twice changes nothing
    clock.set(at("9:40"))
    seen = broker.order("c1")
    assert (seen.status, int(seen.filled_qty)) == ("filled" if filled else "cancelled", filled)
    assert broker.open_orders() == []


def test_an_order_sent_and_cancelled_inside_one_bar_is_gone_at_once(tmp_path):
    broker, clock = venue(tmp_path, [five("9:35", 94.0), five("9:40", 94.0)], seconds=FIVE, now="9:36")
    broker.submit(order(type="limit", limit_price="95"))
    clock.set(at("9:37"))
    broker.cancel("P1")
    assert broker.order("c1").status == "cancelled"


def test_after_hours_a_cancel_has_nothing_to_wait_for(tmp_path):
    broker, clock = venue(tmp_path, [], seconds=FIVE, now="16:01")
    broker.submit(order(type="limit", limit_price="95", tif="gtc"))
    clock.set(at("18:03"))
    broker.cancel("P1")
    assert broker.order("c1").status == "cancelled"


def test_a_sell_whose_cancel_is_pending_does_not_hold_the_shares(tmp_path):
    # the stop was gapped at the open of a bar that began before the cancel: it filled, the second sell finds nothing
    bars = [five("9:30", 100.0), five("9:35", 97.0), five("9:40", 97.0)]
    broker, clock = venue(tmp_path, bars, seconds=FIVE, now="9:30", holdings={"AAPL": D(10)})
    broker.submit(order("sell", type="stop", stop_price="98", tif="gtc", id="stop"))
    clock.set(at("9:36"))
    broker.cancel("P1")
    assert broker.positions()[0].available == D(10)
    broker.submit(order("sell", id="exit"))
    clock.set(at("9:45"))
    assert prices(broker) == [("P1", "96.95", 10, at("9:35"))]
    assert (broker.order("exit").status, broker.order("exit").reason) == ("cancelled", "position gone")
    assert broker.positions() == []


def test_an_unknown_order_cannot_be_cancelled_and_a_final_one_stays(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0)])
    with pytest.raises(BrokerError, match="no order P7"):
        broker.cancel("P7")
    broker.submit(order())
    clock.set(at("9:36"))
    broker.cancel("P1")
    assert broker.order("c1").status == "filled"


# guards: the desk's own level at 99, the resting stop at 98, five-minute bars, a pass each minute


def guarded(tmp_path, bars, level="99", **more):
    broker, clock = venue(tmp_path, bars, seconds=FIVE, holdings=HELD, **more)
    broker.submit(order("sell", qty=100, type="stop", stop_price="98", tif="gtc", id="stop"))
    if level:
        broker.guard({"AAPL": D(level)})
    return broker, clock


def test_the_higher_level_of_a_long_bar_is_the_desks(tmp_path):
    broker, clock = guarded(tmp_path, [five("9:35", 100.0, low=97.0)])
    clock.set(at("9:40"))
    assert prices(broker) == []
    assert broker.order("stop").status == "open"


def test_the_resting_stop_fills_when_the_guard_lies_lower_or_is_gone(tmp_path):
    for n, level in enumerate(("97.50", None)):
        broker, clock = guarded(tmp_path / str(n), [five("9:35", 100.0, low=97.0)], level)
        clock.set(at("9:40"))
        assert prices(broker) == [("P1", "97.95", 100, at("9:40"))]  # 98 - 0.049


def test_on_bars_as_short_as_the_pass_interval_a_guard_does_nothing(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0, low=97.0)], holdings=HELD)
    broker.submit(order("sell", type="stop", stop_price="98", id="stop"))
    broker.guard({"AAPL": D(99)})
    clock.set(at("9:40"))
    assert prices(broker) == [("P1", "97.95", 10, at("9:36"))]


def test_a_desk_that_does_not_answer_within_a_bar_loses_its_turn(tmp_path):
    bars = [five("9:35", 100.0, low=97.0), five("9:40", 97.0)]
    broker, clock = guarded(tmp_path, bars)
    clock.set(at("9:45"))
    assert prices(broker) == [("P1", "96.95", 100, at("9:40"))]


def test_guards_of_many_are_told_at_once_and_those_not_named_stay(tmp_path):
    bars = [five("9:35", 100.0), five("9:40", 100.0, low=97.0)]
    broker, clock = guarded(tmp_path, bars, None)
    broker.guard({"AAPL": D(99), "MSFT": D(50)})
    clock.set(at("9:40"))
    broker.guard({"MSFT": None})
    clock.set(at("9:45"))
    assert prices(broker) == []  # AAPL's stays


def test_a_desk_that_is_alive_renews_its_guard(tmp_path):
    bars = [five("9:35", 100.0, low=97.0), five("9:40", 100.0, low=97.0)]
    broker, clock = guarded(tmp_path, bars)
    clock.set(at("9:40"))
    broker.guard({"AAPL": D(99)})
    clock.set(at("9:45"))
    assert prices(broker) == []


# triggered sells


@pytest.mark.parametrize(
    ("open_", "level", "price"),
    [
        (100.0, "99", "98.93"),  # 99 - 0.0198 - 0.0495 = 98.9307
        (98.5, "99", "98.43"),  # gapped: 98.5 - 0.0197 - 0.04925 = 98.43105
    ],
)
def test_a_touched_level_fills_inside_its_long_bar(tmp_path, open_, level, price):
    broker, clock = venue(tmp_path, [five("9:35", open_, low=97.0)], seconds=FIVE, holdings=HELD)
    clock.set(at("9:40"))
    taken = broker.submit(order("sell", decision_price=level, trigger_at=at("9:35")))
    assert (taken.status, str(taken.avg_price)) == ("filled", price)
    assert prices(broker) == [("P1", price, 10, at("9:40"))]


def test_what_the_bars_volume_does_not_cover_waits_for_the_next(tmp_path):
    bars = [five("9:30", 100.0), five("9:35", 100.0, low=97.0, volume=300), five("9:40", 96.0)]
    broker, clock = venue(tmp_path, bars, seconds=FIVE, holdings=HELD, now="9:35")
    broker.submit(order(qty=20, id="entry"))
    clock.set(at("9:40"))
    taken = broker.submit(order("sell", qty=40, decision_price="99", trigger_at=at("9:35"), id="exit"))
    assert (taken.status, int(taken.filled_qty)) == ("partially_filled", 10)  # the entry had 20 of the bar's 30
    clock.set(at("9:45"))
    # 96 - 0.0192 - 0.048 = 95.9328
    assert prices(broker)[1:] == [("P2", "98.93", 10, at("9:40")), ("P2", "95.93", 30, at("9:40"))]


def test_on_short_bars_it_is_a_market_order_for_the_next_open(tmp_path):
    bars = [bar("9:35", 100.0, low=97.0), bar("9:36", 96.0)]
    broker, clock = venue(tmp_path, bars, holdings=HELD)
    clock.set(at("9:36"))
    assert broker.submit(order("sell", decision_price="99", trigger_at=at("9:35"))).status == "open"
    clock.set(at("9:37"))
    assert prices(broker) == [("P1", "95.93", 10, at("9:36"))]


def test_a_bar_of_an_hour_ago_is_history(tmp_path):
    bars = [five("9:35", 100.0, low=97.0), five("10:35", 96.0)]
    broker, clock = venue(tmp_path, bars, seconds=FIVE, holdings=HELD)
    clock.set(at("10:35"))
    assert broker.submit(order("sell", decision_price="99", trigger_at=at("9:35"))).status == "open"


def test_stops_inside_a_bar_go_highest_first_and_before_limits(tmp_path):
    # 10 % of 300 = 30 shares: the stop at 99 first although it came last, then the one at 98, the limit nothing
    bars = [bar("9:35", 100.0, high=105.0, low=97.0, volume=300)]
    broker, clock = venue(tmp_path, bars, holdings=HELD)
    broker.submit(order("sell", qty=20, type="limit", limit_price="104", id="limit"))
    broker.submit(order("sell", qty=20, type="stop", stop_price="98", id="low"))
    broker.submit(order("sell", qty=20, type="stop", stop_price="99", id="high"))
    clock.set(at("9:36"))
    assert [(order, qty) for order, _, qty, _ in prices(broker)] == [("P3", 20), ("P2", 10)]
