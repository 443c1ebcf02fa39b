"""Exports: three formats that agree, no formula for a spreadsheet, files that are whole and private."""

import csv
import io
import json
import os
import stat

import pytest

from tests.make import make_fill
from tests.reports.evening import all_desks
from tradekit.store import open_store


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))


def test_an_export_that_was_killed_does_not_stop_the_next_one(desks, line, tmp_path):
    pytest.importorskip("pyarrow")
    left = tmp_path / f".x.parquet.{os.getpid()}.part"
    left.write_bytes(b"half")
    done = line("export", "trades", "--out", tmp_path / "x.parquet", "-C", desks["mixed"])
    assert done.returncode == 0, done.stderr
    assert not left.exists()


@pytest.mark.parametrize("what", ["trades", "fills", "candidates", "decisions", "training", "tax-lots"])
def test_the_formats_agree(desks, line, tmp_path, what):
    pq = pytest.importorskip("pyarrow.parquet")
    for format in ("csv", "jsonl", "parquet"):
        done = line("export", what, "--format", format, "--out", tmp_path / f"x.{format}", "-C", desks["mixed"])
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE((tmp_path / f"x.{format}").stat().st_mode) == 0o600
    rows = [json.loads(text) for text in (tmp_path / "x.jsonl").read_text().splitlines()]
    table = pq.read_table(tmp_path / "x.parquet")
    lines = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert len(rows) == table.num_rows == len(lines) > 0
    assert set(table.column_names) == set(lines[0])
    if what == "trades":
        assert sum(table["net"].to_pylist()) == pytest.approx(sum(row["net"] for row in rows))


@pytest.mark.parametrize("kind", ["empty", "open"])
def test_nothing_to_export_is_a_header_and_no_row(desks, line, kind, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    for what in ("trades", "tax-lots"):
        (names,) = list(csv.reader(line("export", what, "-C", desks[kind]).stdout.splitlines()))
        assert {"symbol", "qty"} <= set(names)
        assert line("export", what, "--out", tmp_path / "x.parquet", "-C", desks[kind]).returncode == 0
        table = pq.read_table(tmp_path / "x.parquet")
        assert (table.column_names, table.num_rows) == (names, 0)
        assert line("export", what, "--json", "-C", desks[kind]).stdout == "[]\n"


def test_no_cell_is_a_formula(new_desk, line):
    home = new_desk()
    store = open_store(home / "desk.db")
    store.book_fill(make_fill(symbol='=HYPERLINK("http://x")'))
    store.book_fill(make_fill(symbol="@SUM"))
    store.close()
    text = line("export", "fills", "-C", home).stdout
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "@", "+")]
    assert "raw" not in cells


def test_the_name_says_the_format_and_may_not_lie(desks, line, tmp_path):
    line("export", "trades", "--out", tmp_path / "a.jsonl", "-C", desks["mixed"])
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["symbol"]
    assert line("export", "trades", "--csv", "--out", tmp_path / "a.jsonl", "-C", desks["mixed"]).returncode == 2
    assert line("trades", "--format", "parquet", "-C", desks["mixed"]).returncode == 2


def test_training_rows_say_state_action_and_reward(desks, line):
    rows = [
        json.loads(text) for text in line("export", "training", "--jsonl", "-C", desks["mixed"]).stdout.splitlines()
    ]
    trades = [row for row in rows if row["kind"] == "trade"]
    assert len(trades) == 4 and all(row["action"] == "BUY" and row["reward_net"] is not None for row in trades)
    assert {row["state_rvol"] for row in rows} == {2.0}
    assert all(row["reward_net"] is None for row in rows if row["kind"] == "candidate")


def test_tax_lots_foot_to_the_trades(desks, line, tmp_path):
    home = desks["mixed"]
    lots = json.loads(line("export", "tax-lots", "--json", "-C", home).stdout)
    trades = json.loads(line("trades", "--json", "-C", home).stdout)
    assert sum(lot["gain"] + lot["wash_carried"] for lot in lots) == pytest.approx(sum(t["net"] for t in trades))
    assert json.loads(line("export", "tax-lots", "--what", "years", "--json", "-C", home).stdout)[0]["year"] == 2026
    assert len(json.loads(line("export", "tax-lots", "--what", "open", "--json", "-C", home).stdout)) == 1
    assert "other accounts" in line("export", "tax-lots", "-C", home).stderr


def test_specific_lots_come_from_a_file(desks, line, tmp_path):
    (tmp_path / "lots.csv").write_text("close_id,lot_id,qty\nnone,none,1\n")
    base = ("export", "tax-lots", "-C", desks["mixed"])
    assert line(*base, "--method", "specific", "--lots", tmp_path / "lots.csv").returncode == 0
    assert line(*base, "--method", "specific").returncode == 2
    assert line(*base, "--method", "sifo").returncode == 2
    (tmp_path / "lots.csv").write_text("a,b\n1,2\n")
    assert line(*base, "--method", "specific", "--lots", tmp_path / "lots.csv").returncode == 2
