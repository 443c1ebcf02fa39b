"""A small New York without holidays, and bars by hand."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tradekit.calendar import ExchangeCalendar
from tradekit.market.bars import BarStore
from tradekit.market.market import Market
from tradekit.model import Session

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2026, 2, 13)
HALF = date(2025, 12, 24)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[2].parent / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared market data is not beside this checkout")


def weekdays(first=date(2025, 10, 1), last=date(2026, 4, 30), half=(HALF,)):
    """Sessions 9:30-16:00 New York on every weekday, 9:30-13:00 on half days."""
    days = (first + timedelta(days=k) for k in range((last - first).days + 1))
    return [session(day, day in half) for day in days if day.weekday() < 5]


def session(day, half=False):
    opens = datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC)
    closes = datetime.combine(day, time(13 if half else 16), NEW_YORK).astimezone(UTC)
    return Session(day, opens, closes, half)


def calendar(**kwargs):
    return ExchangeCalendar(weekdays(**kwargs), "America/New_York")


CALENDAR = calendar()


def et(hour, minute=0, day=DAY):
    """A New York wall-clock time."""
    return datetime.combine(day, time(hour, minute), NEW_YORK).astimezone(UTC)


def rows(bars, day=DAY):
    """[n, 6] from {"9:30": (open, high, low, close, volume)} or {"9:30": close}."""
    out = []
    for clock, bar in bars.items():
        hour, minute = map(int, clock.split(":"))
        bar = (bar, bar, bar, bar, 100.0) if isinstance(bar, int | float) else bar
        out.append((et(hour, minute, day).timestamp(), *map(float, bar)))
    return np.array(out)


def flat(day, close=100.0, volume=10.0, seconds=60, count=None):
    """A whole regular session of equal bars."""
    hours = CALENDAR.on(day)
    n = count or hours.minutes * 60 // seconds
    out = np.full((n, 6), close)
    out[:, 0] = hours.open.timestamp() + seconds * np.arange(n)
    out[:, 5] = volume
    return out


def put(store, symbol, bars, day=DAY, seconds=60, source="file"):
    with store.writing() as writer:
        writer.intraday(source, seconds, symbol, day.isoformat(), rows(bars, day) if isinstance(bars, dict) else bars)


def put_daily(store, symbol, closes, until=DAY, volume=1000.0, source="file"):
    """Daily bars that end the session before `until`; one close each, open = close, high and low 1 around."""
    past = CALENDAR.before(until, len(closes))
    with store.writing() as writer:
        for one, close in zip(past, closes, strict=True):
            values = np.array([[close], [close + 1], [close - 1], [close], [volume]], dtype=float)
            writer.daily(source, one.day.isoformat(), [symbol], values)


def new_store(folder):
    return BarStore(folder / "bars.db", create=True)


def market(store, **kwargs):
    return Market(store, CALENDAR, **kwargs)
