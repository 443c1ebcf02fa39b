"""doctor looks at everything; backup and restore bring it back."""

import json
from datetime import date

import pytest

from tests.make import make_order
from tradekit.store import open_store


def rows_of(done):
    return {row["check"]: row for row in json.loads(done.stdout)}


@pytest.mark.parametrize("preset", ["day", "moo", "crypto"])
def test_a_fresh_desk_is_well(preset, line, new_desk):
    done = line("-C", new_desk(preset), "doctor", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T15:00:00Z"})
    assert done.returncode == 0, done.stderr
    assert all(row["ok"] for row in rows_of(done).values())
    assert {"python", "desk.yaml", "desk.db", "sessions", "file modes", "locks", "disk space"} <= set(rows_of(done))


def break_settings(desk):
    (desk / "desk.yaml").write_text("risk: {max_postions: 3}")


def break_strategy(desk):
    text = (desk / "desk.yaml").read_text()
    (desk / "desk.yaml").write_text(text.replace("strategies: [momentum]", "strategies: [momentun]"))


def break_schedule(desk):
    text = (desk / "desk.yaml").read_text()
    (desk / "desk.yaml").write_text(text.replace("at: close+5m", "at: close+5x"))


def break_universe(desk):
    (desk / "universe.yaml").write_text("large: [aapl]")


def break_books(desk):
    (desk / "desk.db").write_bytes(b"SQLite format 3\0" + bytes(5000))


def break_bars(desk):
    (desk / "bars.db").write_bytes(b"not a database, but long enough to look at" * 100)


def break_modes(desk):
    (desk / "desk.yaml").chmod(0o644)


@pytest.mark.parametrize(("breaking", "row"), [
    (break_settings, "desk.yaml"), (break_strategy, "strategies"), (break_schedule, "schedule"),
    (break_universe, "universe.yaml"), (break_books, "desk.db"), (break_bars, "bars"), (break_modes, "file modes"),
])  # fmt: skip
def test_what_is_broken_is_a_failed_row_and_7(breaking, row, line, new_desk):
    desk = new_desk()
    breaking(desk)
    done = line("-C", desk, "doctor", "--json")
    assert done.returncode == 7
    assert rows_of(done)[row]["ok"] is False
    assert rows_of(done)[row]["found"]
    assert row in done.stderr


def test_a_short_session_table_is_extended(line, new_desk):
    desk = new_desk()
    done = line("-C", desk, "doctor", "--json", env={"TRADEKIT_CLOCK": "2027-03-01T15:00:00Z"})
    assert done.returncode == 0, done.stderr
    assert rows_of(done)["sessions"]["found"].startswith("extended")
    store = open_store(desk / "desk.db", readonly=True)
    last = store.sessions.last()
    store.close()
    assert last is not None
    assert last > date(2028, 3, 1)


def test_backup_and_restore(line, new_desk):
    desk = new_desk()
    done = line("-C", desk, "backup", "safe", "--json", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert {row["file"] for row in json.loads(done.stdout)} == {
        "safe/desk.db", "safe/desk.yaml", "safe/universe.yaml",
    }  # fmt: skip
    assert line("-C", desk, "backup", "safe", cwd=desk).returncode == 2
    (desk / "desk.db").write_bytes(b"damaged")
    assert line("-C", desk, "runs").returncode == 9
    assert line("-C", desk, "restore", "safe", "--dry-run", cwd=desk).returncode == 0
    assert line("-C", desk, "runs").returncode == 9
    done = line("-C", desk, "restore", "safe", cwd=desk)
    assert done.returncode == 0, done.stderr
    assert "restore" in line("-C", desk, "runs", "--csv").stdout
    assert (desk / "desk.db.before-restore").read_bytes() == b"damaged"


def test_a_second_backup_in_the_same_second_was_refused(line, new_desk):
    desk, frozen = new_desk(), {"TRADEKIT_CLOCK": "2026-02-13T15:00:00Z"}
    assert [line("-C", desk, "backup", env=frozen).returncode for _ in range(3)] == [0, 0, 0]
    assert sorted(path.name for path in (desk / "backups").iterdir()) == [
        "20260213T150000", "20260213T150000-2", "20260213T150000-3",
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["nowhere", "reports", "desk.yaml"])
def test_what_is_no_backup_is_refused(source, line, new_desk):
    desk = new_desk()
    before = (desk / "desk.db").read_bytes()
    done = line("-C", desk, "restore", desk / source)
    assert done.returncode in (2, 9)
    assert (desk / "desk.db").read_bytes() == before


def test_version(line):
    done = line("version", "--json")
    assert json.loads(done.stdout)["tradekit"]
    assert line("--version").returncode == 0


def rewritten(desk, was, now):
    """desk.yaml by an editor's hand, past the checks of config set."""
    text = (desk / "desk.yaml").read_text()
    assert text.count(was) == 1
    (desk / "desk.yaml").write_text(text.replace(was, now))


@pytest.mark.parametrize(("was", "now", "found", "fix"), [
    ("calendar: XNYS", "calendar: XLON", "desk.db holds the sessions of XNYS", "tradekit doctor"),
    ("currency: USD", "currency: EUR", "the books of this desk are in USD", "tradekit config set desk.currency USD"),
])  # fmt: skip
def test_books_of_another_calendar_or_currency_are_not_traded_on(was, now, found, fix, line, new_desk):
    desk = new_desk()
    rewritten(desk, was, now)
    done = line("-C", desk, "monitor-exits")
    assert (done.returncode, done.stdout) == (2, "")
    assert found in done.stderr and fix in done.stderr
    assert line("-C", desk, "status").returncode == 0


def test_doctor_writes_the_sessions_of_another_calendar(line, new_desk):
    desk = new_desk()
    for calendar, zone, days in [("XLON", "UTC", 250), ("24/7", "UTC", None), ("XNYS", "America/New_York", 250)]:
        for key, value in (("calendar", calendar), ("timezone", zone))[:: -1 if zone == "UTC" else 1]:
            assert line("-C", desk, "config", "set", f"desk.{key}", value).returncode == 0
        done = line("-C", desk, "doctor", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T15:00:00Z"})
        assert rows_of(done)["sessions"]["ok"] is True
        assert line("-C", desk, "monitor-exits").returncode == 0
        store = open_store(desk / "desk.db", readonly=True)
        year = store.sessions.load(date(2026, 1, 1), date(2026, 12, 31))
        store.close()
        if days:
            assert len(year) > days
            assert year[0].open.hour == (8 if calendar == "XLON" else 14)  # 08:00 London, 09:30 New York, in UTC


def test_a_calendar_that_does_not_exist_is_a_failed_row(line, new_desk):
    desk = new_desk()
    rewritten(desk, "calendar: XNYS", "calendar: XNSY")
    assert rows_of(line("-C", desk, "doctor", "--json"))["sessions"]["ok"] is False


@pytest.mark.parametrize(("bot", "token", "found", "fix"), [
    ("users: []", "x" * 20, "bot.users is empty", "tradekit config set bot.users"),
    ("users: [1]", "", "no secret telegram-token", "export TRADEKIT_SECRET_TELEGRAM_TOKEN"),
    ("users: [1], settable: [desk.broker]", "x" * 20, "'desk.broker' may not be changed by chat", "bot.settable"),
    ("users: [1], url: 'http://example.org'", "x" * 20, "neither https://HOST", "tradekit config set bot.url"),
    ("users: [1, 2]", "x" * 20, "2 people, token from environment", ""),
])  # fmt: skip
def test_a_bot_that_could_not_start_is_a_failed_row(bot, token, found, fix, line, new_desk, monkeypatch):
    monkeypatch.setattr("tradekit.base.secrets.from_keyring", lambda name: None)
    desk = new_desk()
    text = (desk / "desk.yaml").read_text()
    start = text.index("\nbot:")
    (desk / "desk.yaml").write_text(
        text[:start] + f"\nbot: {{enabled: true, {bot}}}\n" + text[text.index("\n# OAuth") :]
    )
    done = line("-C", desk, "doctor", "--json", env={"TRADEKIT_SECRET_TELEGRAM_TOKEN": token})
    row = rows_of(done)["bot"]
    assert (row["ok"], found in row["found"], fix in row["fix"]) == (not fix, True, True), row
    assert "x" * 20 not in done.stdout + done.stderr


def test_the_backup_of_another_desk_does_not_replace_books_with_orders(line, new_desk, tmp_path):
    here, other = new_desk(), tmp_path / "other"
    assert line("init", other).returncode == 0
    assert line("-C", other, "backup", "copy", cwd=other).returncode == 0
    assert line("-C", here, "restore", other / "copy").returncode == 0  # a desk that has done nothing: a move
    assert line("-C", here, "restore", here / "desk.db.before-restore").returncode == 0
    store = open_store(here / "desk.db")
    store.orders.add(make_order(id="a"))
    store.close()
    done = line("-C", here, "restore", other / "copy")
    assert (done.returncode, done.stdout) == (2, "")
    assert "another desk" in done.stderr
    assert line("-C", here, "restore", other / "copy", "--force").returncode == 0
