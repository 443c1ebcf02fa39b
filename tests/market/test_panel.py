"""Panels: the whole market at once, against a slow and simple reckoning of the same numbers."""

from datetime import timedelta
from statistics import fmean, median

import numpy as np
import pytest

from tests.market.tape import (
    CALENDAR,
    DAY,
    HALF,
    NOW,
    SHARED,
    calendar,
    et,
    flat,
    market,
    needs_shared,
    new_store,
    put,
    put_daily,
    weekdays,
)  # fmt: skip
from tradekit.calendar import ExchangeCalendar
from tradekit.errors import UsageError
from tradekit.market.importing import import_files, read_files
from tradekit.market.market import Market

YESTERDAY = CALENDAR.previous(DAY).day


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path) as store:
        yield store


def last(panel, name):
    return getattr(panel.today, name)[-1]


def test_rows_are_sessions_and_the_last_one_is_today(store):
    put_daily(store, "AAPL", [10, 11, 12])
    put(store, "AAPL", {"9:30": (13, 15, 12, 14, 100), "9:31": (14, 14, 13, 13.5, 50), "9:32": 99})
    p = market(store).panel(["AAPL", "NONE"], et(9, 32), 4, DAY)
    assert p.time == (*(s.day for s in CALENDAR.before(DAY, 4)), DAY)
    assert p.close.shape == (5, 2) and p.symbols == ("AAPL", "NONE") and p.at == et(9, 32)
    np.testing.assert_array_equal(p.close[:, 0], [np.nan, 10, 11, 12, np.nan])
    seen = [last(p, name)[0] for name in ("open", "high", "low", "price", "volume")]
    assert seen == [13, 15, 12, 13.5, 150]
    assert np.isnan(p.close[:, 1]).all() and np.isnan(last(p, "price")[1])
    assert np.isnan(p.today.price[:-1]).all()


def test_usual_is_the_mean_of_the_same_minutes_of_earlier_sessions(store):
    past = CALENDAR.before(DAY, 12)
    for n, one in enumerate(past):
        put(store, "AAPL", flat(one.day, volume=10 * (n + 1)), day=one.day)
    put(store, "AAPL", {"9:30": (10, 10, 10, 10, 100), "9:33": (10, 10, 10, 10, 100)})
    p = market(store).panel(["AAPL"], et(9, 34, DAY), 20, DAY)
    assert last(p, "usual")[0] == pytest.approx(4 * fmean(10 * (n + 1) for n in range(12)))
    assert market(store).surge("AAPL", DAY, et(9, 34)) == pytest.approx(200 / 260)


def test_nine_sessions_are_too_few_and_the_share_table_speaks(store):
    for one in CALENDAR.before(DAY, 9):
        put(store, "AAPL", flat(one.day, volume=1), day=one.day)
    put_daily(store, "AAPL", [100.0] * 20, volume=1000)
    put(store, "AAPL", {"9:30": 10.0})
    usual = {m: last(market(store).panel(["AAPL"], et(9, 30 + m), 20, DAY), "usual")[0] for m in (1, 5, 15)}
    assert usual == pytest.approx({1: 20, 5: 50, 15: 100})
    assert last(market(store).panel(["AAPL"], et(9, 40), 20, DAY), "usual")[0] == pytest.approx(75)  # between 5 and 15
    assert last(market(store).panel(["AAPL"], et(16), 20, DAY), "usual")[0] == pytest.approx(1000)


def test_nine_days_are_too_few_for_an_average_day(store):
    put_daily(store, "AAPL", [100.0] * 9)
    put(store, "AAPL", {"9:30": 10.0})
    assert np.isnan(last(market(store).panel(["AAPL"], et(9, 31), 20, DAY), "usual")[0])
    assert market(store).surge("AAPL", DAY, et(9, 31)) is None


def test_on_a_half_day_the_share_is_stretched_and_the_day_is_shorter(store):
    put_daily(store, "AAPL", [100.0] * 20, until=HALF, volume=3900)
    put(store, "AAPL", flat(HALF), day=HALF)
    m = market(store)
    # 70 of 210 minutes is minute 130 of 390: between .44 (120) and .56 (180): .46; the average day x 210/390 = 2100
    p = m.panel(["AAPL"], et(10, 40, HALF), 20, HALF)
    assert last(p, "usual")[0] == pytest.approx(0.46 * 2100)
    p = m.panel(["AAPL"], et(20, 0, HALF), 20, HALF)
    assert last(p, "usual")[0] == pytest.approx(2100)
    assert last(p, "volume")[0] == 2100  # and not the 180 minutes after the early close


def test_full_sessions_do_not_take_half_days_as_their_usual(store):
    after = CALENDAR.next(HALF).day
    for one in CALENDAR.before(after, 11):
        put(store, "AAPL", flat(one.day, volume=1000 if one.half else 10), day=one.day)
    put(store, "AAPL", flat(after), day=after)
    assert last(market(store).panel(["AAPL"], et(9, 35, after), 20, after), "usual")[0] == pytest.approx(50)


