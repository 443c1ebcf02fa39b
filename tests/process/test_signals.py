"""Asked to end, a command finishes the step of the order that it is in, closes its run row and says so."""

import re
import signal

import pytest

from tests.process.day import DAY, clock, finish, inject, make_desk, needs_strace, quick, rows, start, whole

CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 143}


@pytest.mark.parametrize("name", CODES)
def test_a_loop_is_ended_by_a_signal(name, tmp_path):
    desk = make_desk(tmp_path / "desk")
    for when, words in DAY[:2]:
        assert quick(desk, clock(when), *words).returncode == 0
    child = start(desk, clock("09:40:00") + "@60", "monitor-exits", "--every", "1s")
    while not rows(desk / "desk.db", "SELECT 1 FROM runs WHERE ended_at IS NULL"):
        assert child.poll() is None, child.communicate()
    child.send_signal(getattr(signal, name))
    out, err = child.communicate(timeout=10)
    assert child.returncode == CODES[name], err
    assert "Traceback" not in err
    assert re.search("interrupted|terminated", err)
    last = rows(desk / "desk.db", "SELECT exit_code FROM runs WHERE ended_at IS NOT NULL ORDER BY rowid DESC LIMIT 1")
    assert last == [(CODES[name],)]


@needs_strace
@pytest.mark.parametrize(("name", "step", "n"), [
    ("SIGTERM", 0, 40), ("SIGINT", 0, 150), ("SIGHUP", 0, 300), ("SIGTERM", 1, 330), ("SIGINT", 1, 90),
    ("SIGHUP", 5, 60), ("SIGTERM", 5, 140),
])  # fmt: skip
def test_a_signal_at_any_write_leaves_a_closed_run_and_no_half_order(name, step, n, tmp_path):
    desk = make_desk(tmp_path / "desk")
    for when, words in DAY[:step]:
        assert quick(desk, clock(when), *words).returncode == 0
    when, words = DAY[step]
    done = quick(desk, clock(when), *words, traced=inject(f"pwrite64:signal={name}:when={n}"))
    assert done.returncode == CODES[name], done.stderr
    assert whole(desk) == []
    assert rows(desk / "desk.db", "SELECT id FROM runs WHERE ended_at IS NULL") == []
    assert rows(desk / "desk.db", "SELECT exit_code FROM runs ORDER BY rowid DESC LIMIT 1") == [(CODES[name],)]
    assert rows(desk / "desk.db", "SELECT id FROM orders WHERE status = 'intended'") == []  # the step was finished
    assert finish(desk, [(when, words), (f"{when[:-2]}30", words), *DAY[step + 1 :]]) == []


def test_a_hung_command_can_be_ended_by_kill(tmp_path):
    desk = make_desk(tmp_path / "desk")
    child = start(desk, clock("09:40:00") + "@60", "monitor-exits", "--every", "1s")
    while not rows(desk / "desk.db", "SELECT 1 FROM runs WHERE ended_at IS NULL"):
        assert child.poll() is None, child.communicate()
    child.kill()
    child.communicate()
    done = quick(desk, clock("09:41:00"), "monitor-exits")
    assert done.returncode == 0, done.stderr
    assert "run-died" in done.stderr
    assert rows(desk / "desk.db", "SELECT exit_code FROM runs ORDER BY rowid LIMIT 1") == [(137,)]
