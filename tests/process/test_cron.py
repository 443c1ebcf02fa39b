"""A real cron daemon, in namespaces of its own, runs the lines that `schedule crontab` prints.

Its clock is faked (libfaketime): it stands shortly before the minutes that matter on days when clocks change or the
market closes early, and runs thirty times as fast. Three real minutes and a whole spring night are for TRADEKIT_CRON=1.
"""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.process.day import rows
from tradekit.clock import ScaledClock

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin:/bin"), shutil.which("unshare")]
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
RATE = 30.0
pytestmark = pytest.mark.skipif(
    None in TOOLS or os.getuid() != 0, reason="wants root, cron and unshare (Debian: cron, util-linux)"
)
fakes_time = pytest.mark.skipif(FAKETIME is None, reason="wants libfaketime (Debian: faketime)")
long = pytest.mark.skipif(os.environ.get("TRADEKIT_CRON") != "1", reason="minutes: TRADEKIT_CRON=1")
# the host's own jobs are none of ours; cron gives its children a clean environment, so only cron's clock is faked
START = """
set -e
mount -t tmpfs none /var/spool/cron
mount -t tmpfs none /run
mount -t tmpfs none /etc/cron.d
mount --bind /dev/null /etc/crontab
mkdir -m 1730 /var/spool/cron/crontabs
crontab "$1"
shift
exec env "$@" cron -f
"""
PROGRAM = """#!/bin/sh
echo begun >> '{folder}/calls'
export PYTHONPATH='{root}' {exports} TRADEKIT_CLOCK="$(cat '{folder}/clock')"
'{python}' -m tradekit "$@" 2>> '{folder}/said'
echo "$?" >> '{folder}/ended'
"""
NIGHT = ("01:30", "02:30", "03:30")


@dataclass
class Host:
    """A desk on a machine whose cron goes by a zone."""

    desk: Path
    folder: Path
    zone: str

    def daemon(self, *settings: str) -> "subprocess.Popen[str]":
        """cron with this desk's table; `settings` go into its environment."""
        words = [str(TOOLS[1]), "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", START, "sh"]
        words += [str(self.folder / "crontab"), f"TZ={self.zone}", *settings]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def between(self, first: str, minutes: float = 0, rate: float = RATE) -> None:
        """Let cron run from a UTC time on, until it has called something, so many minutes are over and all is done."""
        at, before = datetime.fromisoformat(f"{first}+00:00"), self.lines("calls")
        clock, real, started = ScaledClock(at, rate), time.time(), time.monotonic()
        (self.folder / "clock").write_text(clock.text())
        daemon, began = self.daemon(f"LD_PRELOAD={FAKETIME}", f"FAKETIME={at.timestamp() - real:+.3f} x{rate:g}"), None
        try:
            while began is None or time.monotonic() < began + 1 or self.lines("calls") != self.lines("ended"):
                assert daemon.poll() is None, daemon.stderr.read()
                assert time.monotonic() < started + 60 * minutes / rate + 60
                if began is None and self.lines("calls") > before and clock.now() >= at + timedelta(minutes=minutes):
                    began = time.monotonic()
                time.sleep(0.02)
        finally:
            daemon.kill()
            daemon.communicate()

    def lines(self, name: str) -> int:
        path = self.folder / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def done(self) -> list[tuple[str, str]]:
        """(slot, due time) of every run, and nothing that went wrong."""
        said = self.folder / "said"
        assert "Traceback" not in (said.read_text() if said.exists() else "")
        assert rows(self.desk / "desk.db", "SELECT * FROM slots WHERE state NOT IN ('done', 'missed')") == []
        ran = rows(self.desk / "desk.db", "SELECT count(*) FROM runs WHERE command = 'jobs cleanup'")[0][0]
        sql = "SELECT name, substr(due_at, 1, 19) || 'Z' FROM slots WHERE state = 'done' ORDER BY due_at, name"
        found = rows(self.desk / "desk.db", sql)
        assert ran == len(found)  # not one run more than slots
        return found


@pytest.fixture
def host(tmp_path, run):
    """`host(zone, slots)`: a desk made in February 2026, its lines for that zone."""

    def make(zone: str, *slots: str) -> Host:
        folder = tmp_path / f"host{len(list(tmp_path.glob('host*')))}"
        folder.mkdir()
        desk, program, env = folder / "desk", folder / "tradekit", {"TRADEKIT_CLOCK": "2026-02-20T12:00:00Z"}
        assert run("init", desk, env=env).returncode == 0
        text = (desk / "desk.yaml").read_text().partition("\nschedule:")[0]
        (desk / "desk.yaml").write_text(f"{text}\nschedule:\n" + "".join(f"  - {slot}\n" for slot in slots))
        exports = " ".join(f"{name}='{value}'" for name, value in os.environ.items() if name.startswith("XDG_"))
        program.write_text(PROGRAM.format(folder=folder, root=ROOT, exports=exports, python=sys.executable))
        program.chmod(0o755)
        printed = run("-C", desk, "schedule", "crontab", "--host-zone", zone, "--program", program, env=env)
        assert printed.returncode == 0, printed.stderr
        (folder / "crontab").write_text(f'MAILTO=""\n{printed.stdout}')
        return Host(desk, folder, zone)

    return make


