"""2026 to 2028, minute by minute, as cron on hosts in four zones would fire the lines that were printed in 2026."""

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
SPECS = [spec for spec in parse(default_schedule()) if spec.name != "monitor-exits"]
FIRST, LAST = date(2026, 1, 1), date(2028, 12, 31)


def ticks(zone):
    """(UTC minute, slots in their order) whenever a line of the crontab fires: cron goes by the host's wall clock."""
    year = a_year(FIRST, CALENDAR.on, NEW_YORK)
    lines = [
        (minutes, hours, weekdays, [call[-1] for call in calls])
        for minutes, hours, weekdays, calls in read(crontab(SPECS, year, NEW_YORK, zone, ["tradekit", "run-slot"]))
    ]
    minutes = sorted(set().union(*(line[0] for line in lines)))
    hour, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2029, 1, 1, tzinfo=UTC)
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


@pytest.mark.parametrize("host", ["America/New_York", "UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_each_slot_runs_once_a_session_at_its_exchange_time(host):
    from tradekit.schedule import check

    done, ran = {}, Counter()
    for now, names in ticks(ZoneInfo(host)):
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
