"""Replays of an hour of one symbol: what is said, what is left behind, who may read it."""

import json
from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)


@pytest.fixture
def desk(line, new_desk):
    """A desk of preset day with sixty minutes of AAA and nothing of its benchmark."""
    made = new_desk()
    rows = [f"AAA,{(START + timedelta(minutes=i)).isoformat()},100,100.1,99.9,100,1000" for i in range(60)]
    (made.parent / "m.csv").write_text("\n".join(["symbol,ts,open,high,low,close,volume", *rows]))
    assert line("-C", made, "data", "import", made.parent / "m.csv", "--timeframe", "1m").returncode == 0
    return made


def test_a_missing_benchmark_went_unsaid(desk, line):
    done = line("-C", desk, "replay", "2026-02-13", "--until", "09:40")
    assert done.returncode == 0, done.stderr
    assert [row for row in done.stderr.splitlines() if "benchmark" in row] == [
        "benchmark SPY has no bars of 2026-02-13: the regime is that of its last close, or unknown (sideways); "
        "tradekit config set desk.benchmark null goes without"
    ]
    rows = {row["check"]: row for row in json.loads(line("-C", desk, "doctor", "--json").stdout)}
    assert rows["benchmark"]["ok"]
    assert rows["benchmark"]["found"].startswith("no bars of SPY: the regime is unknown")
    assert line("-C", desk, "config", "set", "desk.benchmark", "AAA").returncode == 0
    done = line("-C", desk, "replay", "2026-02-13", "--until", "09:40", "--force")
    assert "benchmark" not in done.stderr
    rows = {row["check"]: row for row in json.loads(line("-C", desk, "doctor", "--json").stdout)}
    assert rows["benchmark"]["found"] == "AAA: 60 s, until 2026-02-13"


def test_a_replay_elsewhere_left_its_lock_there(desk, line, tmp_path):
    (tmp_path / "out").mkdir()
    assert line("-C", desk, "replay", "2026-02-13", "--until", "09:35", "--out", tmp_path / "out" / "r").returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["r"]
    assert [path.name for path in (desk / "locks").glob("replay-*.lock")]


def test_doctor_found_a_replay_and_its_backup_readable_by_others(desk, line):
    assert line("-C", desk, "replay", "2026-02-13", "--until", "09:35").returncode == 0
    replayed = desk / "replays" / "2026-02-13"
    for where in (desk, replayed):
        assert line("-C", where, "backup").returncode == 0
        assert [path for path in where.rglob("*") if path.stat().st_mode & 0o077] == []
        done = line("-C", where, "doctor", "--json")
        assert done.returncode == 0, done.stderr
        assert "sound" in next(row["found"] for row in json.loads(done.stdout) if row["check"] == "bars")


@pytest.fixture
def lived(desk, line):
    """The desk's replay until 10:00 in New York, 15:00 UTC."""
    assert line("-C", desk, "replay", "2026-02-13", "--until", "10:00").returncode == 0
    return desk / "replays" / "2026-02-13"


@pytest.mark.parametrize("command", ["scan", "decide", "enter", "monitor-exits", "reconcile"])
def test_a_dry_run_may_stand_at_an_earlier_time(lived, line, command):
    done = line("-C", lived, command, "--dry-run", "--at", "2026-02-13T14:50:00Z", "--json")
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    last = json.loads(line("-C", lived, "runs", "--limit", "1", "--json").stdout)[0]
    assert (last["command"], last["started_at"]) == (command, "2026-02-13T15:00:00Z")  # the run itself is of now


@pytest.mark.parametrize("command", ["scan", "decide", "enter", "monitor-exits", "reconcile"])
def test_at_is_refused_without_a_dry_run_and_for_the_future(lived, line, command):
    runs = line("-C", lived, "runs", "--json").stdout
    done = line("-C", lived, command, "--at", "2026-02-13T14:50:00Z")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--dry-run" in done.stderr
    assert line("-C", lived, command, "--dry-run", "--at", "2026-02-13T15:00:01Z").returncode == 2
    assert line("-C", lived, "runs", "--json").stdout == runs


def test_a_dry_scan_sees_the_prices_of_its_time_and_no_later_ones(lived, line):
    done = line("-C", lived, "quote", "AAA", "--at", "2026-02-13T14:50:30Z", "--json")
    assert json.loads(done.stdout)[0]["last_at"] == "2026-02-13T14:50:00Z"
    assert line("-C", lived, "quote", "AAA", "--at", "2026-02-13T15:00:01Z").returncode == 2


def test_a_virtual_clock_only_goes_forward(lived, line):
    early, late = {"TRADEKIT_CLOCK": "2026-02-13T14:00:00Z"}, {"TRADEKIT_CLOCK": "2026-02-13T23:00:00Z"}
    for command in ("monitor-exits", "scan", "halt"):
        words = ("--reason", "late") if command == "halt" else ()
        done = line("-C", lived, command, *words, env=early)
        assert (done.returncode, done.stdout) == (2, "")
        assert "this desk has reached" in done.stderr
    assert line("-C", lived, "reconcile", env=late).returncode == 0
    assert json.loads(line("-C", lived, "status", "--json").stdout)["now"] == "2026-02-13T23:00:00Z"


def test_reports_of_an_earlier_time(lived, line):
    day = json.loads(line("-C", lived, "report", "daily", "--at", "2026-02-13T14:40:00Z", "--json").stdout)
    assert (day["blind"]["until"], day["blind"]["exit_checks"]) == ("2026-02-13T14:40:00Z", 11)
    assert day["books"]["match"] is None
    rows = json.loads(line("-C", lived, "report", "funnel", "--at", "2026-02-13T14:34:00Z", "--json").stdout)
    assert [row["in"] for row in rows] == [0] * len(rows)  # before the first scan
    assert line("-C", lived, "report", "fills", "--at", "2026-02-13T14:40:00Z", "--json").stdout == "[]\n"
