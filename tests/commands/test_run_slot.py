"""run-slot: a slot that died is run again in time, one that hangs is stopped, a health check hears of it."""

import sqlite3
from datetime import date, timedelta

import pytest

from tests.desk.world import NO_COSTS, World, at
from tests.notify.test_notify import Service
from tradekit.desk.open import recorded_run
from tradekit.desk.slots import run_slot
from tradekit.errors import NothingToDo
from tradekit.model import Slot

SCHEDULE = """
schedule:
  - {name: books, at: open+5m, timeout: 1s, run: reconcile}
  - {name: later, after: books, run: jobs track}
"""
DAY = date(2026, 2, 13)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "desk", NO_COSTS + SCHEDULE)
    made.add("AAA", [100.0] * 60)
    return made


def left_running(desk):
    """The row of a slot whose process was killed."""
    desk.store.slots.save(Slot(name="books", session=DAY, due_at=at("09:35"), state="running", run_id=None))


def test_a_slot_that_was_killed_is_run_again_while_there_is_time(world):
    with world.desk("09:36") as desk:
        left_running(desk)
        assert run_slot(desk, "books").state == "done"
        assert run_slot(desk, "later").state == "done"


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (7, "done"), (5, "failed")])
def test_a_slot_whose_work_had_ended_is_not_run_twice(world, code, state):
    with world.desk("09:36") as desk:
        with recorded_run(desk, "reconcile") as run:
            pass
        desk.store.runs.finish(run.id, at("09:36"), code, {})
        desk.store.slots.save(Slot(name="books", session=DAY, due_at=at("09:35"), state="running", run_id=run.id))
        with pytest.raises(NothingToDo):  # killed between the run's last word and the slot's
            run_slot(desk, "books")
        assert [(row.name, row.state) for row in desk.store.slots.on(DAY) if row.name == "books"] == [("books", state)]
        assert len(desk.store.runs.all()) == 1


def test_a_slot_that_was_killed_has_failed_once_it_is_too_late(world):
    with world.desk("09:50") as desk:
        left_running(desk)
        with pytest.raises(NothingToDo):
            run_slot(desk, "books")
        states = {row.name: row.state for row in desk.store.slots.on(DAY)}
        assert states["books"] in ("failed", "missed")


def test_a_slot_that_hangs_is_stopped_at_its_timeout(world, monkeypatch):
    import time

    with world.desk("09:35:10") as desk:
        desk.clock.host_limits = True
        monkeypatch.setattr("tradekit.desk.slots.call", lambda desk, step: time.sleep(20))
        began = time.monotonic()
        found = run_slot(desk, "books")
        assert time.monotonic() - began < 5
        kinds = [one.kind for one in desk.store.events.all()]
        assert (found.state, kinds) == ("failed", ["alert.slot-timeout"])
        assert [run.exit_code for run in desk.store.runs.all()] == [5]


def test_a_health_check_hears_of_success_and_failure(world, line):
    service = Service()
    clock = {"TRADEKIT_CLOCK": "2026-02-13T14:36:00Z"}
    try:
        url = f"{service.url}/ping/secret-key"
        done = line("-C", world.path, "run-slot", "books", "--ping", url, env=clock)
        assert done.returncode == 0, done.stderr
        assert [path for path, _, _ in service.got] == ["/ping/secret-key"]
        again = line("-C", world.path, "run-slot", "books", "--ping", url, env=clock)
        assert (again.returncode, len(service.got)) == (0, 1)  # nothing was due: silence is what the check is for
    finally:
        service.server.shutdown()
        service.server.server_close()
    with sqlite3.connect(world.path / "desk.db") as db:
        db.execute("DELETE FROM slots")
    db.close()
    down = line("-C", world.path, "run-slot", "books", "--ping", url, env=clock)
    assert (down.returncode, "secret-key" in down.stderr) == (0, False)  # its own trouble changes nothing


def test_a_ping_to_nowhere_is_refused_before_anything_runs(world, line):
    done = line("-C", world.path, "run-slot", "books", "--ping", "http://example.org/x")
    assert (done.returncode, "--ping" in done.stderr) == (2, True)


def test_status_says_who_runs_what_was_done_and_what_was_missed(world, line):
    import json

    with world.desk("09:50") as desk:
        left_running(desk)
        desk.store.slots.save(Slot(name="books", session=DAY, due_at=at("09:35"), state="done", run_id=None))
        desk.store.slots.save(Slot(name="later", session=DAY, due_at=at("09:35"), state="missed", run_id=None))
        desk.store.meta.set(
            "supervisor",
            json.dumps({"state": "awake", "pid": 7, "since": "2026-02-13T14:00:00Z", "at": "2026-02-13T14:49:50Z",
                        "next": {"name": "monitor-exits", "at": "2026-02-13T14:51:00Z"}, "running": [], "broken": [],
                        "restarts": 0, "every_s": 30}),
        )  # fmt: skip

    def shown(now):
        done = line("-C", world.path, "status", "--json", env={"TRADEKIT_CLOCK": now})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = shown("2026-02-13T14:50:00Z")
    assert (found["supervisor"]["state"], found["supervisor"]["pid"]) == ("awake", 7)
    assert found["next_slot"] == {"name": "monitor-exits", "at": "2026-02-13T14:51:00Z"}
    yesterday = Slot(name="jobs", session=date(2026, 2, 12), due_at=at("09:35") - timedelta(days=1), state="done",
                     run_id=None)  # fmt: skip
    with world.desk("09:50") as desk:
        desk.store.slots.save(yesterday)
    assert shown("2026-02-13T14:50:00Z")["last_success"]["jobs"] == "2026-02-12T14:35:00Z"
    assert (found["last_success"], found["missed_slots"]) == ({"books": "2026-02-13T14:35:00Z"}, {"later": 1})
    later = shown("2026-02-13T14:52:00Z")
    assert later["supervisor"]["state"] == "silent"
    monday = {"name": "books", "at": "2026-02-16T14:35:00Z"}
    assert later["next_slot"] == monday  # as the schedule has it: cron may run it


def test_status_shows_the_next_slot_whoever_runs_the_desk(world, line):
    import json

    def shown(now, **env):
        done = line("-C", world.path, "status", "--json", env={"TRADEKIT_CLOCK": now, **env})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["next_slot"]

    monday = {"name": "books", "at": "2026-02-16T14:35:00Z"}
    assert shown("2026-02-13T14:34:00Z") == {"name": "books", "at": "2026-02-13T14:35:00Z"}
    assert shown("2026-02-13T14:35:00Z") == monday
    with world.desk("11:00") as desk:  # what is remembered does not outlive a change of sessions or of desk.yaml
        desk.store.sessions.override(date(2026, 2, 16), None, None, "storm")
    assert shown("2026-02-13T16:00:00Z") == {"name": "books", "at": "2026-02-17T14:35:00Z"}
    text = (world.path / "desk.yaml").read_text()
    (world.path / "desk.yaml").write_text(text.replace("open+5m", "open+6m"))
    assert shown("2026-02-13T16:00:00Z") == {"name": "books", "at": "2026-02-17T14:36:00Z"}
    assert shown("2026-02-13T14:00:00Z") == {"name": "books", "at": "2026-02-13T14:36:00Z"}  # a clock that went back
    (world.path / "desk.yaml").write_text(text.replace("open+5m", "half past nine"))
    done = line("-C", world.path, "status", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T16:00:00Z"})
    found = json.loads(done.stdout)
    assert (done.returncode, found["next_slot"]) == (0, None)
    assert "half past nine is not a time" in found["settings"]
