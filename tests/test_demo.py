"""scripts/demo shows what it promises: a target that trailed out, a stop, an end-of-day exit, and nothing left open."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_demo_day(tmp_path):
    home = tmp_path / "demo"
    done = subprocess.run(
        [ROOT / "scripts" / "demo"], env=dict(os.environ, TRADEKIT_DEMO=str(home)), capture_output=True, text=True,
        timeout=170, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "books      match the broker's" in done.stdout
    assert "open       nothing is held" in done.stdout
    assert "100 %" in done.stderr and "\r" not in done.stderr  # plain lines without a terminal

    def records(*words: str) -> list[dict]:
        folder = home / "replays" / "2026-02-13"
        command = [sys.executable, "-m", "tradekit", "-C", str(folder), *words, "--json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    reasons = {trade["exit_reason"] for trade in records("trades")}
    assert {"trailing-stop", "hard-stop", "end-of-day"} <= reasons
    winner = next(trade for trade in records("trades") if trade["exit_reason"] == "trailing-stop")
    assert winner["mfe"] > 0.026  # the target was hit, then the trail took it out
    assert records("positions") == []
    assert [order for order in records("orders") if order["status"] in ("open", "unknown", "intended")] == []
