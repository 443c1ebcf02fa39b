"""Whole recorded days through the commands' own functions. The real bars lie outside the repository."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MARKET = Path(__file__).parents[3] / "shared" / "market" / "us"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MARKET.is_dir(), reason=f"no recorded bars in {MARKET}"),
]
DAY = "2018-03-23"
LATER = ("status", "return_1d", "return_3d", "return_5d", "return_10d", "max_gain", "max_drawdown")


def tradekit(*words: str | Path, code: int = 0, input: str | None = None) -> str:
    """Run the real program; its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "tradekit", *map(str, words)], capture_output=True, text=True, input=input,
        env=dict(os.environ), timeout=120,
    )  # fmt: skip
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make(folder: Path, *settings: str, daily: str = "daily_from1m_2018", preset: str = "day") -> Path:
    tradekit("init", folder, "--preset", preset)
    for setting in settings:
        tradekit("-C", folder, "config", "set", *setting.split("=", 1))
    tradekit("-C", folder, "data", "import", MARKET / "m1_2018.parquet", "--timeframe", "1m")
    tradekit("-C", folder, "data", "import", MARKET / f"{daily}.parquet", "--timeframe", "1d")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A desk with five sessions of minutes and their daily bars, the replayed day's own among them."""
    return make(tmp_path_factory.mktemp("replay") / "d")


@pytest.fixture(scope="module")
def day(desk):
    tradekit("-C", desk, "-q", "replay", DAY)
    return desk / "replays" / DAY


def rows(desk: Path, table: str, until: str | None = None, at: str = "at") -> list[dict]:
    where = f" WHERE {at} <= '{until}'" if until else ""
    return json.loads(tradekit("-C", desk, "sql", f"SELECT * FROM {table}{where} ORDER BY rowid", "--json"))


def test_a_day_trades_and_is_flat_and_foots(day):
    trades = json.loads(tradekit("-C", day, "trades", "--json"))
    assert trades
    assert json.loads(tradekit("-C", day, "positions", "--json")) == []
    assert tradekit("-C", day, "audit", "--json").strip() in ("", "[]")
    assert all(trade["exit_reason"] in ("hard-stop", "trailing-stop", "end-of-day") for trade in trades)


def test_replayed_twice_the_trades_are_equal_byte_for_byte(desk, day, tmp_path):
    tradekit("-C", desk, "-q", "replay", DAY, "--out", tmp_path / "again")
    for table in (
        "trades",
        "orders",
        "fills",
        "candidates",
        "decisions",
        "risk_checks",
        "events",
        "runs",
        "slots",
        "marks",
    ):
        assert rows(day, table) == rows(tmp_path / "again", table), table
    assert tradekit("-C", day, "trades", "--json") == tradekit("-C", tmp_path / "again", "trades", "--json")


def test_half_a_day_gives_the_first_half_of_the_day(desk, day, tmp_path):
    """No look-ahead, though the day's full daily bars were imported before."""
    tradekit("-C", desk, "-q", "replay", DAY, "--until", "12:00", "--out", tmp_path / "half")
    noon = "2018-03-23T16:00:00.000000Z"
    times = {"runs": "started_at", "slots": "due_at"}
    for table in ("scans", "candidates", "decisions", "fills", "risk_checks", "events", "runs", "slots"):
        at = times.get(table, "at")
        whole, half = rows(day, table, noon, at), rows(tmp_path / "half", table, noon, at)
        for row in [*whole, *half]:  # what became of a decision or a candidate is not known at noon
            for name in LATER:
                row.pop(name, None)
        assert half == [row for row in whole if row.get(at, "") <= noon], table
        assert len(half) == len(rows(tmp_path / "half", table)), table


def test_a_holding_that_is_not_ours_is_untouched_by_liquidate_all(tmp_path):
    desk = make(tmp_path / "d", "paper.holdings={NKE: 300, AAPL: 10}")
    tradekit("-C", desk, "-q", "replay", DAY, "--until", "13:00")
    replayed = desk / "replays" / DAY
    tradekit("-C", replayed, "liquidate", "--all")
    import sqlite3

    held = dict(sqlite3.connect(replayed / "paper.db").execute("SELECT symbol, qty FROM holdings"))
    assert (held["NKE"], held["AAPL"]) == (300, 10)
    assert not [row for row in rows(replayed, "orders") if row["symbol"] in ("NKE", "AAPL")]


def test_the_pipeline_on_a_replayed_morning(desk, tmp_path):
    morning = tmp_path / "r"
    tradekit("-C", desk, "-q", "replay", DAY, "--until", "10:00", "--out", morning)
    found = tradekit("-C", morning, "scan", "--jsonl")
    decided = tradekit("-C", morning, "decide", "-", "--jsonl", input=found)
    dry = tradekit("-C", morning, "enter", "-", "--dry-run", "--jsonl", input=decided)
    assert all(json.loads(line)["dry_run"] for line in dry.splitlines())
    before = len(rows(morning, "orders"))
    first = tradekit("-C", morning, "enter", "-", "--jsonl", input=decided)
    after = len(rows(morning, "orders"))
    again = tradekit("-C", morning, "enter", "-", "--jsonl", input=decided)
    assert len(rows(morning, "orders")) == after
    assert after - before == sum('"client_order_id"' in line for line in first.splitlines())
    assert again == first


def test_the_same_replay_is_not_run_again_and_other_settings_are_refused(desk, day):
    before = (day / "desk.db").stat().st_mtime_ns
    assert tradekit("-C", desk, "replay", DAY).strip() == str(day)
    assert (day / "desk.db").stat().st_mtime_ns == before
    tradekit("-C", desk, "replay", DAY, "--until", "11:00", code=2)


def test_a_day_without_session_or_bars_is_refused(desk):
    tradekit("-C", desk, "replay", "2018-03-24", code=2)
    tradekit("-C", desk, "replay", "2018-03-20", code=5)
    tradekit("-C", desk, "replay", "yesterday", code=2)
    tradekit("-C", desk, "replay", DAY, "--until", "noon", code=2)
    left = [path.name for path in (desk / "replays").iterdir() if path.name.startswith(".") and path.is_dir()]
    assert left == []


def test_a_symbol_that_keeps_signalling_is_entered_once(day):
    """187 buys and no sell: the scan says held or closed-today, the gate would too, and there is one entry order."""
    entries = [row["symbol"] for row in rows(day, "orders") if row["purpose"] == "entry"]
    assert entries
    assert len(entries) == len(set(entries))
    seen = json.loads(tradekit("-C", day, "candidates", "--all", "--json"))
    again = {row["symbol"] for row in seen if row["reject_reason"] in ("held", "closed-today")}
    assert again & set(entries)
    sold = [row["symbol"] for row in rows(day, "fills") if row["side"] == "sell"]
    assert set(sold) == set(entries)