@fakes_time
def test_cron_on_days_when_clocks_change_and_on_a_half_day(host):
    """Each line fires at every hour that its slot has in some season; the slot runs at the right one only, once."""
    night = [f"{{name: at-{at.replace(':', '')}, at: '{at}', on: sun, run: jobs cleanup}}" for at in NIGHT]
    spring = host("America/New_York", *night)
    autumn = host("America/New_York", *night[:1])
    half = host("UTC", "{name: close-scan, at: close-30m, run: jobs cleanup}")
    monday = host("Asia/Tokyo", "{name: open-scan, at: open+5m, run: jobs cleanup}")
    windows = {
        # 01:30 EST; then 03:30 EDT, where the 02:30 that this night does not have comes too
        "spring": (spring, ["2026-03-08T06:29:30", "2026-03-08T07:29:30"]),
        "autumn": (autumn, ["2026-11-01T05:29:30", "2026-11-01T06:29:30"]),  # 01:30 comes twice: EDT, then EST
        "half": (half, ["2026-11-27T17:29:30", "2026-11-27T20:29:30"]),  # 12:30 on a half day, 15:30 on others
        "monday": (
            monday,
            ["2026-03-06T14:34:30", "2026-03-09T13:34:30", "2026-03-09T14:34:30"],
        ),  # summer time since Sunday
    }

    def play(name: str) -> list[tuple[str, str]]:
        where, starts = windows[name]
        for start in starts:
            where.between(start)
        return where.done()

    with ThreadPoolExecutor() as pool:
        found = dict(zip(windows, pool.map(play, windows), strict=True))
    assert found == {
        "spring": [("at-0130", "2026-03-08T06:30:00Z"), ("at-0230", "2026-03-08T07:30:00Z"),
                   ("at-0330", "2026-03-08T07:30:00Z")],
        "autumn": [("at-0130", "2026-11-01T05:30:00Z")],
        "half": [("close-scan", "2026-11-27T17:30:00Z")],
        "monday": [("open-scan", "2026-03-06T14:35:00Z"), ("open-scan", "2026-03-09T13:35:00Z")],
    }  # fmt: skip
    assert all(where.lines("calls") > len(found[name]) for name, (where, _) in windows.items() if name != "spring")


@long
@fakes_time
def test_cron_through_a_whole_spring_night(host):
    """cron's own clock jumps from 02:00 to 03:00, and its own ideas about that change nothing."""
    night = [f"{{name: at-{at.replace(':', '')}, at: '{at}', on: sun, run: jobs cleanup}}" for at in NIGHT]
    here = host("America/New_York", *night)
    here.between("2026-03-08T06:25:00", 70, rate=60)
    assert here.done() == [
        ("at-0130", "2026-03-08T06:30:00Z"), ("at-0230", "2026-03-08T07:30:00Z"), ("at-0330", "2026-03-08T07:30:00Z"),
    ]  # fmt: skip


@long
def test_a_real_cron_runs_each_slot_once(new_desk, tmp_path, line):
    """Three minutes of the host's own clock."""
    desk, program = new_desk("crypto"), tmp_path / "tradekit"
    home = {name: os.environ[name] for name in os.environ if name.startswith("XDG_")}
    exports = " ".join(f"{name}='{value}'" for name, value in home.items())
    program.write_text(f"#!/bin/sh\nexec env PYTHONPATH='{ROOT}' {exports} '{sys.executable}' -m tradekit \"$@\"\n")
    program.chmod(0o755)
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    text = (desk / "desk.yaml").read_text().partition("\nschedule:")[0]
    (desk / "desk.yaml").write_text(
        f"{text}\nschedule:\n  - {{every: 1m, run: monitor-exits}}\n"
        f"  - {{name: books, at: '{due:%H:%M}', run: reconcile}}\n"
        "  - {name: counted, after: books, run: jobs snapshot}\n"
    )
    printed = line("-C", desk, "schedule", "crontab", "--host-zone", "UTC", "--program", program)
    assert printed.returncode == 0, printed.stderr
    (tmp_path / "crontab").write_text(printed.stdout)
    daemon = Host(desk, tmp_path, "UTC").daemon()
    try:
        until = due + timedelta(seconds=75)
        while datetime.now(UTC) < until:
            assert daemon.poll() is None, daemon.stderr.read()
            time.sleep(1)
    finally:
        daemon.kill()
        daemon.communicate()
    found = rows(
        desk / "desk.db", "SELECT name, state, count(*) FROM slots WHERE state != 'missed' GROUP BY name, state"
    )
    counts = {name: n for name, state, n in found if state in ("done", "failed", "running")}
    assert (counts["books"], counts["counted"]) == (1, 1)
    assert 2 <= counts["monitor-exits"] <= 4
    twice = rows(
        desk / "desk.db",
        "SELECT command, substr(started_at, 1, 16), count(*) FROM runs GROUP BY 1, 2 HAVING count(*) > 1",
    )
    assert twice == []
