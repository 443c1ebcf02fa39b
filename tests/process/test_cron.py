"""A real cron daemon, in namespaces of its own, runs the lines that `schedule crontab` prints, for three minutes.

It takes three minutes and root, so it runs when TRADEKIT_CRON=1 asks for it.
"""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.process.day import rows

ROOT = Path(__file__).resolve().parents[2]
TOOLS = [shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin:/bin"), shutil.which("unshare")]
pytestmark = pytest.mark.skipif(
    os.environ.get("TRADEKIT_CRON") != "1" or None in TOOLS or os.getuid() != 0,
    reason="three minutes: TRADEKIT_CRON=1, as root, with cron and unshare installed",
)
START = """
set -e
mount -t tmpfs none /var/spool/cron
mount -t tmpfs none /run
mkdir -m 1730 /var/spool/cron/crontabs
crontab "$1"
exec cron -f
"""


def test_a_real_cron_runs_each_slot_once(new_desk, tmp_path, line):
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
    table = tmp_path / "crontab"
    table.write_text(printed.stdout)
    words = [TOOLS[1], "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", START, "sh", str(table)]
    daemon = subprocess.Popen(words, env={**os.environ, "TZ": "UTC"}, stderr=subprocess.PIPE, text=True)
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
