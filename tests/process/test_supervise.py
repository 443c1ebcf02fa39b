"""`tradekit supervise` as a real process: a recorded day sixty times as fast, its children killed at random."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tests.desk.world import NO_COSTS, World, decide
from tests.process.day import environment, rows, whole

ROUNDS = int(os.environ.get("TRADEKIT_SUPERVISE_KILLS", "4"))
SCHEDULE = """
supervise: {backoff_s: 0.1, exit_backoff_s: 0.5, health_s: 1}
schedule:
  - {name: open-enter, at: open+5m, late: 15m, run: enter}
  - {every: 5m, from: open, to: close+2m, run: monitor-exits}
  - {every: 30m, from: open+30m, to: close, run: jobs track}
  - {at: close+5m, run: jobs snapshot}
"""
RULE_S = 5 * 300  # exits are called late after five of their intervals (risk.exit_interval_multiple)


def start(desk: Path, when: str) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "tradekit", "-C", str(desk), "supervise"]
    return subprocess.Popen(
        line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(when), cwd=desk.parent
    )


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_one(pid: int, chance: random.Random) -> bool:
    """Wait up to 2 s for a child to appear and kill it somewhere in its short life; False: there was none to kill."""
    until = time.monotonic() + 2
    while not (found := children(pid)):
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.1))  # a pass takes about that long
    with suppress(ProcessLookupError):
        os.kill(found[-1], signal.SIGKILL)
        return True
    return False


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_fast_day_with_children_killed_at_random(tmp_path):
    desk = tmp_path / "desk"
    world = World(desk, NO_COSTS + SCHEDULE)
    world.add("AAA", [100.0] * 15 + [96.0] * 375)  # falls below its plan's stop at 09:45
    world.add("BBB", [50.0] * 390)
    with world.desk("09:33") as opened:
        for symbol, price in (("AAA", 100.0), ("BBB", 50.0)):
            decide(opened, symbol, price, stop=0.03, when=None)
    desk.chmod(0o700)
    chance, killed, supervisor = random.Random(6), 0, start(desk, "2026-02-13T14:33:00Z@60")
    try:
        deadline = time.monotonic() + 25 + 7 * ROUNDS
        while time.monotonic() < deadline:
            assert supervisor.poll() is None, supervisor.communicate()[1]
            if killed < ROUNDS and kill_one(supervisor.pid, chance):
                killed += 1
                time.sleep(chance.uniform(0.05, 0.6))
            elif killed >= ROUNDS:
                if rows(desk / "desk.db", "SELECT id FROM trades"):
                    break
                time.sleep(0.2)
        time.sleep(1.5)
        kilobytes = int(Path(f"/proc/{supervisor.pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    finally:
        supervisor.send_signal(signal.SIGTERM)
        stopped = time.monotonic()
        _, err = supervisor.communicate(timeout=15)
    assert (supervisor.returncode, time.monotonic() - stopped < 10) == (143, True), err
    assert killed == ROUNDS, err
    assert "Traceback" not in err
    assert kilobytes < 80 * 1024
    assert whole(desk) == []
    orders = rows(desk / "desk.db", "SELECT symbol, purpose FROM orders WHERE purpose = 'entry'")
    assert sorted(orders) == [("AAA", "entry"), ("BBB", "entry")]  # none twice
    assert rows(desk / "desk.db", "SELECT symbol FROM trades") == [("AAA",)]
    deaths = rows(desk / "desk.db", "SELECT count(*) FROM events WHERE kind = 'alert.child-died'")[0][0]
    assert deaths >= killed / 2  # some may have been at their last instruction
    passes = rows(
        desk / "desk.db",
        "SELECT started_at FROM runs WHERE command = 'monitor-exits' AND exit_code = 0 ORDER BY started_at",
    )
    times = [seconds(at) for (at,) in passes]
    assert max(b - a for a, b in zip(times, times[1:], strict=False)) < RULE_S
    states = rows(desk / "desk.db", "SELECT state, count(*) FROM slots WHERE name = 'monitor-exits' GROUP BY state")
    assert dict(states).get("done", 0) >= 3


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