def test_five_minute_bars_are_compared_with_what_they_can_have_seen(store):
    """At 9:37 the 9:35 bar is not over: the usual volume is that of the first five minutes, from minute bars too."""
    for n, one in enumerate(CALENDAR.before(DAY, 10)):
        coarse = n % 2 == 0
        bars = flat(one.day, volume=50 if coarse else 10, seconds=300 if coarse else 60)
        put(store, "AAPL", bars, day=one.day, seconds=300 if coarse else 60)
    put(store, "AAPL", flat(DAY, volume=70, seconds=300), seconds=300)
    p = market(store).panel(["AAPL"], et(9, 37), 20, DAY)
    assert (last(p, "volume")[0], last(p, "usual")[0]) == (70, pytest.approx(50))


def test_minute_bars_are_compared_with_the_part_of_a_coarse_bar(store):
    for one in CALENDAR.before(DAY, 10):
        put(store, "AAPL", flat(one.day, volume=50, seconds=300), day=one.day, seconds=300)
    put(store, "AAPL", flat(DAY, volume=20))
    p = market(store).panel(["AAPL"], et(9, 37), 20, DAY)
    assert (last(p, "volume")[0], last(p, "usual")[0]) == (140, pytest.approx(70))


def test_feeds_that_never_met_have_no_usual_volume(store):
    put_daily(store, "AAPL", [100.0] * 20, source="official")
    put(store, "AAPL", {"9:30": 10.0})
    p = market(store).panel(["AAPL"], et(9, 31), 20, DAY)
    assert last(p, "cross_feed").tolist() == [True] and np.isnan(last(p, "usual")[0])


def test_feeds_that_met_are_scaled_by_the_median_ratio(store):
    put_daily(store, "AAPL", [100.0] * 20, volume=1000, source="official")
    for one, volume in zip(CALENDAR.before(DAY, 3), (1, 2, 100), strict=True):  # sums 390, 780, 39000
        put(store, "AAPL", flat(one.day, volume=volume), day=one.day)
    put(store, "AAPL", {"9:30": 10.0})
    p = market(store).panel(["AAPL"], et(9, 35), 20, DAY)
    assert not last(p, "cross_feed")[0]
    assert last(p, "usual")[0] == pytest.approx(0.05 * 1000 * 0.78)


def test_a_days_own_daily_bar_is_not_seen_before_the_close(store):
    put_daily(store, "AAPL", [10, 11, 999], until=CALENDAR.next(DAY).day)
    put_daily(store, "DAILY", [10.0] * 12, until=CALENDAR.next(DAY).day)
    put(store, "AAPL", {"9:30": 12.0})
    p = market(store).panel(["AAPL", "DAILY"], et(15, 59), 3, DAY)
    assert last(p, "price")[0] == 12 and np.isnan(last(p, "price")[1]) and np.isnan(p.close[-1]).all()
    after = market(store).panel(["AAPL", "DAILY"], et(16), 3, DAY)
    assert last(after, "price").tolist() == [12, 10]
    assert last(after, "usual")[1] == 1000


def test_holes_in_the_daily_history_are_filled_from_minutes(store):
    put_daily(store, "AAPL", [10, 11], until=YESTERDAY)
    put_daily(store, "MSFT", [50, 51, 52])
    put(store, "AAPL", {"8:00": 1, "9:30": (12, 13, 11, 12, 5), "15:59": (12, 14, 12, 12.5, 6)}, day=YESTERDAY)
    p = market(store).panel(["AAPL", "MSFT"], et(9, 30), 2, DAY)
    assert p.close[:2].tolist() == [[11, 51], [12.5, 52]]
    assert (p.open[1, 0], p.high[1, 0], p.low[1, 0], p.volume[1, 0]) == (12, 14, 11, 11)


def test_a_pre_market_price_is_no_older_than_half_an_hour(store):
    put(store, "AAPL", {"8:00": 10.0, "8:20": 11.0, "9:30": 50.0})
    m = market(store)
    assert last(m.panel(["AAPL"], et(8, 50), 3, DAY), "last_extended")[0] == 11
    assert np.isnan(last(m.panel(["AAPL"], et(8, 51), 3, DAY), "last_extended")[0])
    assert np.isnan(last(m.panel(["AAPL"], et(9, 31), 3, DAY), "last_extended")[0])
    assert np.isnan(last(m.panel(["AAPL"], et(8, 50), 3, DAY), "price")[0])


