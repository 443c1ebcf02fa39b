"""Every report, analysis and export prints in every format, on desks that have much, little or nothing to say."""

import json

import pytest

from tests.reports.evening import all_desks

pytestmark = pytest.mark.filterwarnings("error")
REPORTS = ("daily", "fills", "funnel", "overnight", "weekly", "monthly", "exits", "vetoes", "metrics", "risk",
           "poor-signals", "equity")  # fmt: skip
ANALYSES = ("entry-timing", "price-movement", "targets", "missed", "symbol AAPL", "signals", "what-if")


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))


@pytest.mark.parametrize("report", [*(f"report {name}" for name in REPORTS), *(f"analyze {n}" for n in ANALYSES)])
@pytest.mark.parametrize("kind", ["empty", "losers", "open", "mixed"])
def test_a_report_prints_in_every_format(desks, line, kind, report):
    for format in ("table", "json", "jsonl", "csv"):
        done = line(*report.split(), "--format", format, "-C", desks[kind])
        assert done.returncode in (0, 7), done.stderr
        assert "nan" not in done.stdout.lower().split() and "inf" not in done.stdout.lower().split()
        if format == "json":
            json.loads(done.stdout)
        if format == "jsonl":
            [json.loads(text) for text in done.stdout.splitlines()]


def test_sums_agree_with_the_trades(desks, line):
    def net(*words):
        return json.loads(line(*words, "--json", "-C", desks["mixed"]).stdout)

    total = sum(trade["net"] for trade in net("trades"))
    assert net("report", "exits")[-1]["net"] == pytest.approx(total)
    assert sum(row["net"] for row in net("report", "weekly")) == pytest.approx(total)
    months = net("report", "monthly")
    for kind in ("week", "month"):
        assert sum(row["net"] for row in months if row["kind"] == kind) == pytest.approx(total)
    rows = [row for row in net("report", "metrics") if row.get("by")]
    for by in ("all", "strategy", "version", "cap", "regime", "hour", "weekday", "holding time"):
        assert sum(row["net"] for row in rows if row["by"] == by) == pytest.approx(total), by
    (sql,) = net("sql", "SELECT sum(net) AS net FROM trades")
    assert sql["net"] == pytest.approx(total)


def test_a_range_narrows(desks, line):
    def rows(*words):
        return json.loads(line("report", *words, "--json", "-C", desks["mixed"]).stdout)

    assert rows("exits", "--since", "2026-02-13")[-1]["trades"] == 2
    assert rows("exits", "--until", "2026-02-12")[-1]["trades"] == 2
    assert rows("exits", "--session", "2026-02-13", "--symbol", "aapl")[-1]["trades"] == 1
    assert rows("exits", "--strategy", "none-such") == []


def test_contradictions_are_refused(desks, line):
    wrong = ["--session 2026-02-13 --since 2026-02-01", "--since 2026-02-13 --until 2026-02-01", "--since soon"]
    for words in wrong:
        assert line("report", "exits", *words.split(), "-C", desks["mixed"]).returncode == 2
