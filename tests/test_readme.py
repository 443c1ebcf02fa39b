"""The README's commands exist, parse, and the first real desk works as it is written there."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tradekit.cli import COMMANDS, command, global_options
from tradekit.clock import SystemClock

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


def block_with(words):
    return next(block for block in BLOCKS if words in block)


def environ(home, **more):
    """Of a person with this home and nothing else of tradekit's."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEKIT_", "XDG_"))}
    return {**bare, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_pipeline(tmp_path):
    """At 09:36 of a synthetic day; AAPL is the symbol that was bought."""
    bought = '"$(tradekit sql "SELECT symbol FROM orders LIMIT 1" | tail -n 1)"'
    script = "tradekit -q init desk >/dev/null\ncd desk\n"
    script += "tradekit -q data synthetic --seed 1 --symbols 40 --session 2026-02-13\n"
    script += block_with("jq -c").replace("AAPL", bought)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environ(tmp_path / "home", TRADEKIT_CLOCK="2026-02-13T14:36:00Z"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "-entry-0" in done.stdout and "null" in done.stdout and "open scan by momentum" in done.stdout


@pytest.mark.slow
def test_two_bots_and_one_login(tmp_path):
    now = int(SystemClock().now().timestamp())
    token = {"access_token": "a" * 40, "refresh_token": "r" * 40, "token_type": "Bearer", "expires_in": 1800,
             "expires_at": now + 1800, "scope": "api"}  # fmt: skip
    for bot in ("bot-a", "bot-b"):
        (tmp_path / bot).mkdir()
        (tmp_path / bot / "token.json").touch(0o600)
        (tmp_path / bot / "token.json").write_text(json.dumps({"creation_timestamp": now, "token": token}))
    env, desk = environ(tmp_path), tmp_path / "desk"
    subprocess.run(["tradekit", "-q", "init", str(desk)], env=env, check=True, capture_output=True, timeout=60)
    lines = [shlex.split(line, comments=True) for line in block_with("watch-file").splitlines()]
    watched = 0
    for words in lines:
        words = [word.replace("~", str(tmp_path)) for word in words]
        process = subprocess.Popen(words, cwd=desk, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if "watch-file" in words:
            assert " follows schwab" in process.stderr.readline()
            process.terminate()
            watched += 1
        out, err = process.communicate(timeout=60)
        assert process.returncode == (143 if "watch-file" in words else 0), out + err
    assert watched == 2
