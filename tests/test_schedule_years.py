"""2026 to 2028, minute by minute, as cron on hosts in four zones would fire the lines that were printed in 2026."""

import os
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.test_crontab import read
from tradekit.calendar import ExchangeCalendar
from tradekit.commands._crontab import a_year, crontab
from tradekit.market.sessions import build
from tradekit.schedule import default_schedule, parse, resolve_day

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = build("XNYS", date(2025, 12, 15), date(2028, 12, 31))
CALENDAR = ExchangeCalendar(SESSIONS, "America/New_York")
ALL = parse(default_schedule())
SPECS = [spec for spec in ALL if spec.name != "monitor-exits"]
EXITS = [spec for spec in ALL if spec.name == "monitor-exits"]
HOSTS = ["America/New_York", "UTC", "Asia/Tokyo", "America/Los_Angeles"]
EVERY_DAY = os.environ.get("TRADEKIT_YEARS") == "1"
FIRST, LAST = date(2026, 1, 1), date(2028, 12, 31)


def ticks(specs, zone, first=FIRST, last=LAST):
    """(UTC minute, slots in their order) whenever a line of the crontab fires: cron goes by the host's wall clock.

    From the UTC day `first` to six hours after the day `last`.
    """
    year = a_year(FIRST, CALENDAR.on, NEW_YORK)
    lines = [
        (minutes, hours, weekdays, [call[-1] for call in calls])
        for minutes, hours, weekdays, calls in read(crontab(specs, year, NEW_YORK, zone, ["tradekit", "run-slot"]))
    ]
    minutes = sorted(set().union(*(line[0] for line in lines)))
    hour = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(hours=30)
    while hour < end:
        local = hour.astimezone(zone)  # the zones here are whole hours away from UTC
        for minute in minutes:
            names = [
                name
                for at, hours, weekdays, called in lines
                if minute in at and local.hour in hours and local.isoweekday() % 7 in weekdays
                for name in called
            ]
            if names:
                yield hour + timedelta(minutes=minute, seconds=2), names
        hour += timedelta(hours=1)


@pytest.mark.parametrize("host", HOSTS)
def test_each_slot_runs_once_a_session_at_its_exchange_time(host):
    from tradekit.schedule import check

    done, ran = {}, Counter()
    for now, names in ticks(SPECS, ZoneInfo(host)):
        for name in names:
            found = check(name, now, SPECS, CALENDAR, done)
            if found.verdict == "due":
                done[name, found.due.at] = "done"
                ran[name, found.due.at] += 1
    days = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]
    wanted = Counter((due.name, due.at) for day in days for due in resolve_day(SPECS, day, CALENDAR.on(day), NEW_YORK))
    assert ran == wanted
    opens = sum(name == "open-scan" for name, _ in ran)
    assert opens == sum(FIRST <= session.day <= LAST for session in SESSIONS) > 745


def changes(year):
    """The Sundays on which New York's clocks change."""
    march, november = date(year, 3, 8), date(year, 11, 1)
    return [day + timedelta(days=(6 - day.weekday()) % 7) for day in (march, november)]


def days_to_look_at():
    """The sessions before and after each change of clocks, and all half days."""
    from itertools import pairwise

    found = set()
    for before, after in pairwise(SESSIONS):
        between = any(before.day < sunday < after.day for year in (2026, 2027, 2028) for sunday in changes(year))
        if between:
            found |= {before.day, after.day}
        if before.half:
            found.add(before.day)
    return sorted(day for day in found if FIRST <= day <= LAST)


@pytest.mark.parametrize("host", HOSTS)
def test_exits_run_once_in_each_minute_of_a_session(host, monkeypatch):
    """On days where that could go wrong; TRADEKIT_YEARS=1: on every day of three years, half a minute each."""
    from functools import cache

    from tradekit import schedule

    whole = cache(lambda day: resolve_day(EXITS, day, CALENDAR.on(day), NEW_YORK))
    monkeypatch.setattr(schedule, "resolve_day", lambda specs, day, session, zone: whole(day))  # 392 times a day
    spans = [(FIRST, LAST)] if EVERY_DAY else [(day, day) for day in days_to_look_at()]
    done, ran = {}, Counter()
    for span in spans:
        for now, names in ticks(EXITS, ZoneInfo(host), *span):
            for name in names:
                found = schedule.check(name, now, EXITS, CALENDAR, done)
                if found.verdict == "due":
                    done[name, found.due.at] = "done"
                    ran[found.due.at] += 1
    looked_at = [session for session in SESSIONS if any(first <= session.day <= last for first, last in spans)]
    assert len(looked_at) > (745 if EVERY_DAY else 15)
    minutes = [  # from the open until two minutes after the close, by hand
        session.open + timedelta(minutes=n)
        for session in looked_at
        for n in range(int((session.close - session.open).total_seconds() // 60) + 2)
    ]
    assert ran == Counter(minutes)
    assert {len([at for at in minutes if at.date() == day]) for day in (date(2026, 11, 27), date(2026, 3, 9))} == {
        212,
        392,
    }