def test_symbols_of_several_sources_stand_side_by_side(store):
    put_daily(store, "A", [1, 2], source="alpha")
    put_daily(store, "B", [3, 4], source="beta")
    p = market(store).panel(["B", "A"], et(9, 30), 2, DAY)
    assert p.close[:2].tolist() == [[3, 1], [4, 2]]
    assert np.isnan(market(store, source="alpha").panel(["B", "A"], et(9, 30), 2, DAY).close[:2, 0]).all()


def test_an_empty_universe_and_an_empty_store_give_empty_panels(store):
    m = market(store)
    assert m.panel([], et(10), 5, DAY).close.shape == (6, 0)
    assert np.isnan(m.panel(["AAPL"], et(10), 5, DAY).today.price).all()
    with pytest.raises(UsageError, match="not a session"):
        m.panel(["AAPL"], et(10), 5, DAY + timedelta(days=1))


def test_many_symbols_give_the_same_as_few(store):
    """Beyond some number the whole session is read at once."""
    names = [f"S{k}" for k in range(120)]
    for k, name in enumerate(names):
        put(store, name, {"9:30": 10.0 + k, "9:31": 20.0 + k})
    m = market(store)
    assert last(m.panel(names, et(9, 32), 2, DAY), "price").tolist() == [20.0 + k for k in range(120)]
    assert last(m.panel(names[7:9], et(9, 32), 2, DAY), "price").tolist() == [27.0, 28.0]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Real 5-minute, minute and daily bars up to 2026-02-13, as a user would import them."""
    days = ExchangeCalendar(
        [s for s in weekdays(first=calendar().on(DAY).day.replace(year=2025, month=5, day=1)) if not closed(s.day)],
        "America/New_York",
    )
    store = new_store(tmp_path_factory.mktemp("real"))
    for name, timeframe in (("m1_2026_feb", "1m"), ("m5_2026", "5m"), ("daily_from5m_2025_26", "1d")):
        tables = read_files([SHARED / "market" / "us" / f"{name}.parquet"], timeframe, None)
        import_files(store, tables, days, timeframe=timeframe, source="file", replace=False, now=NOW)
    yield Market(store, days)
    store.close()


def closed(day):
    return day.isoformat() in {
        "2025-05-26", "2025-06-19", "2025-07-04", "2025-09-01", "2025-11-27", "2025-12-25", "2026-01-01", "2026-01-19",
        "2026-02-16", "2026-04-03",
    }  # fmt: skip


@needs_shared
@pytest.mark.parametrize("minute", [5, 37, 360])
def test_a_real_day_equals_the_slow_reckoning(real, minute):
    at = et(9, 30) + timedelta(minutes=minute)
    names = real.symbols(at)
    p = real.panel(names, at, 60, DAY)
    assert len(names) == 100
    for k in range(0, 100, 9):
        want = slow(real, names[k], at)
        got = [float(last(p, name)[k]) for name in ("open", "high", "low", "price", "volume", "usual")]
        assert got == pytest.approx(want, rel=1e-12, nan_ok=True), names[k]
        closes = [bar.close for bar in real.daily(names[k], DAY, 60)]
        assert p.close[:-1, k][~np.isnan(p.close[:-1, k])].tolist() == closes


def slow(m, symbol, at):
    """open, high, low, price, volume, usual, bar by bar."""
    seconds = m.bar_seconds(symbol, DAY)
    bars = [b for b in m.played(symbol, et(0), at) if et(9, 30) <= b.start < et(16)]
    elapsed = (at - et(9, 30)).total_seconds() // seconds * seconds
    past = [s for s in m.calendar.before(DAY, 60) if s.minutes == 390][-20:]
    sums = []
    for one in past:
        those = m.played(symbol, one.open, one.close)
        if those:
            cut = one.open + timedelta(seconds=elapsed)
            parts = (min(max((cut - b.start) / (b.end - b.start), 0), 1) * b.volume for b in those if b.start < cut)
            sums.append(sum(parts))
    usual = fmean(sums) if len(sums) >= 10 else float("nan")
    return [
        bars[0].open, max(b.high for b in bars), min(b.low for b in bars), bars[-1].close, sum(b.volume for b in bars),
        usual,
    ]  # fmt: skip


@needs_shared
def test_turnover_of_a_real_day_is_the_median(real):
    bars = real.daily("AAPL", DAY, 20)
    assert real.turnover(["AAPL"], DAY)["AAPL"] == median(b.close * b.volume for b in bars)


def test_clock_changes_move_the_session_in_utc(store):
    """The Friday before and the Monday after the US clock change of 2026-03-08."""
    friday, monday = DAY.replace(month=3, day=6), DAY.replace(month=3, day=9)
    for day, opens in ((friday, 14), (monday, 13)):
        assert CALENDAR.on(day).open.hour == opens
        put(store, "AAPL", {"9:29": 1.0, "9:30": 10.0, "15:59": 11.0, "16:00": 99.0}, day=day)
        row = market(store).today("AAPL", day, et(20, 0, day))
        assert (row.open, row.close) == (10, 11)
