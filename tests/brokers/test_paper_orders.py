"""Each order type and time in force, worked by hand (half spread 0.02 %, slippage 0.05 %, tick 0.01)."""

from decimal import Decimal

import pytest

from tests.brokers.tape import at, bar, order, venue
from tradekit.errors import OrderRejected

D = Decimal


def fills_of(path, bars, request, *, now="9:35", until="9:40", holdings=None, **more):
    """(price, qty, time) of each fill of one order sent at `now`, seen at `until`."""
    broker, clock = venue(path, bars, now=now, holdings=holdings or {}, **more)
    taken = broker.submit(request)
    clock.set(at(until))
    fills = [(str(f.price), int(f.qty), f.at) for f in broker.fills_since(at("11 0:00"))]
    return fills, broker.order(taken.client_order_id)


HELD = {"AAPL": D(100)}


@pytest.mark.parametrize(
    ("request_", "bars", "expected"),
    [
        # market: 100 + 0.02 half spread + 0.05 slippage = 100.07; sells 99.93
        (order("buy"), [bar("9:35", 100.0)], [("100.07", "9:35")]),
        (order("sell"), [bar("9:35", 100.0)], [("99.93", "9:35")]),
        # rounded to the tick against us: 33.33 + 0.006666 + 0.016665 = 33.353331 -> 33.36, sells 33.306669 -> 33.30
        (order("buy"), [bar("9:35", 33.33)], [("33.36", "9:35")]),
        (order("sell"), [bar("9:35", 33.33)], [("33.3", "9:35")]),
        # half a tick is the least half spread: 6 + 0.005 + 0.003 = 6.008 -> 6.01
        (order("buy"), [bar("9:35", 6.0)], [("6.01", "9:35")]),
        # a bar that had begun when the order came cannot fill it; a bar without volume neither
        (order("buy"), [bar("9:34", 90.0), bar("9:35", 91.0, volume=0), bar("9:37", 100.0)], [("100.07", "9:37")]),
        # limit, marketable at the open: ask 100.02 <= 100.30, open plus costs
        (order("buy", type="limit", limit_price="100.30"), [bar("9:35", 100.0)], [("100.07", "9:35")]),
        # ... never beyond its limit
        (order("buy", type="limit", limit_price="100.03"), [bar("9:35", 100.0)], [("100.03", "9:35")]),
        # ask 100.02 above the limit of 100.01: rests; 99.99 is two ticks through: at the limit, inside the bar
        (order("buy", type="limit", limit_price="100.01"), [bar("9:35", 100.0, low=99.99)], [("100.01", "9:36")]),
        # touched only: no fill
        (order("buy", type="limit", limit_price="99.50"), [bar("9:35", 100.0, low=99.50)], []),
        (order("buy", type="limit", limit_price="99.50"), [bar("9:35", 100.0, low=99.49)], [("99.5", "9:36")]),
        (order("sell", type="limit", limit_price="101"), [bar("9:35", 100.0, high=101.0)], []),
        (order("sell", type="limit", limit_price="101"), [bar("9:35", 100.0, high=101.01)], [("101", "9:36")]),
        # a gap in our favour: 103 - 0.0206 - 0.0515 = 102.9279 -> 102.92
        (order("sell", type="limit", limit_price="101"), [bar("9:35", 103.0)], [("102.92", "9:35")]),
        # stop: the level less slippage, 99 - 0.0495 -> 98.95
        (order("sell", type="stop", stop_price="99"), [bar("9:35", 100.0, low=99.0)], [("98.95", "9:36")]),
        (order("sell", type="stop", stop_price="99"), [bar("9:35", 100.0, low=99.01)], []),
        # gapped through: the open less slippage, 97 - 0.0485 -> 96.95, at the open
        (order("sell", type="stop", stop_price="99"), [bar("9:35", 97.0)], [("96.95", "9:35")]),
        (order("buy", type="stop", stop_price="101"), [bar("9:35", 100.0, high=101.0)], [("101.06", "9:36")]),
        (order("buy", type="stop", stop_price="101"), [bar("9:35", 102.0)], [("102.06", "9:35")]),
        # stop-limit: 99 less half spread 0.0198 and slippage 0.0495 = 98.9307 -> 98.93, within 98.50
        (
            order("sell", type="stop_limit", stop_price="99", limit_price="98.50"),
            [bar("9:35", 100.0, low=98.0)],
            [("98.93", "9:36")],
        ),
        # gapped below its limit: it rests there, and price comes back in the same bar
        (
            order("sell", type="stop_limit", stop_price="99", limit_price="98.50"),
            [bar("9:35", 97.0, high=98.51)],
            [("98.5", "9:36")],
        ),
        # triggered inside with a limit that is not met at once: from the next bar on
        (
            order("sell", type="stop_limit", stop_price="99", limit_price="99"),
            [bar("9:35", 100.0, high=100.0, low=98.0), bar("9:36", 98.5, high=99.01)],
            [("99", "9:37")],
        ),
        # trailing 2 % from yesterday's close of 100: 98. The 110 of the first bar counts from the second: 107.80
        (order("sell", type="trailing_stop", trail_pct="0.02"), [bar("9:35", 100.0, high=110.0, low=98.01)], []),
        (
            order("sell", type="trailing_stop", trail_pct="0.02"),
            [bar("9:35", 100.0, high=110.0, low=98.01), bar("9:36", 109.0, low=107.8)],
            [("107.74", "9:37")],  # 107.80 - 0.0539
        ),
    ],
)
def test_prices(tmp_path, request_, bars, expected):
    fills, _ = fills_of(tmp_path, bars, request_, holdings=HELD)
    assert fills == [(price, 10, at(when)) for price, when in expected]


