"""The shared rate limit: spacing, burst, exits first, several processes, a file that cannot be used."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tradekit.base import ratelimit
from tradekit.base.ratelimit import RateLimit


class Clock:
    """A monotonic clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 1000.0

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock(monkeypatch):
    one = Clock()
    monkeypatch.setattr(ratelimit, "SystemClock", lambda: one)
    return one


def times(limit, clock, n, *, urgent=False):
    found = []
    for _ in range(n):
        assert limit.take(urgent=urgent, wait_s=60)
        found.append(round(clock.at - 1000, 3))
    return found


def test_a_burst_and_then_one_a_second(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=3, reserve=0)
    assert times(limit, clock, 6) == [0, 0, 0, 1, 2, 3]


def test_the_reserve_is_for_urgent_calls(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=3, reserve=2)
    assert times(limit, clock, 2) == [0, 1]  # ordinary: one at once, then as it comes
    assert times(limit, clock, 3, urgent=True) == [1, 1, 2]  # two places were kept


def test_an_urgent_call_takes_its_place_before_those_who_wait(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=1, reserve=0)
    times(limit, clock, 1)
    exits = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=1, reserve=0)
    now = clock.at
    assert exits._place(now, now + 10, True) == now + 1  # its place is taken at once ...
    assert exits._place(now, now + 10, True) == now + 2
    assert limit.take(urgent=False, wait_s=10)
    assert clock.at == now + 3  # ... and who only waits comes after them


def test_no_place_in_time_is_said_at_once_and_takes_none(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=1, reserve=0)
    assert limit.take(urgent=True, wait_s=0)
    assert not limit.take(urgent=True, wait_s=0.5)
    assert not limit.take(urgent=False, wait_s=0.5)
    assert clock.at == 1000
    assert limit.take(urgent=True, wait_s=1)


def test_a_pause_holds_everybody(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=5, reserve=0)
    limit.pause(30)
    assert not limit.take(urgent=True, wait_s=29)
    assert limit.take(urgent=True, wait_s=31)
    assert clock.at == 1030


def test_a_time_from_before_the_last_start_of_the_host_is_forgotten(tmp_path, clock):
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=60, burst=1)
    clock.at = 900_000.0
    limit.take(urgent=True, wait_s=0)
    clock.at = 5.0  # started again
    assert limit.take(urgent=True, wait_s=0)


def test_names_do_not_disturb_each_other(tmp_path, clock):
    one, other = (RateLimit(tmp_path / "limits.db", name, per_minute=60, burst=1, reserve=0) for name in "ab")
    assert one.take(urgent=False, wait_s=0) and other.take(urgent=False, wait_s=0)


@pytest.mark.parametrize("break_it", [
    lambda path: path.write_bytes(b"no database, but long enough to look like a file" * 30),
    lambda path: path.mkdir(),
])  # fmt: skip
def test_a_file_that_cannot_be_used_holds_no_call_back(break_it, tmp_path, clock, caplog):
    break_it(tmp_path / "limits.db")
    limit = RateLimit(tmp_path / "limits.db", "v", per_minute=1, burst=1, reserve=0)
    assert limit.take(urgent=True, wait_s=0) and limit.take(urgent=False, wait_s=0)
    limit.pause(10)
    assert "calls are not limited" in caplog.text


def test_threads_share_the_count(tmp_path):
    """20 at once, 10 allowed: exactly 10 get a place."""

    def one(_: int) -> bool:
        limit = RateLimit(tmp_path / "limits.db", "v", per_minute=0.1, burst=10, reserve=0)
        try:
            return limit.take(urgent=False, wait_s=0)
        finally:
            limit.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(20))) == 10


def test_processes_share_the_count(tmp_path):
    program = (
        "import sys; from pathlib import Path; from tradekit.base.ratelimit import RateLimit\n"
        "limit = RateLimit(Path(sys.argv[1]), 'v', per_minute=0.1, burst=5, reserve=0)\n"
        "sys.exit(sum(limit.take(urgent=False, wait_s=0) for _ in range(4)))"
    )
    path = tmp_path / "limits.db"
    running = [subprocess.Popen([sys.executable, "-c", program, str(path)], env=os.environ) for _ in range(2)]
    assert sum(process.wait(30) for process in running) == 5
    assert path.stat().st_mode & 0o777 == 0o600
