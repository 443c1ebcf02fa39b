"""tradekit schedule show, tradekit schedule crontab, on a small desk."""

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tradekit.cli import run
from tradekit.model import Session, Slot
from tradekit.store import open_store

NEW_YORK = ZoneInfo("America/New_York")


def session(day, close=16):
    def at(hour, minute):
        return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)

    return Session(day, at(9, 30), at(close, 0), close != 16)


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "desk.yaml").write_text("desk: {name: test}\n")
    store = open_store(tmp_path / "desk.db", create=True)
    days = [session(date(2026, 11, 25)), session(date(2026, 11, 27), close=13), session(date(2026, 11, 30))]
    store.sessions.replace(days, days[0].day, days[-1].day)
    store.close()
    return tmp_path


def called(desk, capsys, *words):
    environ = {"TRADEKIT_CLOCK": "2026-11-25T15:00:00Z"}
    code = run(["-C", str(desk), "schedule", *words], environ)
    return code, *capsys.readouterr()


def test_show_prints_today_with_the_states_that_are_known(desk, capsys):
    store = open_store(desk / "desk.db")
    due_at = datetime(2026, 11, 25, 14, 35, tzinfo=UTC)
    store.slots.save(Slot(name="open-scan", session=date(2026, 11, 25), due_at=due_at, state="done", run_id=None))
    store.close()
    code, out, _ = called(desk, capsys, "show", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert len(rows) == 14
    assert rows["open-scan"] == {
        "name": "open-scan", "due_at": "2026-11-25T14:35:00Z", "local": "09:35", "until": None, "times": 1,
        "run": "scan --type open", "after": None, "state": "done",
    }  # fmt: skip
    assert (rows["monitor-exits"]["times"], rows["monitor-exits"]["until"]) == (392, "2026-11-25T21:01:00Z")
    assert rows["close-scan"]["state"] is None


def test_show_knows_half_days_and_holidays(desk, capsys):
    code, out, err = called(desk, capsys, "show", "--date", "2026-11-27", "--jsonl")
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert (code, "closes at 13:00" in err) == (0, True)
    assert (rows["close-scan"]["local"], rows["jobs-snapshot"]["local"]) == ("12:30", "13:05")
    assert "midday-scan" not in rows
    code, out, err = called(desk, capsys, "show", "--date", "2026-11-26")
    assert (code, out) == (0, "")
    assert "2026-11-26: no session, the next is 2026-11-27" in err


def test_show_every_time_of_a_repeated_slot(desk, capsys):
    _, out, _ = called(desk, capsys, "show", "--every", "--jsonl")
    assert sum(json.loads(line)["name"] == "monitor-exits" for line in out.splitlines()) == 392


def test_crontab_names_this_desk(desk, capsys):
    code, out, _ = called(desk, capsys, "crontab", "--host-zone", "UTC", "--program", "/opt/tradekit")
    assert code == 0
    assert f"35 14 * * 1,3,5 /opt/tradekit -q -C {desk} run-slot open-scan; " in out


def test_crontab_as_json_was_text(desk, capsys):
    code, out, _ = called(desk, capsys, "crontab", "--host-zone", "UTC", "--program", "/opt/tradekit", "--json")
    rows = json.loads(out)
    assert code == 0
    found = next(row for row in rows if "open-scan" in row["command"])
    assert (found["minute"], found["hour"], found["day"], found["month"]) == ("35", "14", "*", "*")
    assert found["weekday"] == "1,3,5"
    assert found["command"].startswith(f"/opt/tradekit -q -C {desk} run-slot open-scan; ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "--date", "tomorrow"), "tomorrow is not a date"),
        (("crontab", "--host-zone", "Mars/One"), "no time zone Mars/One"),
    ],
)
def test_mistyped_words_are_named(desk, capsys, words, message):
    code, out, err = called(desk, capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


def test_a_wrong_schedule_is_named_with_its_line(desk, capsys):
    (desk / "desk.yaml").write_text(
        "desk: {name: test}\nschedule:\n  - {at: open, run: scan}\n  - {att: open, run: enter}\n"
    )
    code, _, err = called(desk, capsys, "show")
    assert code == 2
    assert "desk.yaml:4: schedule[1]: unknown key att, did you mean at?" in err


def test_a_unit_s_name_is_one_that_systemd_takes(desk, capsys):
    spaced = desk.rename(desk.with_name("my desk (2)"))
    for words in ((), ("--timers",)):
        _, out, _ = called(spaced, capsys, "systemd", *words, "--program", "/opt/tradekit")
        names = [line[2:] for line in out.splitlines() if line.startswith("# ")]
        assert names and all(name.startswith("tradekit-my-desk-2-") and " " not in name for name in names)
        assert '"' in out and "my desk (2)" in out  # the folder itself is named as it is


def test_with_a_bot_and_timers_there_is_a_service_for_it(desk, capsys):
    (desk / "desk.yaml").write_text("desk: {name: test}\nbot: {enabled: true, users: [1]}\n")
    _, out, _ = called(desk, capsys, "systemd", "--timers", "--program", "/opt/tradekit")
    assert f"# tradekit-{desk.name}-bot.service\n" in out and f"ExecStart=/opt/tradekit -C {desk} bot\n" in out
    _, out, _ = called(desk, capsys, "systemd", "--program", "/opt/tradekit")
    assert "bot.service" not in out  # the supervisor runs it


def test_with_channels_there_is_a_line_and_a_timer_for_notify(desk, capsys):
    _, before, _ = called(desk, capsys, "crontab", "--host-zone", "UTC", "--program", "/opt/tradekit")
    (desk / "desk.yaml").write_text("desk: {name: test}\nnotify: {channels: {phone: {kind: ntfy, topic: my-desk}}}\n")
    _, out, _ = called(desk, capsys, "crontab", "--host-zone", "UTC", "--program", "/opt/tradekit")
    assert "notify" not in before
    assert out == f"{before}\n# notify\n* * * * * /opt/tradekit -q -C {desk} notify >/dev/null\n"
    _, out, _ = called(desk, capsys, "systemd", "--timers", "--program", "/opt/tradekit")
    assert f"ExecStart=/opt/tradekit -C {desk} -q notify\n" in out
    assert "OnCalendar=*-*-* *:*:00\n" in out
