"""The schedule as cron lines: they parse, they name commands that exist, and they cover every due time."""

import re
import shlex
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tradekit.calendar import AllDayCalendar
from tradekit.cli import COMMANDS
from tradekit.commands._crontab import crontab, escaped, ranges, times_of
from tradekit.model import Session
from tradekit.schedule import default_schedule, due_times, parse, resolve_day

NEW_YORK = ZoneInfo("America/New_York")
EXAMPLE = Path(__file__).parent.parent / "crontab.example"
PROGRAM = ["/opt/tradekit/bin/tradekit", "-q", "-C", "/srv/desk", "run-slot"]
FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def weekday_sessions():
    """Every weekday of 2026 is a session, two of them short: what cron lines have to cover in any year."""

    def at(day, hour, minute):
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)

    days = [date(2026, 1, 1) + timedelta(days=i) for i in range(365)]
    short = {date(2026, 7, 2), date(2026, 11, 27)}
    return [
        (day, Session(day, at(day, 9, 30), at(day, 13, 0) if day in short else at(day, 16, 0), day in short))
        if day.weekday() < 5
        else (day, None)
        for day in days
    ]


DAYS = weekday_sessions()
DEFAULT = parse(default_schedule())


def values(field, lowest, highest):
    """The numbers that a cron field stands for; a field that cron would refuse raises."""
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = lowest, highest
        else:
            first, last = (int(x) for x in (span.split("-") if "-" in span else (span, span)))
        if not lowest <= first <= last <= highest:
            raise ValueError(field)
        found.update(range(first, last + 1, int(step or 1)))
    return found


def read(lines):
    """(minutes, hours, weekdays, [command words]) of every line that is no comment."""
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        *fields, command = line.split(None, 5)
        minutes, hours, days, months, weekdays = (values(f, *limit) for f, limit in zip(fields, FIELDS, strict=True))
        assert (len(days), len(months)) == (31, 12)
        assert not re.search(r"(?<!\\)%", command)
        calls = [shlex.split(call) for call in command.replace(r"\%", "%").split("; ")]
        yield minutes, hours, {day % 7 for day in weekdays}, calls


def test_the_example_parses_and_calls_commands_that_exist():
    lines = list(read(EXAMPLE.read_text().splitlines()))
    names = []
    for _, _, _, calls in lines:
        for program, quiet, flag, desk, command, slot in calls:
            assert (Path(program).name, quiet, flag, Path(desk).is_absolute()) == ("tradekit", "-q", "-C", True)
            assert command in COMMANDS
            names.append(slot)
    assert set(names) == {spec.name for spec in DEFAULT}
    for spec in DEFAULT:
        assert spec.verb in COMMANDS or spec.verb.split("-")[1] in COMMANDS[spec.verb.split("-")[0]]


def test_the_example_is_the_default_schedule():
    wanted = crontab(DEFAULT, DAYS, NEW_YORK, ZoneInfo("UTC"), PROGRAM)
    assert EXAMPLE.read_text() == "\n".join(wanted) + "\n"


@pytest.mark.parametrize("host", ["UTC", "America/New_York", "Asia/Tokyo", "Europe/Berlin", "Asia/Kolkata"])
def test_every_due_time_of_a_year_has_a_line(host):
    zone = ZoneInfo(host)
    fires = {}
    for minutes, hours, weekdays, calls in read(crontab(DEFAULT, DAYS, NEW_YORK, zone, PROGRAM)):
        ticks = {(m, h, d) for m in minutes for h in hours for d in weekdays}
        for call in calls:
            fires.setdefault(call[-1], set()).update(ticks)
    for day, session in DAYS:
        for due in resolve_day(DEFAULT, day, session, NEW_YORK):
            at = due.at.astimezone(zone)
            assert (at.minute, at.hour, at.isoweekday() % 7) in fires[due.name]


def test_the_lines_on_the_exchanges_own_clock():
    lines = crontab(DEFAULT, DAYS, NEW_YORK, NEW_YORK, ["tradekit", "run-slot"])
    assert [line for line in lines if line and not line.startswith("#")] == [
        "0 9 * * 1-5 tradekit run-slot reconcile",
        "35 9 * * 1-5 tradekit run-slot open-scan; tradekit run-slot open-decide; tradekit run-slot open-enter",
        "30 12 * * 1-5 tradekit run-slot midday-scan; tradekit run-slot midday-decide; tradekit run-slot midday-enter",
        "30 12,15 * * 1-5 tradekit run-slot close-scan; tradekit run-slot close-decide; tradekit run-slot close-enter",
        "* 9-16 * * 1-5 tradekit run-slot monitor-exits",
        "0,30 10-15 * * 1-5 tradekit run-slot jobs-track",
        "5 13,16 * * 1-5 tradekit run-slot jobs-snapshot",
        "20 13,16 * * 1-5 tradekit run-slot jobs-outcomes",
        "0 18 * * 0 tradekit run-slot jobs-cleanup",
    ]


def test_a_tokyo_host_reaches_into_saturday():
    lines = crontab(DEFAULT, DAYS, NEW_YORK, ZoneInfo("Asia/Tokyo"), ["tradekit", "run-slot"])
    assert "5 2-3,5-6 * * 2-6 tradekit run-slot jobs-snapshot" in lines


def test_a_desk_around_the_clock():
    specs = parse(default_schedule(around_the_clock=True), around_the_clock=True)
    days = [(day, AllDayCalendar().on(day)) for day, _ in DAYS]
    lines = crontab(specs, days, ZoneInfo("UTC"), ZoneInfo("UTC"), ["tradekit", "run-slot"])
    assert "* * * * * tradekit run-slot monitor-exits" in lines
    assert "55 23 * * * tradekit run-slot jobs-snapshot" in lines


def test_a_percent_sign_and_a_space_survive_cron():
    assert escaped(["/opt/my desk/100%/tradekit", "run-slot"]) == r"'/opt/my desk/100\%/tradekit' run-slot"


def test_seconds_round_up_to_the_next_minute():
    moment = datetime(2026, 2, 13, 9, 59, 30, tzinfo=UTC)
    assert [times.fields for times in times_of([moment], every_minute=False)] == ["0 10 * * 5"]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [(range(24), "*"), ([9], "9"), ([9, 10, 11, 16], "9-11,16"), ([0, 30], "0,30"), ([1, 2], "1-2")],
)
def test_fields(numbers, text):
    assert ranges(numbers, 0, 23) == text


def test_a_slot_that_is_never_due_has_no_line():
    specs = parse([{"at": "18:00", "on": "sun", "run": "reconcile"}])
    weekdays = [(day, session) for day, session in DAYS if session]
    assert due_times(specs[0], weekdays[0][1], NEW_YORK) == []
    lines = crontab(specs, weekdays, NEW_YORK, NEW_YORK, ["tradekit", "run-slot"])
    assert [line for line in lines if line and not line.startswith("#")] == []
