"""What was known when."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.tape import CALENDAR, DAY, HALF, et, flat, market, new_store, put, put_daily
from tradekit.calendar import AllDayCalendar
from tradekit.market.market import Market, looks_split

YESTERDAY = CALENDAR.previous(DAY).day


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path) as store:
        yield store


def test_a_bar_is_known_at_its_end_and_not_a_second_earlier(store):
    put(store, "AAPL", {"9:30": 10, "9:31": 11})
    m = market(store)
    assert m.last("AAPL", et(9, 31) - timedelta(seconds=1)) is None
    assert m.last("AAPL", et(9, 31)).close == 10
    assert m.last("AAPL", et(9, 32)).close == 11


def test_a_daily_bar_is_known_at_the_close_even_when_it_was_imported_before(store):
    put_daily(store, "AAPL", [10, 11], until=CALENDAR.next(DAY).day)  # yesterday 10, today 11
    m = market(store)
    assert m.last("AAPL", et(15, 59)).close == 10
    assert m.last("AAPL", et(16)).close == 11
    assert m.closes("AAPL", DAY, 5) == [10]


def test_a_later_daily_bar_beats_old_minutes_and_minutes_of_the_same_day_beat_it(store):
    old = CALENDAR.before(DAY, 3)[0].day
    put(store, "AAPL", {"9:30": 8}, day=old)
    put_daily(store, "AAPL", [10])
    m = market(store)
    assert m.last("AAPL", et(9, 0)).close == 10
    put(store, "AAPL", {"15:59": 10.5}, day=YESTERDAY)
    assert m.last("AAPL", et(9, 1)).close == 10.5


def test_the_finest_bars_of_each_session_are_used(store):
    put(store, "AAPL", {"9:30": 10}, seconds=300)
    put(store, "AAPL", {"9:30": 10, "9:31": 11})
    put(store, "AAPL", {"9:30": 9}, day=YESTERDAY, seconds=300)
    m = market(store)
    assert (m.bar_seconds("AAPL", DAY), m.bar_seconds("AAPL", YESTERDAY), m.bar_seconds("X", DAY)) == (60, 300, None)
    assert [b.close for b in m.played("AAPL", et(9, 0, YESTERDAY), et(16))] == [9, 10, 11]


def test_played_takes_bars_from_start_to_end(store):
    put(store, "AAPL", {"9:30": 10, "9:31": 11, "9:32": 12, "16:05": 13})
    m = market(store)
    assert [b.close for b in m.played("AAPL", et(9, 31), et(9, 33))] == [11, 12]
    assert [b.close for b in m.played("AAPL", et(9, 31), et(9, 32, CALENDAR.next(DAY).day))] == [11, 12, 13]
    assert [b.regular for b in m.bars("AAPL", et(9, 30), et(20))] == [True, True, True, False]
    assert m.played("NONE", et(9, 30), et(16)) == []


def test_extended_hours_count_for_quotes_but_not_for_the_day(store):
    put(store, "AAPL", {"8:00": 20, "9:30": 10, "9:31": 11, "16:00": 30})
    m = market(store)
    assert m.quote("AAPL", et(9, 0)).last == 20
    assert m.today("AAPL", DAY, et(9, 30)) is None
    row = m.today("AAPL", DAY, et(20))
    assert (row.open, row.high, row.low, row.close, row.volume) == (10, 11, 10, 11, 200)
    assert [b.close for b in m.day_bars("AAPL", DAY, et(20))] == [10, 11]


def test_an_hourly_bar_that_spans_the_open_belongs_to_the_day(store):
    put(store, "SPY", {"8:00": 5, "9:00": 10, "10:00": 11, "16:00": 12}, seconds=3600)
    assert [b.close for b in market(store).day_bars("SPY", DAY, et(20))] == [10, 11]


def test_the_quote_is_the_close_with_half_a_spread_on_each_side(store):
    put(store, "AAPL", {"9:30": 100.0})
    put(store, "PENNY", {"9:30": 0.005})
    m = market(store, half_spread=0.0002)
    q = m.quote("AAPL", et(9, 36))
    assert (q.bid, q.ask, q.last, q.at, q.age_s, q.assumed) == (D("99.98"), D("100.02"), D(100), et(9, 31), 300, True)
    assert market(store, half_spread=0.00001).quote("AAPL", et(9, 36)).bid == D("99.995")  # half a tick is more
    assert m.quote("PENNY", et(9, 36)).bid > 0
    assert m.quote("NONE", et(9, 36)) is None


def test_small_caps_have_their_own_spread(store):
    put(store, "AAPL", {"9:30": 100.0})
    m = market(store, half_spread_of=lambda symbol: 0.001)
    assert m.quote("AAPL", et(9, 31)).ask == D("100.1")


def test_a_day_without_a_daily_bar_is_built_from_its_minutes(store):
    put_daily(store, "AAPL", [10], until=YESTERDAY)
    put(store, "AAPL", {"8:00": 1, "9:30": (10, 12, 9, 11, 70), "15:59": (11, 11, 8, 10.5, 30)}, day=YESTERDAY)
    bars = market(store).daily("AAPL", DAY, 5)
    assert [b.close for b in bars] == [10, 10.5]
    assert (bars[1].open, bars[1].high, bars[1].low, bars[1].volume) == (10, 12, 8, 100)
    assert (bars[1].start, bars[1].end) == (et(9, 30, YESTERDAY), et(16, 0, YESTERDAY))


def test_a_built_day_is_of_the_same_feed(store):
    put_daily(store, "AAPL", [10], until=YESTERDAY, source="official")
    put(store, "AAPL", {"9:30": 11}, day=YESTERDAY)
    assert market(store).closes("AAPL", DAY, 5) == [10]
    assert market(store, source="file").closes("AAPL", DAY, 5) == [11]


def test_the_most_recent_daily_source_is_read_and_the_day_itself_does_not_matter(store):
    put_daily(store, "AAPL", [10, 11], until=YESTERDAY, source="alpha")
    put_daily(store, "AAPL", [20], source="beta")
    m = market(store)
    assert m.closes("AAPL", DAY, 5) == [20]
    put_daily(store, "AAPL", [12], source="alpha")
    assert m.closes("AAPL", DAY, 5) == [20]  # nothing was looked at anew: same `at`
    m.refresh()
    assert m.closes("AAPL", DAY, 5) == [10, 11, 12]  # a tie goes by name
    put_daily(store, "AAPL", [99], until=CALENDAR.next(DAY).day, source="beta")  # today's bar, beforehand
    m.refresh()
    assert m.closes("AAPL", DAY, 5) == [10, 11, 12]
    assert market(store, source="beta").closes("AAPL", DAY, 5) == [20]


def test_turnover_is_the_median_of_twenty_sessions(store):
    put_daily(store, "AAPL", [10.0] * 25 + [20.0] * 9, volume=1000)
    assert market(store).turnover(["AAPL", "NONE"], DAY) == {"AAPL": 10_000.0}


@pytest.mark.parametrize(("sessions", "known"), [(9, {}), (10, {"AAPL": 10_000.0})])
def test_a_few_sessions_are_no_usual_turnover(store, sessions, known):
    """The first days of a new listing are its wildest: their median would pass for what is usual."""
    put_daily(store, "AAPL", [10.0] * sessions, volume=1000)
    assert market(store).turnover(["AAPL"], DAY, 10) == known
    assert market(store).turnover(["AAPL"], DAY, 1) == {"AAPL": 10_000.0}


def test_recent_volume_sums_the_last_complete_bars(store):
    put(store, "AAPL", flat(DAY, volume=10))
    put(store, "SLOW", flat(DAY, volume=50, seconds=300), seconds=300)
    m = market(store)
    assert m.recent_volume("AAPL", et(10, 7), 300) == 50
    assert m.recent_volume("SLOW", et(10, 7), 300) == 50  # 10:00-10:05
    assert m.recent_volume("AAPL", et(9, 30), 300) is None


@pytest.mark.parametrize(
    ("before", "after", "split"),
    [(100, 50, True), (100, 10.2, True), (100, 99, False), (100, 61, False), (1.0, 10.1, True), (100, 53, False)],
)
def test_a_split_opens_at_a_whole_multiple(before, after, split):
    assert looks_split(before, after) is split


def test_a_split_is_seen_when_the_first_bar_is(store):
    put_daily(store, "NFLX", [1100.0])
    put(store, "NFLX", {"9:30": 112.0})
    m = market(store)
    assert not m.split_today("NFLX", DAY, et(9, 30))
    assert m.split_today("NFLX", DAY, et(9, 31)) == m.split_today("NFLX", DAY) == pytest.approx(10, rel=0.05)
    assert not m.split_today("NONE", DAY)


def test_what_the_day_opened_at(store):
    put(store, "AAPL", {"9:15": 9, "9:30": (10, 12, 8, 11, 100), "9:31": 13})
    m = market(store)
    assert m.first_open("AAPL", DAY, et(9, 30)) is None
    assert m.first_open("AAPL", DAY, et(9, 31)) == m.first_open("AAPL", DAY, et(15)) == m.first_open("AAPL", DAY) == 10
    assert m.first_open("NONE", DAY) is None
    assert m.first_open("AAPL", YESTERDAY) is None


def test_the_last_bar_of_a_session_that_is_over_stays_until_the_file_changes(store):
    put(store, "AAPL", {"15:58": 10}, day=YESTERDAY)
    m, over = market(store), CALENDAR.on(YESTERDAY)
    for _ in range(2):
        assert m.at_close("AAPL", over) == m.last("AAPL", over.close)
        assert (m.at_close("AAPL", over).close, m.last_close_before("AAPL", DAY)) == (10, 10)
        assert m.at_close("NONE", over) is None
        assert m.last_close_before("NONE", DAY) is None
    put(store, "AAPL", {"15:59": 11}, day=YESTERDAY)
    assert m.quote("AAPL", et(9, 41)).last == 11  # a new look
    assert (m.at_close("AAPL", over).close, m.last_close_before("AAPL", DAY)) == (11, 11)


def test_new_bars_are_seen_at_the_next_look(store):
    put(store, "AAPL", {"9:30": 10})
    m = market(store)
    assert m.last("AAPL", et(9, 40)).close == 10
    put(store, "AAPL", {"9:31": 11})
    assert m.last("AAPL", et(9, 41)).close == 11


def test_symbols_are_those_that_had_a_session_by_then(store):
    put(store, "NEW", {"9:30": 10})
    put_daily(store, "OLD", [10])
    m = market(store)
    assert m.symbols(et(16)) == ["NEW", "OLD"]
    assert m.symbols(et(16, 0, YESTERDAY)) == ["OLD"]
    assert market(store, source="other").symbols(et(16)) == []


def test_around_the_clock_a_session_is_the_utc_date(tmp_path):
    with new_store(tmp_path) as store:
        start = datetime(2026, 2, 13, tzinfo=UTC)
        data = flat(DAY, count=1440)
        data[:, 0] = start.timestamp() + 60.0 * np.arange(1440)
        put(store, "BTC/USD", data)
        m = Market(store, AllDayCalendar(), tick=D("0.01"))
        assert m.today("BTC/USD", DAY, start + timedelta(hours=1)).volume == 600
        assert m.last("BTC/USD", start + timedelta(days=1)).end == start + timedelta(days=1)
        assert m.closes("BTC/USD", DAY + timedelta(days=1), 3) == [100.0]


def test_context_is_up_stale_or_unknown(store):
    put_daily(store, "SPY", [100.0] * 20 + [101.5])
    m = market(store)
    nothing = m.context("SPY", [], et(9, 40), DAY)
    assert (nothing["stale"], nothing["price"], nothing["regime"]) == (True, 101.5, "up")  # against 100.075
    put(store, "SPY", {"9:30": 98.0})
    today = m.context("SPY", [], et(9, 41), DAY)
    assert (today["stale"], today["price"], today["regime"], today["sma20"]) == (False, 98.0, "down", 100.075)
    unknown = m.context("QQQ", [], et(9, 42), DAY)
    assert (unknown["price"], unknown["regime"], unknown["volatility"]) == (None, "unknown", None)
    assert m.context(None, [], et(9, 42), DAY)["regime"] == "unknown"


def test_volatility_is_annualised(store):
    put_daily(store, "SPY", [100.0, 101.0] * 10 + [100.0])
    # log returns +-0.00995, ten of each: deviation 0.00995033 x sqrt(20/19), x sqrt(252)
    assert market(store).context("SPY", [], et(9, 40), DAY)["volatility"] == pytest.approx(0.16206, abs=1e-5)


def test_breadth_is_the_share_above_yesterday(store):
    for k, price in enumerate([9.0, 11.0, 12.0, 10.0]):
        put_daily(store, f"S{k}", [10.0])
        put(store, f"S{k}", {"9:30": price})
    put_daily(store, "DARK", [10.0])
    m, names = market(store), ["S0", "S1", "S2", "S3", "DARK"]
    assert m.context(None, names, et(9, 31), DAY)["breadth"] == 0.5
    assert m.context(None, names, et(9, 31), DAY, m.panel(names, et(9, 31), 1, DAY))["breadth"] == 0.5


def test_the_half_hour_is_compared_with_the_same_one_of_earlier_sessions(store):
    m = market(store)
    for past in CALENDAR.before(DAY, 12):
        put(store, "SPY", {"10:00": (100, 102, 100, 101, 1), "10:30": (100, 150, 100, 101, 1)}, day=past.day)
    put(store, "SPY", {"10:00": (200, 201, 200, 200, 1)})
    assert m.half_hour_range("SPY", DAY, et(10, 30)) == pytest.approx((0.005, 0.02))
    assert m.half_hour_range("SPY", DAY, et(10, 59)) == pytest.approx((0.005, 0.02))
    assert m.half_hour_range("SPY", DAY, et(9, 59)) is None
    assert m.half_hour_range("SPY", DAY, et(11, 0)) is None  # no bars in it today


def test_a_half_day_ends_at_one(store):
    put(store, "AAPL", {"12:59": 10, "13:00": 99}, day=HALF)
    m = market(store)
    assert m.today("AAPL", HALF, et(20, 0, HALF)).close == 10
    assert [b.regular for b in m.bars("AAPL", et(9, 30, HALF), et(20, 0, HALF))] == [True, False]


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """Minutes, 5-minute and daily bars of three sessions, the days' full daily bars imported beforehand."""
    store = new_store(tmp_path_factory.mktemp("busy"))
    days = [s.day for s in CALENDAR.before(DAY, 2)] + [DAY]
    for n, day in enumerate(days):
        put(store, "AAPL", flat(day, close=100 + n)[: 390 - 7 * n], day=day)
        put(store, "SLOW", flat(day, close=50 + n, seconds=300), day=day, seconds=300)
    put_daily(store, "AAPL", [100, 101, 999], until=CALENDAR.next(DAY).day)
    put_daily(store, "DAILY", [1, 2, 3], until=CALENDAR.next(DAY).day)
    yield Market(store, CALENDAR)
    store.close()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3 * 24 * 3600), st.sampled_from(["AAPL", "SLOW", "DAILY", "NONE"]))
def test_nothing_is_known_before_it_has_ended(busy, seconds, symbol):
    at = et(0, 0, CALENDAR.before(DAY, 2)[0].day) + timedelta(seconds=seconds)
    day = busy.calendar.day(at)
    seen = busy.played(symbol, at - timedelta(days=4), at)
    last, quote = busy.last(symbol, at), busy.quote(symbol, at)
    assert all(bar.end <= at for bar in seen)
    assert last is None or last.end <= at
    assert quote is None or quote.at <= at
    assert all(bar.end <= at for bar in busy.day_bars(symbol, day, at))
    if busy.calendar.on(day):
        row = busy.today(symbol, day, at)
        assert row is None or row.close < 900  # the day's own daily bar
        assert all(bar.end <= at for bar in busy.daily(symbol, day, 5))
        if seen and symbol != "DAILY":
            assert last == seen[-1]