def test_touch_is_a_setting(tmp_path):
    request = order(type="limit", limit_price="99.50")
    fills, _ = fills_of(tmp_path, [bar("9:35", 100.0, low=99.50)], request, touch=True)
    assert fills == [("99.5", 10, at("9:36"))]


def test_the_bar_is_unknown_until_it_ends(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0)])
    taken = broker.submit(order())
    assert (taken.status, taken.submitted_at) == ("open", at("9:35"))
    clock.set(at("9:35:59"))
    assert broker.fills_since(at("9:30")) == []
    clock.set(at("9:36"))
    assert [f.at for f in broker.fills_since(at("9:36"))] == [at("9:35")]  # dated at the open, known now
    assert broker.open_orders() == []
    assert broker.order("c1").status == "filled"


def test_participation_is_shared_in_arrival_order_and_the_rest_waits(tmp_path):
    # 10 % of 1,000 = 100 shares: 80 for the first, 20 for the second; then 10 % of 155 = 15; then the last 25
    bars = [bar("9:35", 100.0, volume=1000), bar("9:36", 101.0, volume=155), bar("9:37", 102.0)]
    broker, clock = venue(tmp_path, bars)
    broker.submit(order(qty=80, id="a"))
    broker.submit(order(qty=60, id="b"))
    clock.set(at("9:36"))
    assert [(o.client_order_id, o.status, int(o.filled_qty)) for o in broker.orders_since(at("9:36"))] == [
        ("a", "filled", 80),
        ("b", "partially_filled", 20),
    ]
    clock.set(at("9:40"))
    assert [(f.broker_fill_id, int(f.qty)) for f in broker.fills_since(at("9:30"))] == [
        ("P1-1", 80), ("P2-1", 20), ("P2-2", 15), ("P2-3", 25),
    ]  # fmt: skip
    # (20 x 100.07 + 15 x 101.08 + 25 x 102.08) / 60: 101 + 0.0202 + 0.0505 -> 101.08, 102 + 0.0204 + 0.051 -> 102.08
    assert broker.order("b").avg_price == D("101.16")


def test_a_stop_that_is_triggered_but_unfilled_goes_on_as_a_market_order(tmp_path):
    bars = [bar("9:35", 100.0, low=98.0, volume=50), bar("9:36", 97.0)]
    broker, clock = venue(tmp_path, bars, holdings=HELD)
    broker.submit(order("sell", type="stop", stop_price="99"))
    clock.set(at("9:36"))
    seen = broker.order("c1")
    assert (seen.triggered_at, seen.status, int(seen.filled_qty)) == (at("9:36"), "partially_filled", 5)
    clock.set(at("9:37"))
    # 97 - 0.0194 - 0.0485 = 96.9321 -> 96.93
    assert [(str(f.price), int(f.qty)) for f in broker.fills_since(at("9:30"))] == [("98.95", 5), ("96.93", 5)]


