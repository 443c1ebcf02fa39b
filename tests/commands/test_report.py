"""`report` and `why` over a desk's own files: one bought, one vetoed, one rejected symbol."""

import json

import pytest

from tests.reports.records import (
    DAY,
    FILLS,
    D,
    at,
    candidate,
    check,
    decision,
    event,
    exit_order,
    order,
    rejected,
    run,
    scan,
)
from tradekit.cli import run as tradekit
from tradekit.config import Settings
from tradekit.model import MarketSnapshot, Session
from tradekit.store import Opening, open_store


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A desk with an afternoon behind it."""
    home = tmp_path_factory.mktemp("desk")
    (home / "desk.yaml").write_text("", encoding="utf-8")
    (home / "universe.yaml").write_text("", encoding="utf-8")
    store = open_store(home / "desk.db", create=True)
    store.sessions.replace([Session(DAY, at("14:30"), at("21:00"), False)], DAY, DAY)
    store.scans.add(scan(counts={"universe": 3}))
    store.snapshots.add(
        MarketSnapshot(at=at("14:35"), benchmark="SPY", price=D(600), trend=0.01, sma20=594.0, volatility=0.1,
                       breadth=0.6, regime="up")
    )  # fmt: skip
    store.candidates.add_many([candidate(), candidate("MSFT", score=14.0), rejected("IBM", "rvol")])
    store.decisions.add_many([decision(), decision("MSFT", status="refused")])
    store.risk_checks.add_many([check(), check("MSFT", "vetoed", "spread", because="the spread is 0.50 %")])
    fresh = {"status": "open", "filled_qty": D(0), "avg_price": None}
    store.orders.add(order(**fresh))
    plan = {"stop": 0.009, "target": 0.026, "after_target": "arm-trail", "trail": 0.015}
    opens = Opening(
        position_id="AAPL-20260213T1435", strategy="momentum", cap="mid", intent="day", plan=plan, stop_price=None,
        target_price=None, decision_id=decision().id, master=False, regime="up", strategy_version=None, because="",
    )  # fmt: skip
    for each in FILLS[:2]:
        store.book_fill(each, opens)
    store.orders.add(exit_order(**fresh))
    store.book_fill(FILLS[2], None)
    store.events.add(
        event("exit", "15:30", symbol="AAPL", ref=exit_order().id, data={"rule": "trailing-stop", "because": "it fell"})
    )
    store.runs.start(run("15:30"))
    store.close()
    return home


def out(capsys, desk, *argv):
    code = tradekit(["-C", str(desk), *argv], {})
    return code, capsys.readouterr()


def test_report_daily_is_one_object(desk, capsys):
    code, said = out(capsys, desk, "report", "daily", "--json")
    assert code == 0, said.err
    found = json.loads(said.out)
    assert (found["session"], found["books"]["match"], found["account"]) == ("2026-02-13", None, None)
    assert (found["result"]["trades"], found["result"]["net"]) == (1, 161.73)
    assert found["trades"][0]["entry_slippage_bp"] == 10
    assert found["vetoes"] == {"spread": 1}
    assert [line["in"] for line in found["funnel"]] == [3, 2, 2, 2, 2, 1, 1, 1]


def test_report_daily_reads_like_a_page(desk, capsys):
    code, said = out(capsys, desk, "report", "daily", "--session", "2026-02-13")
    assert code == 0
    assert said.out.startswith("Friday 2026-02-13, 09:30 - 16:00 America/New_York\n\nbooks      not compared")
    assert "1 closed, 1 won, 0 lost, net +161.73 USD" in said.out
    assert "vetoes     spread 1" in said.out


def test_report_funnel(desk, capsys):
    code, said = out(capsys, desk, "report", "funnel", "--json")
    assert code == 0
    gate = next(line for line in json.loads(said.out) if line["stage"] == "risk gate")
    assert (gate["in"], gate["out"], gate["lost"], gate["reasons"]) == (2, 1, 1, {"spread": 1})
    code, said = out(capsys, desk, "report", "funnel", "--strategy", "other", "--json")
    assert code == 0
    assert all(line["in"] == 0 for line in json.loads(said.out))


def test_report_fills_and_its_filters(desk, capsys):
    code, said = out(capsys, desk, "report", "fills", "--json")
    entry, leave = json.loads(said.out)
    assert (code, entry["slippage_bp"], leave["slippage_bp"]) == (0, 10, 9.8039)
    for nothing in (["--symbol", "msft"], ["--since", "2026-02-14"], ["--until", "2026-02-12"], ["--strategy", "x"]):
        assert json.loads(out(capsys, desk, "report", "fills", "--json", *nothing)[1].out) == []
    assert len(json.loads(out(capsys, desk, "report", "fills", "--json", "--strategy", "momentum")[1].out)) == 2


@pytest.mark.parametrize("argv", [
    ["report", "daily", "--session", "2026-02-14"],
    ["report", "funnel", "--session", "13.2.2026"],
    ["report", "fills", "--session", "2026-02-13", "--since", "2026-02-13"],
    ["why", "APPL"],
])  # fmt: skip
def test_a_slip_is_a_usage_error_with_a_way_out(desk, capsys, argv):
    code, said = out(capsys, desk, *argv)
    assert code == 2
    assert "fix:" in said.err
    assert said.out == ""


def steps(capsys, desk, word):
    code, said = out(capsys, desk, "why", word, "--json")
    assert code == 0, said.err
    return [(step["step"], step["id"]) for step in json.loads(said.out)]


WHOLE = [
    "market", "scan", "candidate", "decision", "risk", "order", "fill", "fill", "exit", "order", "fill", "trade",
]  # fmt: skip


@pytest.mark.parametrize(
    "word",
    ["AAPL", "aapl", "AAPL-20260213T1435", order().id, "c-AAPL", exit_order().id, "f-1", decision().id, candidate().id],
)
def test_every_id_of_a_trade_tells_the_whole_chain(desk, capsys, word):
    assert [step for step, _ in steps(capsys, desk, word)] == WHOLE


def test_a_vetoed_decision_and_a_rejected_candidate_explain_themselves(desk, capsys):
    assert [step for step, _ in steps(capsys, desk, "MSFT")] == ["market", "scan", "candidate", "decision", "risk"]
    assert [step for step, _ in steps(capsys, desk, "IBM")] == ["market", "scan", "candidate"]
    assert [step for step, _ in steps(capsys, desk, rejected("IBM", "rvol").id)] == ["market", "scan", "candidate"]


def test_the_story(desk, capsys):
    code, said = out(capsys, desk, "why", "AAPL")
    lines = said.out.splitlines()
    assert code == 0
    assert lines[0].startswith("AAPL")
    assert "  10:30:00  exit       trailing-stop: it fell" in lines
    assert lines[-1].startswith("  10:31:00  trade      closed by trailing-stop: net 161.73")


def test_an_unknown_word_names_the_nearest_ones(desk, capsys):
    assert "did you mean AAPL" in out(capsys, desk, "why", "APPL")[1].err


def test_reports_stop_for_a_funnel_that_does_not_foot(desk, capsys, tmp_path):
    import shutil

    broken = shutil.copytree(desk, tmp_path / "broken")
    store = open_store(broken / "desk.db")
    store.decisions.add(decision("GHOST"))
    store.close()
    code, said = out(capsys, broken, "report", "funnel")
    assert code == 7
    assert "d-GHOST-20260213T1435-momentum: has no candidate" in said.err
    assert out(capsys, broken, "report", "daily")[0] == 7


def test_settings_have_the_defaults_that_the_page_names():
    assert Settings().desk.timezone == "America/New_York"
