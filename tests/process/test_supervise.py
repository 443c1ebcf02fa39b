"""`tradekit supervise` as a real process: a recorded day sixty times as fast, its children killed at random."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.campaign.supervised import FastDay, children, job_of, morning, state_of
from tests.desk.world import NO_COSTS, World
from tests.process.day import environment, rows

KILLS = int(os.environ.get("TRADEKIT_SUPERVISE_KILLS", "4"))
SCHEDULE = """
supervise: {backoff_s: 0.1, exit_backoff_s: 0.5, health_s: 1}
schedule:
  - {every: 5m, from: open, to: close+2m, run: monitor-exits}
"""


def start(desk: Path, when: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "tradekit", "-C", str(desk), "supervise"]
    return subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(when), cwd=desk.parent
    )


def test_a_fast_day_at_a_venue_with_children_killed_at_random(tmp_path):
    """The same with the whole day: scripts/campaign --supervise 50."""
    last = f"{9 + (50 + KILLS) // 60:02}:{(50 + KILLS) % 60:02}"
    day = FastDay(morning(tmp_path, 180), "09:33", last, kills=KILLS, seed=6, interval_s=180, deaf_s=600)
    course = day.run()
    assert [str(violation) for violation in course.violations] == [], course.said
    assert len(course.kills) == KILLS, course.said
    assert course.fills >= 2, course.said  # both decisions were entered, whoever died meanwhile
    assert course.passes >= 3
    assert course.told >= KILLS and course.deaf_calls > 0  # a notifier that nobody listened to for ten minutes
    assert course.rss_kb < 80 * 1024
    assert course.stop_s < 10


def test_a_killed_supervisor_leaves_a_desk_that_the_next_one_takes_over(tmp_path):
    """The child that it left goes on alone; the next supervisor starts with the books and the exits."""
    desk = tmp_path / "desk"
    World(desk, NO_COSTS + SCHEDULE).add("AAA", [100.0] * 390)
    first, started = start(desk, "2026-02-13T14:58:00Z@20"), time.monotonic()
    try:
        while not (found := [pid for pid in children(first.pid) if job_of(pid) == "monitor-exits"]):
            assert first.poll() is None
            assert time.monotonic() < started + 60
            time.sleep(0.002)
        first.kill()
        first.wait()
        again = start(desk, "2026-02-13T15:01:00Z@20")
        try:
            both = "SELECT count(*) FROM runs WHERE command = 'supervise' GROUP BY command HAVING count(*) = 2"
            passes = "SELECT 1 FROM runs WHERE command = 'monitor-exits' AND exit_code = 0"
            waited_for = (both, passes)
            while not all(rows(desk / "desk.db", sql) for sql in waited_for) or state_of(found[0]) not in ("", "Z"):
                assert again.poll() is None, again.communicate()[1]
                assert time.monotonic() < started + 90
                time.sleep(0.05)
        finally:
            again.send_signal(signal.SIGTERM)
            _, err = again.communicate(timeout=30)
    finally:
        first.kill()
        first.wait()
        first.stderr.close()
    assert again.returncode == 143, err
    codes = rows(desk / "desk.db", "SELECT exit_code FROM runs WHERE command = 'supervise' ORDER BY started_at, rowid")
    assert codes == [(137,), (143,)]
    deaths = rows(desk / "desk.db", "SELECT count(*) FROM events WHERE kind = 'alert.run-died'")
    assert deaths[0][0] >= 1


def test_a_desk_named_by_a_relative_path(tmp_path):
    World(tmp_path / "desk", NO_COSTS + SCHEDULE).add("AAA", [100.0] * 390)
    line = [sys.executable, "-m", "tradekit", "-C", "desk", "supervise"]
    env, until = environment("2026-02-13T15:00:00Z@20"), time.monotonic() + 60
    supervisor = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, cwd=tmp_path)
    try:
        while not rows(tmp_path / "desk" / "desk.db", "SELECT 1 FROM runs WHERE command = 'monitor-exits'"):
            assert supervisor.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        supervisor.terminate()
        assert supervisor.wait(timeout=30) == 143


def test_a_second_supervisor_is_refused(tmp_path):
    desk = tmp_path / "desk"
    World(desk, NO_COSTS + SCHEDULE)
    first = start(desk, "2026-02-13T11:00:00Z@1")
    try:
        while not rows(desk / "desk.db", "SELECT 1 FROM meta WHERE key = 'supervisor'"):
            assert first.poll() is None, first.communicate()[1]
            time.sleep(0.05)
        second = start(desk, "2026-02-13T11:00:00Z@1")
        _, err = second.communicate(timeout=30)
        assert (second.returncode, f"pid {first.pid}" in err) == (8, True), err
        used = os.sysconf("SC_CLK_TCK")

        def cpu() -> float:
            words = Path(f"/proc/{first.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(words[11]) + int(words[12])) / used

        before = cpu()
        time.sleep(3)
        assert cpu() - before <= 0.06  # idle: 1 % of 3 s, and the clock's tick of 10 ms
    finally:
        first.terminate()
        first.communicate(timeout=15)


def test_reload_without_a_supervisor_says_so(new_desk, run):
    done = run("-C", new_desk(), "supervise", "--reload", "--exit-code")
    assert (done.returncode, "no supervisor" in done.stderr) == (3, True)


def test_reload_of_a_file_that_is_wrong_says_so_at_once(new_desk, run):
    desk = new_desk()
    text = (desk / "desk.yaml").read_text()
    (desk / "desk.yaml").write_text(text.replace("{at: open-30m, run: reconcile}", "{att: open-30m, run: reconcile}"))
    done = run("-C", desk, "supervise", "--reload")
    assert (done.returncode, "unknown key att" in done.stderr) == (2, True)
