"""Reads and listings start light: what they load is counted by name, not by milliseconds."""

import os
import sys

import pytest

HEAVY = {"pandas", "numpy", "numba", "httpx", "keyring", "sqlite_utils", "rich", "exchange_calendars", "asyncio"}
HEAVY |= {"telegram", "PIL"}
PROBE = """
import atexit, sys
atexit.register(lambda: print("MODULES", *{name.partition(".")[0] for name in sys.modules}, file=sys.stderr))
from tradekit.cli import main
main(sys.argv[1:])
"""
READS = [
    ("status",), ("positions",), ("orders", "--json"), ("fills", "--csv"), ("trades",), ("candidates",), ("decisions",),
    ("runs",), ("events",), ("watchlist",), ("audit",),
]  # fmt: skip
SETTINGS = [
    ("config", "get", "risk.max_positions"),
    ("config", "show", "--origin"),
    ("schedule", "show", "--date", "2026-02-13"),
]
LISTINGS = [
    ("--help",),
    (),
    ("report", "--help"),
    ("positions", "--help"),
    ("monitor-exits", "--help"),
    ("scan", "--help"),
    ("bot", "--help"),
]


def loaded_by(words, cwd):
    """(exit code, stdout, stderr, top-level modules) of one command in a process of its own."""
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=os.environ,
        check=False,
    )
    lines = done.stderr.splitlines()
    modules = next(line for line in lines if line.startswith("MODULES"))
    return done.returncode, done.stdout, done.stderr, set(modules.split()[1:])


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_a_listing_loads_nothing_heavy(words, tmp_path):
    code, out, err, modules = loaded_by(words, tmp_path)
    assert code == 0, err
    assert "Usage: tradekit" in out
    assert not modules & (HEAVY | {"yaml", "sqlite3"})


def test_help_does_not_even_load_typer(tmp_path):
    assert not loaded_by(("--help",), tmp_path)[3] & {"typer", "msgspec"}


@pytest.mark.parametrize("words", [*READS, *SETTINGS], ids=" ".join)
def test_a_read_loads_nothing_heavy(words, new_desk):
    code, _, err, modules = loaded_by(words, new_desk())
    assert code == 0, err
    assert not modules & HEAVY


@pytest.mark.parametrize("words", [("monitor-exits",), ("reconcile",), ("enter",), ("decide",)], ids=" ".join)
def test_a_trading_command_with_nothing_to_do_loads_no_network(words, new_desk):
    code, _, err, modules = loaded_by(words, new_desk())
    assert code in (0, 5), err  # 5: no bars yet
    assert not modules & (HEAVY - {"numpy"})
