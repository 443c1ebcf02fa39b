"""data check: each kind of fault planted once, and nothing said of clean bars."""

import numpy as np
import pytest

from tests.market.tape import CALENDAR, DAY, flat, new_store, put, put_daily
from tradekit.market.checking import check

YESTERDAY = CALENDAR.previous(DAY).day


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path) as store:
        yield store


def kinds(store, **kwargs):
    return [(f.kind, f.timeframe, f.symbol, f.session) for f in check(store, CALENDAR, **kwargs)]


def test_clean_bars_give_no_findings(store):
    put_daily(store, "AAPL", [100, 101, 99, 100])
    put(store, "AAPL", flat(DAY))
    put(store, "THIN", flat(DAY)[::9])  # trades now and then
    assert kinds(store) == []


def test_a_pause_of_a_liquid_symbol_is_a_gap(store):
    bars = flat(DAY)
    put(store, "AAPL", np.concatenate([bars[:100], bars[112:]]))
    [found] = check(store, CALENDAR)
    assert (found.kind, found.symbol, found.session, found.count) == ("gap", "AAPL", DAY, 12)
    assert found.detail == "12 bars in a row, from open+100m"


def test_a_session_that_ends_early_is_a_gap(store):
    put(store, "AAPL", flat(DAY)[:380])
    assert kinds(store) == [("gap", "1m", "AAPL", DAY)]


def test_missing_sessions_are_named(store):
    put_daily(store, "AAPL", [10], until=YESTERDAY)
    put_daily(store, "AAPL", [10], until=CALENDAR.next(DAY).day)
    before = CALENDAR.before(DAY, 2)[0].day
    for day in (before, DAY):
        put(store, "MSFT", flat(day), day=day)
    for day in (before, YESTERDAY, DAY):
        put(store, "SPY", flat(day), day=day)
    assert kinds(store) == [("missing-session", "1d", "AAPL", YESTERDAY), ("missing-session", "1m", "MSFT", YESTERDAY)]


def test_an_unadjusted_split_is_suspected_and_a_crash_is_not(store):
    put_daily(store, "NFLX", [1100, 1110, 112, 113])
    put_daily(store, "CRSH", [100, 101, 62, 61])
    put_daily(store, "UVXY", [10, 10.1, 50.2, 50])
    split = CALENDAR.before(DAY, 2)[0].day
    assert kinds(store) == [("split", "1d", "NFLX", split), ("split", "1d", "UVXY", split)]


def test_a_spike_that_comes_back_is_a_bad_tick(store):
    put_daily(store, "LNT", [72, 73, 37, 73, 72])
    bars = flat(DAY)
    bars[50, [2, 4]] = 140
    put(store, "AAPL", bars)
    found = check(store, CALENDAR)
    assert [(f.kind, f.symbol) for f in found] == [("bad-tick", "LNT"), ("bad-tick", "AAPL")]
    assert found[1].detail == "140 between 100 and 100"


def test_bars_without_volume_are_counted(store):
    bars = flat(DAY)
    bars[:30, 5] = 0
    put(store, "AAPL", bars)
    [found] = check(store, CALENDAR)
    assert (found.kind, found.count, found.session) == ("zero-volume", 30, None)


def test_one_session_can_be_checked_alone(store):
    put_daily(store, "NFLX", [1100, 1110, 112, 113])
    put(store, "AAPL", flat(YESTERDAY)[:330], day=YESTERDAY)
    put(store, "AAPL", flat(DAY)[:330])
    assert kinds(store, session=DAY) == [("gap", "1m", "AAPL", DAY)]
    assert kinds(store, session=CALENDAR.before(DAY, 2)[0].day) == [
        ("split", "1d", "NFLX", CALENDAR.before(DAY, 2)[0].day)
    ]
