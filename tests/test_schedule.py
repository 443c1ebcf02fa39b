"""The schedule: its text, its due times over half days and clock changes, and the due-check."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tradekit.calendar import AllDayCalendar, ExchangeCalendar
from tradekit.errors import ConfigError, UsageError
from tradekit.model import Session
from tradekit.schedule import (
    anchor,
    check,
    default_schedule,
    due_now,
    due_times,
    duration,
    overdue,
    parse,
    resolve,
    resolve_day,
)

NEW_YORK = ZoneInfo("America/New_York")
CLOSED_2026 = ["0101", "0119", "0216", "0403", "0525", "0619", "0703", "0907", "1126", "1225"]
HALF_2026 = {"1127", "1224"}


def session(day, half=False):
    def at(hour, minute):
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)

    return Session(day, at(9, 30), at(13, 0) if half else at(16, 0), half)


def new_york_2026():
    days = (date(2026, 1, 1) + timedelta(days=i) for i in range(365))
    return [
        session(day, f"{day:%m%d}" in HALF_2026)
        for day in days
        if day.weekday() < 5 and f"{day:%m%d}" not in CLOSED_2026
    ]


YEAR = ExchangeCalendar(new_york_2026(), "America/New_York")
DEFAULT = parse(default_schedule())
FRIDAY = session(date(2026, 2, 13))
HALF_DAY = session(date(2025, 12, 24), half=True)


def local(found):
    return [f"{due.at.astimezone(NEW_YORK):%H:%M} {due.name}" for due in found if due.name not in EVERY]


EVERY = {"monitor-exits", "jobs-track"}


# reading


def test_the_documented_default_is_the_default():
    from tradekit.base.yaml_text import parse as read_yaml

    text = (Path(__file__).parent.parent / "docs" / "schedule.md").read_text()
    block = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    assert read_yaml(block, Path("schedule.md"), [])[0]["schedule"] == default_schedule()


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("2h", 7200), (90, 90), ("1h2m3s", 3723)]
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "-5m", "five", None, True, -1, 2.5, "1m1h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("open", ("open", 0)),
        ("open+5m", ("open", 300)),
        ("close-30m", ("close", -1800)),
        ("close + 2m", ("close", 120)),
        ("09:20", ("clock", 33600)),
        ("24:00", ("clock", 86400)),
        ("18:00:30", ("clock", 64830)),
    ],
)
def test_anchors(text, found):
    assert anchor(text) == found


@pytest.mark.parametrize("text", ["", "opens", "open5m", "open+", "9.20", "09:60", "24:01", "25:00", 920, None])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"not a (time|duration)"):
        anchor(text)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"at": "open"}], "schedule[0]: `run` is missing: which command?"),
        ([{"run": "scan"}], "schedule[0]: exactly one of at, after, every is wanted, found none"),
        ([{"run": "scan", "at": "open", "every": "5m"}], "found at and every"),
        ([{"run": "scan", "att": "open"}], "schedule[0]: unknown key att, did you mean at?"),
        ([{"run": "scan", "at": "opening"}], "opening is not a time like open+5m, close-30m or 09:20"),
        ([{"run": "scan", "every": "5m", "from": "open"}], "from and to come together"),
        ([{"run": "scan", "at": "open", "from": "open", "to": "close"}], "from and to go with every"),
        ([{"run": "scan", "every": 0}], "every: must be above 0"),
        ([{"run": "scan", "at": "open", "on": "sunnday, xyz"}], "on: xyz is not a weekday"),
        ([{"run": "scan", "at": "open", "half_days": "yes"}], "half_days: yes is neither run nor skip"),
        ([{"run": "scan", "at": "open", "name": "a b"}], "name 'a b' may have"),
        (
            [{"run": "scan", "at": "open"}, {"run": "scan --type x", "at": "close"}],
            "schedule[1]: the name scan is taken",
        ),
        (
            [{"run": "scan", "at": "open"}, {"run": "enter", "after": "scam"}],
            "schedule[1]: after: there is no slot scam",
        ),
        ([{"run": "scan", "after": "enter"}, {"run": "enter", "after": "scan"}], "waits for itself"),
    ],
)
def test_a_wrong_entry_is_named(entries, message):
    with pytest.raises(ConfigError) as caught:
        parse(entries)
    assert message in caught.value.message


def test_a_wrong_entry_is_named_with_its_line():
    with pytest.raises(ConfigError, match=r"^desk.yaml:41: schedule\[0\]: unknown key"):
        parse([{"wrong": 1}], place=lambda i: f"desk.yaml:{41 + i}")


def test_a_desk_around_the_clock_has_no_open():
    with pytest.raises(ConfigError, match="no open and no close"):
        parse([{"run": "scan", "at": "open+5m"}], around_the_clock=True)
    assert parse(default_schedule(around_the_clock=True), around_the_clock=True)


# due times


def test_the_default_day():
    assert local(resolve(DEFAULT, FRIDAY, NEW_YORK)) == [
        "09:00 reconcile",
        "09:35 open-scan", "09:35 open-decide", "09:35 open-enter",
        "12:30 midday-scan", "12:30 midday-decide", "12:30 midday-enter",
        "15:30 close-scan", "15:30 close-decide", "15:30 close-enter",
        "16:05 jobs-snapshot", "16:20 jobs-outcomes",
    ]  # fmt: skip


def test_a_half_day_moves_with_its_real_close_and_has_no_midday():
    assert local(resolve(DEFAULT, HALF_DAY, NEW_YORK)) == [
        "09:00 reconcile",
        "09:35 open-scan", "09:35 open-decide", "09:35 open-enter",
        "12:30 close-scan", "12:30 close-decide", "12:30 close-enter",
        "13:05 jobs-snapshot", "13:20 jobs-outcomes",
    ]  # fmt: skip


def test_exit_passes_run_from_the_open_to_a_minute_past_the_close():
    spec = next(spec for spec in DEFAULT if spec.name == "monitor-exits")
    times = due_times(spec, FRIDAY, NEW_YORK)
    assert (len(times), times[0], times[-1]) == (392, FRIDAY.open, FRIDAY.close + timedelta(minutes=1))
    short = due_times(spec, HALF_DAY, NEW_YORK)
    assert (len(short), short[-1]) == (212, HALF_DAY.close + timedelta(minutes=1))
    track = next(spec for spec in DEFAULT if spec.name == "jobs-track")
    assert [f"{at.astimezone(NEW_YORK):%H:%M}" for at in due_times(track, HALF_DAY, NEW_YORK)] == [
        "10:00", "10:30", "11:00", "11:30", "12:00", "12:30",
    ]  # fmt: skip


def test_what_is_due_together_runs_in_the_fixed_order():
    at_half_past_twelve = [
        due.name for due in resolve(DEFAULT, HALF_DAY, NEW_YORK) if f"{due.at.astimezone(NEW_YORK):%H:%M}" == "12:30"
    ]
    assert at_half_past_twelve == ["monitor-exits", "jobs-track", "close-scan", "close-decide", "close-enter"]
    jumbled = parse([{"run": verb, "at": "open"} for verb in ("quote", "enter", "decide", "scan", "jobs track",
                                                              "monitor-exits", "reconcile")])  # fmt: skip
    assert [due.name for due in resolve(jumbled, FRIDAY, NEW_YORK)] == [
        "reconcile", "monitor-exits", "jobs-track", "scan", "decide", "enter", "quote",
    ]  # fmt: skip


def test_a_market_on_open_desk_sends_before_09_27():
    only = parse(default_schedule(strategies=["market-on-open"]))
    found = resolve(only, FRIDAY, NEW_YORK)
    assert local(found) == [
        "08:45 reconcile", "08:50 moo-scan", "08:50 moo-decide", "09:10 moo-enter", "16:05 jobs-snapshot",
        "16:20 jobs-outcomes",
    ]  # fmt: skip
    enter = next(due for due in found if due.name == "moo-enter")
    assert enter.late_at.astimezone(NEW_YORK).strftime("%H:%M") == "09:25"
    both = {spec.name for spec in parse(default_schedule(strategies=["momentum", "market-on-open"]))}
    assert {"moo-scan", "open-scan"} <= both


def test_a_weekday_slot_runs_where_there_is_no_session():
    specs = parse([{"at": "18:00", "on": "sun", "run": "jobs cleanup"}, {"at": "18:00", "run": "backup"},
                   {"every": "6h", "run": "reconcile"}])  # fmt: skip
    sunday = [due.name for due in resolve_day(specs, date(2026, 2, 15), None, NEW_YORK)]
    assert sunday == ["reconcile"] * 4 + ["jobs-cleanup"]
    assert [due.name for due in resolve_day(specs[:2], FRIDAY.day, FRIDAY, NEW_YORK)] == ["backup"]


def test_the_hour_that_spring_leaves_out_and_autumn_repeats():
    specs = parse([{"name": t.replace(":", ""), "at": t, "on": "sun", "run": "reconcile"}
                   for t in ("01:30", "02:30", "03:30")])  # fmt: skip
    spring = [due.at for due in resolve_day(specs, date(2026, 3, 8), None, NEW_YORK)]
    assert [f"{at:%H:%M}" for at in spring] == ["06:30", "07:30", "07:30"]  # 01:30 EST, then 03:30 EDT twice
    autumn = [due.at for due in resolve_day(specs, date(2026, 11, 1), None, NEW_YORK)]
    assert [f"{at:%H:%M}" for at in autumn] == ["05:30", "07:30", "08:30"]  # the first 01:30, EDT
    hourly = parse([{"every": "1h", "run": "reconcile"}])
    assert [len(resolve_day(hourly, day, None, NEW_YORK)) for day in (date(2026, 3, 8), date(2026, 11, 1))] == [23, 25]


@pytest.mark.parametrize("host", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_host_zone_changes_nothing(host, monkeypatch):
    import time

    expected = resolve(DEFAULT, FRIDAY, NEW_YORK)
    monkeypatch.setenv("TZ", host)
    time.tzset()
    try:
        assert resolve(DEFAULT, FRIDAY, NEW_YORK) == expected
        at = datetime(2026, 2, 13, 9, 35, 2, tzinfo=NEW_YORK).astimezone(ZoneInfo(host))
        found = check("open-scan", at, DEFAULT, YEAR, {})
        assert found.verdict == "due"
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


# the due-check


def at(hour, minute, second=0, day=FRIDAY.day):
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.mark.parametrize(
    ("name", "now", "rows", "verdict"),
    [
        ("open-scan", at(9, 34, 59), {}, "not-due"),
        ("open-scan", at(9, 35), {}, "due"),
        ("open-scan", at(9, 40), {}, "due"),  # five minutes late is not too late
        ("open-scan", at(9, 40, 1), {}, "missed"),
        ("open-scan", at(9, 36), {"open-scan": "done"}, "already"),
        ("open-scan", at(9, 36), {"open-scan": "failed"}, "already"),  # once, also when it failed
        ("open-scan", at(9, 36), {"open-scan": "running"}, "already"),
        ("open-decide", at(9, 36), {}, "waiting"),
        ("open-decide", at(9, 36), {"open-scan": "running"}, "waiting"),
        ("open-decide", at(9, 36), {"open-scan": "done"}, "due"),
        ("open-decide", at(9, 36), {"open-scan": "failed"}, "skipped"),
        ("open-decide", at(9, 36), {"open-scan": "missed"}, "skipped"),
        ("open-decide", at(9, 44), {"open-scan": "done"}, "due"),  # the scan may have been late itself
        ("open-decide", at(9, 46), {"open-scan": "done"}, "missed"),
        ("open-enter", at(9, 36), {"open-scan": "done", "open-decide": "done"}, "due"),
    ],
)
def test_the_due_check(name, now, rows, verdict):
    done = {(slot, at(9, 35)): state for slot, state in rows.items()}
    found = check(name, now, DEFAULT, YEAR, done)
    assert found.verdict == verdict
    assert found.because


def test_the_due_check_names_the_next_time():
    assert check("open-scan", at(8, 0), DEFAULT, YEAR, {}).next_at == at(9, 35)
    # Friday before Presidents' Day: the next session is Tuesday
    assert check("open-scan", at(12, 0), DEFAULT, YEAR, {}).next_at == at(9, 35, day=date(2026, 2, 17))
    monday = check("open-scan", at(9, 35, day=date(2026, 2, 16)), DEFAULT, YEAR, {})
    assert (monday.verdict, monday.because) == ("not-due", "no session today")
    assert check("midday-scan", at(12, 30, day=date(2026, 11, 27)), DEFAULT, YEAR, {}).verdict == "not-due"


def test_an_unscheduled_closure_is_no_session():
    rest = ExchangeCalendar([s for s in new_york_2026() if s.day != FRIDAY.day], "America/New_York")
    assert check("open-scan", at(9, 35), DEFAULT, rest, {}).because == "no session today"


def test_an_unknown_slot_has_a_nearest_name():
    with pytest.raises(UsageError, match="did you mean open-scan"):
        check("open-scam", at(9, 35), DEFAULT, YEAR, {})


def test_of_a_repeated_slot_only_the_latest_time_is_due():
    found = check("monitor-exits", at(10, 0, 20), DEFAULT, YEAR, {})
    assert (found.verdict, found.due.at, found.next_at) == ("due", at(10, 0), at(10, 1))
    again = check("monitor-exits", at(10, 0, 40), DEFAULT, YEAR, {("monitor-exits", at(10, 0)): "done"})
    assert again.verdict == "already"


def test_a_slot_before_midnight_is_still_due_after_it():
    specs = parse([{"at": "23:58", "run": "reconcile"}], around_the_clock=True)
    now = datetime(2026, 2, 14, 0, 1, tzinfo=UTC)
    found = check("reconcile", now, specs, AllDayCalendar(), {})
    assert (found.verdict, found.due.at) == ("due", datetime(2026, 2, 13, 23, 58, tzinfo=UTC))


def test_what_is_due_now_comes_in_order_and_followers_wait():
    now = at(9, 35, 5)
    done = {("reconcile", at(9, 0)): "done"}
    assert [due.name for due in due_now(DEFAULT, now, FRIDAY, NEW_YORK, done)] == ["monitor-exits", "open-scan"]
    done |= {("open-scan", at(9, 35)): "done", ("monitor-exits", at(9, 35)): "done"}
    assert [due.name for due in due_now(DEFAULT, now, FRIDAY, NEW_YORK, done)] == ["open-decide"]


def test_what_nobody_ran_is_missed_and_its_followers_are_skipped():
    found = overdue(DEFAULT, at(12, 0), FRIDAY, NEW_YORK, {})
    counts = Counter((due.name, state) for due, state in found)
    assert counts["open-scan", "missed"] == counts["open-decide", "skipped"] == counts["open-enter", "skipped"] == 1
    assert counts["monitor-exits", "missed"] == 149  # 09:30 to 11:58; 11:59 and 12:00 may still run
    assert overdue(DEFAULT, at(12, 0), FRIDAY, NEW_YORK, {}, since=at(12, 0)) == []
    rows = {(due.name, due.at): state for due, state in found}
    assert overdue(DEFAULT, at(12, 0), FRIDAY, NEW_YORK, rows) == []


def test_the_latest_row_of_a_repeated_slot_settles_the_earlier_times():
    only = [spec for spec in DEFAULT if spec.name == "monitor-exits"]
    rows = {("monitor-exits", at(9, 40)): "done"}
    assert overdue(only, at(9, 40, 30), FRIDAY, NEW_YORK, rows) == []
    found = overdue(only, at(9, 43, 30), FRIDAY, NEW_YORK, rows)
    assert [due.at for due, _ in found] == [at(9, 41), at(9, 42)]


def test_a_year_of_minutes_runs_every_slot_once_a_session_at_its_exchange_time():
    """The ticks that cron lines on a UTC host give in any season, on every day of the year."""
    specs = [spec for spec in DEFAULT if spec.name not in EVERY]
    ticks = {0: ("reconcile",), 5: ("jobs",), 30: ("midday", "close"), 35: ("open",)}
    ran, done = Counter(), {}
    for day in (date(2026, 1, 1) + timedelta(days=i) for i in range(365)):
        for hour, minute in [(h, m) for h in range(13, 22) for m in ticks]:
            now = datetime(day.year, day.month, day.day, hour, minute, 1, tzinfo=UTC)
            for spec in [spec for spec in specs if spec.name.startswith(ticks[minute])]:
                found = check(spec.name, now, specs, YEAR, done)
                if found.verdict == "due":
                    done[spec.name, found.due.at] = "done"
                    ran[spec.name, day, f"{found.due.at.astimezone(NEW_YORK):%H:%M}"] += 1
    expected = Counter()
    for one in new_york_2026():
        close = "12:30" if one.half else "15:30"
        slots = [("reconcile", "09:00"), ("jobs-snapshot", "13:05" if one.half else "16:05")]
        slots += [(f"open-{verb}", "09:35") for verb in ("scan", "decide", "enter")]
        slots += [(f"close-{verb}", close) for verb in ("scan", "decide", "enter")]
        slots += [] if one.half else [(f"midday-{verb}", "12:30") for verb in ("scan", "decide", "enter")]
        expected.update((name, one.day, time) for name, time in slots)
    assert ran == expected
