"""Every report, analysis and export prints in every format, on desks that have much, little or nothing to say."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.make import make_fill, make_order
from tests.reports.evening import all_desks
from tradekit.store import Opening, open_store

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


def test_each_day_of_a_range_has_its_report(desks, line):
    def days(*words):
        return json.loads(line("report", *words, "--json", "-C", desks["mixed"]).stdout)

    every = days("daily", "--since", "2026-02-01")
    assert [day["session"] for day in every] == sorted(day["session"] for day in every) and len(every) > 1
    assert sum(day["result"]["trades"] for day in every) == len(json.loads(line("trades", "--json", "-C",
                                                                                desks["mixed"]).stdout))  # fmt: skip
    (one,) = days("daily", "--since", "2026-02-13", "--until", "2026-02-13")
    assert one == days("daily", "--session", "2026-02-13")
    text = line("report", "daily", "--since", "2026-02-01", "-C", desks["mixed"]).stdout
    assert text.count("books      ") == len(every)


def test_last_night_and_the_nights_before(desks, line):
    nights = json.loads(line("report", "overnight", "--since", "2026-02-11", "--until", "2026-02-13", "--json", "-C",
                             desks["open"]).stdout)  # fmt: skip
    held = {night["at"][:10]: [row["id"] for row in night["held"]] for night in nights}
    assert list(held) == ["2026-02-11", "2026-02-12", "2026-02-13"] and held["2026-02-11"] == []
    now = json.loads(line("report", "overnight", "--json", "-C", desks["open"]).stdout)
    assert held["2026-02-13"] == [row["id"] for row in now["held"]] != []
    assert line("report", "overnight", "--session", "2026-02-13", "-C", desks["open"]).stdout.startswith("2026-02-13\n")


def test_a_night_around_the_clock_has_the_date_of_its_session(new_desk, run):
    """Its close is midnight, on the next date already."""
    clock = {"TRADEKIT_CLOCK": "2026-02-15T12:00:00Z"}
    done = run("report", "overnight", "--since", "2026-02-13", "--until", "2026-02-14", "-C", new_desk("crypto"),
               env=clock)  # fmt: skip
    assert done.stdout == "2026-02-13\n2026-02-14\n"


@pytest.fixture
def past_midnight(new_desk):
    """A 24/7 desk: its order of Friday 23:59 filled at midnight; it traded at noon of Saturday too."""
    path, midnight = new_desk("crypto"), datetime(2026, 2, 14, tzinfo=UTC)
    with closing(open_store(path / "desk.db")) as store:
        for name, at in (("LATE-USD", midnight), ("NOON-USD", midnight + timedelta(hours=12))):
            sent = at - timedelta(minutes=1)
            order = make_order(symbol=name, created_at=sent, session=sent.date(), position_id=name)
            store.orders.add(order)
            fill = make_fill(order_id=order.id, symbol=name, at=at, session=at.date())
            store.book_fill(fill, Opening(position_id=name))
    return path


def test_a_fill_at_midnight_is_not_held_on_the_day_before(past_midnight, run):
    def held(*words):
        done = run("report", *words, "--json", "-C", past_midnight, env={"TRADEKIT_CLOCK": "2026-02-15T12:00:00Z"})
        assert done.returncode in (0, 7), done.stderr
        return json.loads(done.stdout)

    assert [row["symbol"] for row in held("daily", "--session", "2026-02-13")["positions"]] == []
    nights = held("overnight", "--since", "2026-02-13", "--until", "2026-02-14")
    assert [[row["symbol"] for row in night["held"]] for night in nights] == [[], ["LATE-USD", "NOON-USD"]]


def test_exports_take_the_same_questions(desks, line):
    def rows(*words):
        return line("export", *words, "--format", "csv", "-C", desks["mixed"]).stdout.splitlines()[1:]

    assert rows("fills", "--strategy", "momentum") == rows("fills") != []
    assert rows("fills", "--strategy", "none-such") == []
    early, late = (rows("tax-lots", *words) for words in (("--until", "2026-02-12"), ("--since", "2026-02-13")))
    assert early and late and sorted(early + late) == sorted(rows("tax-lots"))
    assert line("export", "tax-lots", "--what", "open", "--since", "2026-02-12", "-C", desks["mixed"]).returncode == 2


def test_an_analysis_prints_percent_where_json_has_fractions(desks, line):
    words = ("analyze", "missed", "-C", desks["mixed"])
    (row,) = [row for row in json.loads(line(*words, "--json").stdout) if row.get("why") == "traded" and "low" in row]
    head, traded = line(*words).stdout.splitlines()[:2]
    assert "max gain %" in head and "max_gain" in row
    if row["max_gain"] is not None:
        assert f"{round(100 * row['max_gain'], 2):g}" in traded.split()


def test_what_is_unknown_is_called_so(desks, line):
    text = line("report", "overnight", "-C", desks["open"]).stdout
    assert "if all stops fill  -10.00 USD (unknown of desk equity)" in text
    assert "if all gap -5 %    unknown: a price is missing" in text
    for report in REPORTS:
        for kind in ("empty", "losers", "open", "mixed"):
            assert "None" not in line("report", report, "-C", desks[kind]).stdout