@pytest.mark.parametrize(
    ("request_", "bars", "status", "filled"),
    [
        # ioc: what the first bar's open does not fill is cancelled
        (order(qty=100, tif="ioc"), [bar("9:35", 100.0, volume=300), bar("9:36", 100.0)], "cancelled", 30),
        (order(type="limit", limit_price="99", tif="ioc"), [bar("9:35", 100.0, low=98.0)], "cancelled", 0),
        (order(tif="ioc"), [bar("9:35", 100.0)], "filled", 10),
        # day: ends with the session; gtc does not
        (order(type="limit", limit_price="90"), [bar("17 9:30", 80.0)], "expired", 0),
        (order(type="limit", limit_price="90", tif="gtc"), [bar("17 9:30", 80.0)], "filled", 10),
    ],
)
def test_time_in_force(tmp_path, request_, bars, status, filled):
    _, seen = fills_of(tmp_path, bars, request_, until="17 9:31")
    assert (seen.status, int(seen.filled_qty)) == (status, filled)


def test_a_day_order_sent_after_the_close_lives_until_the_next_one(tmp_path):
    fills, seen = fills_of(tmp_path, [bar("17 9:30", 100.0)], order(), now="16:01", until="17 9:31")
    assert fills == [("100.07", 10, at("17 9:30"))]
    _, seen = fills_of(tmp_path, [], order(id="c2"), now="17 9:31", until="17 13:00")
    assert (seen.status, seen.updated_at) == ("expired", at("17 13:00"))  # the half day's real close


def test_outside_regular_hours_only_extended_limits_trade(tmp_path):
    late = [bar("16:05", 100.0, regular=False)]
    fills, _ = fills_of(tmp_path, late, order(), now="16:01", until="16:10")
    assert fills == []
    request = order("sell", type="limit", limit_price="99.50", extended_hours=True, id="x")
    fills, _ = fills_of(tmp_path / "x", late, request, now="16:01", until="16:10", holdings=HELD)
    assert fills == [("99.93", 10, at("16:05"))]


def test_an_extended_day_order_ends_four_hours_after_the_close(tmp_path):
    request = order(type="limit", limit_price="90", extended_hours=True)
    _, seen = fills_of(tmp_path, [], request, now="16:01", until="20:00")
    assert (seen.status, seen.updated_at) == ("expired", at("20:00"))


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("9:27", True), ("9:28", False), ("9:35", False), ("15:59", False), ("16:00", True), ("12 16:05", True)],
)
def test_on_open_orders_are_refused_from_two_minutes_before_the_open(tmp_path, sent, taken):
    broker, _ = venue(tmp_path, [], now=sent)
    if taken:
        assert broker.submit(order(tif="opg")).status == "open"
    else:
        with pytest.raises(OrderRejected, match="on-open"):
            broker.submit(order(tif="opg"))


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("15:49", True), ("15:50", False), ("16:00", True), ("17 12:49", True), ("17 12:50", False), ("17 13:00", True)],
)
def test_on_close_orders_are_refused_from_ten_minutes_before_the_real_close(tmp_path, sent, taken):
    broker, _ = venue(tmp_path, [], now=sent)
    if taken:
        assert broker.submit(order(tif="cls")).status == "open"
    else:
        with pytest.raises(OrderRejected, match="on-close"):
            broker.submit(order(tif="cls"))


def test_on_open_fills_at_the_sessions_first_regular_open(tmp_path):
    bars = [bar("9:00", 95.0, regular=False), bar("9:31", 100.005, volume=50), bar("9:32", 101.0)]
    fills, seen = fills_of(tmp_path, bars, order(tif="opg"), now="9:20", until="9:40")
    assert fills == [("100.01", 5, at("9:31"))]  # rounded up; an auction has no spread
    assert (seen.status, seen.reason) == ("cancelled", "unfilled at the open")


def test_an_on_open_order_sent_after_the_close_is_for_the_next_session(tmp_path):
    bars = [bar("16:30", 90.0, regular=False), bar("17 9:30", 97.5)]
    fills, _ = fills_of(tmp_path, bars, order("sell", tif="opg"), now="16:00", until="17 9:31", holdings=HELD)
    assert fills == [("97.5", 10, at("17 9:30"))]


