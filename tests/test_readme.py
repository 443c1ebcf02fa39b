"""The README's commands exist, parse, and the first real desk works as it is written there."""

import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tradekit.cli import COMMANDS, command, global_options

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
DAY = date(2026, 2, 13)
HOLIDAYS = {date(2026, 1, 1), date(2026, 1, 19)}


def calls():
    for block in BLOCKS:
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = words.index("|") if "|" in words else len(words)
                if words[0] == "tradekit":
                    yield words[1:end]
                words = words[end + 1 :]


@pytest.mark.parametrize("words", list(calls()), ids=" ".join)
def test_a_command_of_the_readme_parses(words):
    _, rest = global_options(words, {})
    entry, name = COMMANDS[rest[0]], rest[0]
    if isinstance(entry, dict):
        entry, name, rest = entry[rest[1]], f"{rest[0]} {rest[1]}", rest[1:]
    command(name, entry).make_context(name, rest[1:])  # raises where the line is wrong


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_a_link_of_the_readme_leads_somewhere(link):
    assert (ROOT / link).exists()


def write_bars(folder):
    """Thirty quiet days and one quiet session of minutes for two symbols."""
    folder.mkdir()
    days = [DAY - timedelta(days=n) for n in range(45, 0, -1)]
    header = "symbol,ts,open,high,low,close,volume\n"
    daily = [
        f"{symbol},{day},100,101,99,100,1000000\n"
        for symbol in ("AAA", "SPY")
        for day in days
        if day.weekday() < 5 and day not in HOLIDAYS
    ]
    start = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)
    minutes = [
        f"{symbol},{start + timedelta(minutes=n):%Y-%m-%dT%H:%M:%SZ},100,100.1,99.9,100,2500\n"
        for symbol in ("AAA", "SPY")
        for n in range(390)
    ]
    (folder / "daily.csv").write_text(header + "".join(daily))
    (folder / "minute.csv").write_text(header + "".join(minutes))


@pytest.mark.slow
def test_the_first_real_desk(tmp_path):
    write_bars(tmp_path / "bars")
    block = next(block for block in BLOCKS if "tradekit init" in block)
    script = "\n".join(line for line in block.splitlines() if "activate" not in line)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "run-slot" in done.stdout
    assert "Traceback" not in done.stderr
