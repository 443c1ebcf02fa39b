"""`schedule systemd`: units that systemd accepts, times that are the schedule's in every season."""

import os
import re
import shutil
import subprocess
from zoneinfo import ZoneInfo

import pytest

from tests.test_crontab import DAYS, DEFAULT, NEW_YORK
from tradekit.commands._systemd import calendar_lines, quoted, slot_units, supervise_unit
from tradekit.schedule import due_times

UNITS = slot_units(DEFAULT, DAYS, NEW_YORK, "/bin/true -C /srv/desk", "desk", "/srv/desk", user=None)
ANALYZE = shutil.which("systemd-analyze")
LINE = re.compile(r"OnCalendar=([\w,]+) \*-\*-\* (\d\d):([\d,*]+):(\d\d) (\S+)")


def test_a_slot_and_its_followers_share_a_timer():
    assert {name.removesuffix(".timer") for name in UNITS if name.endswith(".timer")} == {
        f"tradekit-desk-{spec.name}" for spec in DEFAULT if spec.after is None
    }
    runs = re.findall(r"^ExecStart=.* run-slot (\S+)$", UNITS["tradekit-desk-open-scan.service"], re.MULTILINE)
    assert runs == ["open-scan", "open-decide", "open-enter"]


@pytest.mark.parametrize("spec", [spec for spec in DEFAULT if spec.after is None], ids=lambda spec: spec.name)
def test_every_due_time_of_a_year_has_a_line_in_the_exchanges_zone(spec):
    fires = set()
    for line in calendar_lines(spec, DAYS, NEW_YORK):
        days, hour, minutes, second, zone = LINE.fullmatch(line).groups()
        assert (zone, second) == ("America/New_York", "00")
        every = range(60) if minutes == "*" else [int(m) for m in minutes.split(",")]
        fires |= {(day, int(hour), minute) for day in days.split(",") for minute in every}
    for day, session in DAYS:
        for at in due_times(spec, session, NEW_YORK, day):
            local = at.astimezone(ZoneInfo("America/New_York"))
            assert (f"{local:%a}", local.hour, local.minute) in fires


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_them(tmp_path):
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text)
    unit = supervise_unit("/bin/true -C /srv/desk", "desk", "/srv/desk", user=None)
    (tmp_path / "tradekit-desk-supervise.service").write_text(unit)
    found = subprocess.run(
        [ANALYZE, "--man=no", "verify", *map(str, sorted(tmp_path.glob("*")))],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    ours = [line for line in found.stderr.splitlines() if str(tmp_path) in line]
    assert ours == []
    for line in sorted({line for text in UNITS.values() for line in text.splitlines() if "OnCalendar" in line})[:4]:
        asked = [ANALYZE, "calendar", line.partition("=")[2]]
        assert subprocess.run(asked, capture_output=True, timeout=20, check=False).returncode == 0


def test_names_with_spaces_and_signs_survive():
    assert quoted(["/opt/my desk/tradekit", "100%", "$HOME"]) == '"/opt/my desk/tradekit" 100%% $$HOME'


def test_the_command_writes_them(new_desk, line, tmp_path):
    done = line("-C", new_desk(), "schedule", "systemd", "--timers", "--system", "--out", tmp_path / "units")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "units" / "tradekit-desk-monitor-exits.service").read_text()
    assert "run-slot monitor-exits" in text and re.search("^User=", text, re.MULTILINE)
    done = line("-C", new_desk(name="other"), "schedule", "systemd")
    assert "Type=notify" in done.stdout and "WatchdogSec=" in done.stdout