@pytest.mark.parametrize(("limit", "filled"), [("99.99", 0), ("100", 10)])
def test_limit_on_open(tmp_path, limit, filled):
    request = order(type="limit", limit_price=limit, tif="opg")
    _, seen = fills_of(tmp_path, [bar("9:30", 100.0, low=90.0)], request, now="9:20")
    assert (int(seen.filled_qty), seen.status) == (filled, "filled" if filled else "cancelled")


def test_on_close_is_the_last_regular_close_and_known_only_then(tmp_path):
    bars = [bar("15:57", 100.0, close=101.004), bar("16:00", 90.0, regular=False)]
    broker, clock = venue(tmp_path, bars, now="15:30")
    broker.submit(order(tif="cls"))
    clock.set(at("15:59:59"))
    assert broker.fills_since(at("9:30")) == []
    clock.set(at("16:00"))
    assert [(str(f.price), f.at) for f in broker.fills_since(at("9:30"))] == [("101.01", at("16:00"))]


def test_on_close_on_a_half_day(tmp_path):
    bars = [bar("17 12:59", 100.0, close=102.0), bar("17 13:00", 90.0, regular=False)]
    fills, _ = fills_of(tmp_path, bars, order(tif="cls"), now="17 12:49", until="17 13:00")
    assert fills == [("102", 10, at("17 13:00"))]


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (order(qty=2000), "insufficient buying power"),
        (order("sell"), "insufficient quantity"),
        (order(symbol="NOPE"), "unknown symbol"),
        (order(type="limit"), "needs limit_price"),
        (order(type="limit", limit_price="100.001"), "multiple of the tick"),
        (order(qty="1.5"), "multiple of 1"),
        (order(qty=0), "not above 0"),
        (order(type="stop", stop_price="99", tif="opg"), "on-open"),
        (order(extended_hours=True), "only limit orders"),
        (order("sell", type="trailing_stop", trail_pct="2"), "not a fraction"),
    ],
)
def test_what_the_venue_refuses(tmp_path, request_, why):
    broker, _ = venue(tmp_path, [])
    with pytest.raises(OrderRejected, match=why):
        broker.submit(request_)
    assert broker.order("c1") is None
    assert broker.open_orders() == []


def test_ioc_is_refused_while_the_market_is_closed(tmp_path):
    broker, _ = venue(tmp_path, [], now="16:01")
    with pytest.raises(OrderRejected, match="closed"):
        broker.submit(order(tif="ioc"))


def test_open_orders_hold_cash_and_shares(tmp_path):
    broker, _ = venue(tmp_path, [], holdings={"AAPL": D(10)})
    broker.submit(order(qty=500, type="limit", limit_price="100", id="a"))
    assert broker.account().buying_power == D(50000)
    with pytest.raises(OrderRejected, match="needs 50100"):
        broker.submit(order(qty=501, type="limit", limit_price="100", id="b"))
    broker.submit(order("sell", qty=6, type="stop", stop_price="90", id="s"))
    (held,) = broker.positions()
    assert (held.symbol, held.qty, held.available, held.avg_price) == ("AAPL", D(10), D(4), None)
    with pytest.raises(OrderRejected, match="5 wanted, 4 available, 6 held by working sells"):
        broker.submit(order("sell", qty=5, id="t"))


def test_a_gap_up_never_spends_more_than_there_is(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 200.0)], cash=D(1100))
    broker.submit(order(qty=10))
    clock.set(at("9:37"))
    assert broker.account().cash == D("1100") - 5 * D("200.14")


def test_a_known_client_id_returns_the_order_that_is_there(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0)])
    first = broker.submit(order())
    assert broker.submit(order(qty=99)) == first
    clock.set(at("9:36"))
    assert broker.submit(order()).status == "filled"
    assert len(broker.orders_since(at("9:30"))) == 1


def test_a_symbol_with_its_own_tick_was_held_to_that_of_all(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0)], ticks={"AAPL": D("0.05")}, half_spread=0.0)
    with pytest.raises(OrderRejected, match="multiple of the tick 0.05"):
        broker.submit(order(type="limit", limit_price="100.02"))
    broker.submit(order())
    clock.set(at("9:36"))
    # half a tick (0.025) and slippage 0.05: 100.075, up to the tick
    assert [fill.price for fill in broker.fills_since(at("11 0:00"))] == [D("100.1")]
