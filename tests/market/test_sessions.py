"""The session table against two lists that others made, and whatever zone the host is in."""

import csv
import gzip
import json
import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from tests.market.tape import SHARED, needs_shared
from tradekit.errors import ConfigError, UsageError
from tradekit.market.sessions import build, zone_of


@needs_shared
def test_new_york_equals_the_answer_files():
    with gzip.open(SHARED / "truth" / "xnys_sessions_shared.csv.gz", "rt") as file:
        truth = [row for row in csv.DictReader(file) if row["session"] >= "2005"]
    mine = {
        (f"{s.day}", f"{s.open:%Y-%m-%dT%H:%MZ}", f"{s.close:%Y-%m-%dT%H:%MZ}", str(int(s.half)))
        for s in build("XNYS", date(2005, 1, 1), date(2025, 12, 31))
    }
    want = {tuple(row.values()) for row in truth}
    years = {row[0][:4] for row in want}
    assert len(want) > 4000 and {row for row in mine if row[0][:4] in years} == want


@needs_shared
def test_new_york_has_the_holidays_and_early_closes_of_another_list():
    hours = json.loads((SHARED / "truth" / "lean_us_equity_hours.json").read_text())
    mine = {s.day: s for s in build("XNYS", date(2015, 1, 1), date(2024, 12, 31))}
    parse = lambda text: datetime.strptime(text, "%m/%d/%Y").date()  # noqa: E731  # one line says it
    holidays = {parse(text) for text in hours["holidays"]}
    early = {parse(text) for text in hours["earlyCloses"]}
    inside = lambda day: 2015 <= day.year <= 2024 and day.weekday() < 5  # noqa: E731  # as above
    assert not {day for day in holidays if inside(day)} & set(mine)
    assert {day for day in early if inside(day)} == {day for day, s in mine.items() if s.half}


def test_a_half_day_closes_at_one_and_the_clock_change_moves_utc():
    christmas_eve, friday, monday = (
        build("XNYS", day, day)[0] for day in (date(2025, 12, 24), date(2026, 3, 6), date(2026, 3, 9))
    )
    assert christmas_eve.half and christmas_eve.minutes == 210
    assert christmas_eve.close == datetime(2025, 12, 24, 18, tzinfo=UTC)
    assert (friday.open.hour, monday.open.hour) == (14, 13)
    assert not friday.half and friday.open.tzinfo is UTC


def test_a_weekend_has_no_session_and_a_wrong_name_is_named():
    assert build("XNYS", date(2026, 2, 14), date(2026, 2, 15)) == []
    with pytest.raises(ConfigError, match="XNYX"):
        build("XNYX", date(2026, 2, 1), date(2026, 2, 2))
    with pytest.raises(UsageError):
        build("XNYS", date(2026, 2, 2), date(2026, 2, 1))
    with pytest.raises(UsageError):
        build("24/7", date(2026, 2, 2), date(2026, 2, 3))
    assert (zone_of("XNYS"), zone_of("24/7"), zone_of("XTKS")) == ("America/New_York", "UTC", "Asia/Tokyo")


@pytest.mark.parametrize("zone", ["Asia/Tokyo"])
def test_the_hosts_zone_changes_nothing(zone):
    code = (
        "from datetime import date; from tradekit.market.sessions import build;"
        "found = build('XNYS', date(2026, 3, 6), date(2026, 3, 9));"
        "print([(str(s.day), s.open.isoformat(), s.close.isoformat()) for s in found])"
    )
    out = subprocess.run([sys.executable, "-c", code], env={"TZ": zone}, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == str(
        [
            ("2026-03-06", "2026-03-06T14:30:00+00:00", "2026-03-06T21:00:00+00:00"),
            ("2026-03-09", "2026-03-09T13:30:00+00:00", "2026-03-09T20:00:00+00:00"),
        ]
    )
