"""Pictures are for a person at a terminal: nothing of them in a pipe, and Rich is not even loaded there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.conftest import ROOT
from tests.reports.evening import all_desks
from tests.test_startup import loaded_by
from tradekit.commands._pictures import bar, share, sparkline, thinned

DRAWN = ("report daily", "report exits", "report funnel", "report metrics", "report weekly")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))["mixed"]


def at_a_terminal(words, columns=200, **env):
    """What a real terminal of that width is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    setting = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **env}
    for name in ("COLUMNS", "NO_COLOR"):
        setting.pop(name, None) if name not in env else None
    with subprocess.Popen(
        [sys.executable, "-m", "tradekit", *words], stdout=theirs, stdin=theirs, env=setting
    ) as child:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the terminal was closed with its last writer
                break
            if not part:
                break
            parts.append(part)
        os.close(ours)
    assert child.returncode in (0, 7)
    return b"".join(parts).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", DRAWN)
def test_a_terminal_gets_pictures_in_colour_and_a_pipe_the_same_numbers_without(desk, command):
    shown = at_a_terminal([*command.split(), "-C", str(desk)])
    plain = COLOUR.sub("", shown)
    assert "█" in plain and COLOUR.search(shown)
    code, piped, err, modules = loaded_by([*command.split(), "-C", str(desk)], desk)
    assert code in (0, 7), err
    assert "█" not in piped and "\x1b" not in piped
    assert not modules & {"rich", "pandas", "numpy"}
    drop = re.compile(r"[█·|▁▂▃▄▅▆▇…]+")
    seen = set(drop.sub(" ", plain).split())
    assert set(drop.sub(" ", piped).split()) <= seen


@pytest.mark.parametrize("command", DRAWN)
def test_a_narrow_terminal_keeps_its_width_for_numbers(desk, command):
    shown = COLOUR.sub("", at_a_terminal([*command.split(), "-C", str(desk)], columns=60))
    assert max(len(line) for line in shown.splitlines() if "…" in line or "█" in line) <= 60


def test_no_color_and_a_dumb_terminal(desk):
    assert not COLOUR.search(at_a_terminal(["report", "exits", "-C", str(desk)], NO_COLOR="1").replace("\x1b[1m", ""))
    dumb = at_a_terminal(["report", "exits", "-C", str(desk)], TERM="dumb")
    assert "█" not in dumb and "\x1b" not in dumb


def test_json_loads_no_pictures(desk):
    for command in DRAWN:
        code, out, err, modules = loaded_by([*command.split(), "--json", "-C", str(desk)], desk)
        assert code in (0, 7) and out.strip()[:1] in "[{", err
        assert not modules & {"rich", "pandas", "numpy"}


def test_the_pictures_themselves():
    assert (
        bar(-5, 10, width=8) == "  ██|    "
        and bar(10, 10, width=8) == "    |████"
        and bar(0, 10, width=8) == "    |    "
    )
    assert (share(1, 4, 8), share(1, 1000, 8), share(0, 5, 4), share(5, 5, 4), share(0, 0)) == (
        "██······", "█·······", "····", "████", "")  # fmt: skip
    assert sparkline([1, None, 2, 3]) == "▁ ▅█"
    assert thinned(list(range(100)), 3) == [0, 50, 99]
