import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from tests.make import (
    CLOSE,
    OPEN,
    D,
    at,
    make_account,
    make_candidate,
    make_decision,
    make_event,
    make_fill,
    make_halt,
    make_mark,
    make_order,
    make_run,
    make_scan,
    make_session,
)
from tradekit.cli import run
from tradekit.store import Opening, open_store

HEAVY = {"pandas", "numpy", "numba", "httpx", "keyring", "sqlite_utils", "rich", "yaml", "exchange_calendars"}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk that bought AAPL and MSFT, sold MSFT, and saw a few other things."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "desk.yaml").write_text("desk: {name: test}\n")
    store = open_store(folder / "desk.db", create=True, synchronous="OFF")
    with store.transaction():
        store.meta.set("clock_at", "2026-02-13T15:30:00Z")
        store.sessions.replace([make_session()], OPEN.date(), CLOSE.date())
        store.scans.add(make_scan())
        store.candidates.add_many([make_candidate(), make_candidate(symbol="IBM", passed=False, score=None)])
        store.decisions.add(make_decision(status="used"))
        store.decisions.add(make_decision(symbol="IBM", action="WATCH", status="used"))
        store.decisions.add(make_decision(symbol="NVDA", status="waiting"))
        for symbol in ("AAPL", "MSFT"):
            order = make_order(id=f"{symbol}-in", symbol=symbol, submitted_at=at(7))
            store.orders.add(order)
            store.book_fill(
                make_fill(order_id=order.id, symbol=symbol, at=at(8)),
                Opening(position_id=f"{symbol}-P", strategy="momentum"),
            )
        store.marks.save([make_mark(position_id="AAPL-P", last_price="101.5")])
        store.orders.add(make_order(id="MSFT-out", symbol="MSFT", side="sell", position_id="MSFT-P", created_at=at(19)))
        store.book_fill(make_fill(order_id="MSFT-out", symbol="MSFT", side="sell", price=102, at=at(20)), None)
        store.orders.add(make_order(id="AAPL-stop", side="sell", purpose="protect", reason="protect", created_at=at(9)))
        store.account.add(make_account(at=at(30)))
        store.halts.add(make_halt())
        run_ = store.runs.start(make_run())
        store.runs.finish(run_.id, at(6), 0, {"candidates": 1})
        store.runs.start(make_run(command="enter", started_at=at(7)))
        store.events.add_many([make_event(id="e1"), make_event(id="e2", kind="alert.late-fill", symbol="AAPL")])
    store.close()
    return folder


def look(desk, *words):
    """(exit code, stdout, stderr) of one command line."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["-C", str(desk), *words], {"HOME": "/nonexistent"})
    return code, out.getvalue(), err.getvalue()


def records(desk, *words):
    code, out, err = look(desk, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("positions", ["AAPL-P"]),
        ("positions --all", ["AAPL-P", "MSFT-P"]),
        ("positions --symbol aapl", ["AAPL-P"]),
        ("positions --at 2026-02-13T14:40:00Z", ["AAPL-P", "MSFT-P"]),
        ("positions --at 2026-02-13T14:30:00Z", []),
        ("orders", ["AAPL-in", "MSFT-in", "AAPL-stop", "MSFT-out"]),
        ("orders --live", ["AAPL-stop"]),
        ("orders --symbol MSFT --limit 1", ["MSFT-out"]),
        ("orders --live --at 2026-02-13T14:37:30Z", ["AAPL-in", "MSFT-in"]),
        ("orders --session 2026-02-12", []),
        ("trades", ["MSFT-P"]),
        ("trades --until 2026-02-13T14:50:00Z", []),
        ("trades --since 2026-02-13", ["MSFT-P"]),
        ("trades --until 2026-02-13", ["MSFT-P"]),
        ("candidates", ["AAPL-20260213T1435-momentum"]),
        ("candidates --all", ["AAPL-20260213T1435-momentum", "IBM-20260213T1435-momentum"]),
        ("candidates --all --scan 20260213T1435-momentum-open --limit 1", ["IBM-20260213T1435-momentum"]),
        ("decisions --symbol IBM", ["d-IBM-20260213T1436-momentum"]),
        ("watchlist", ["d-IBM-20260213T1436-momentum"]),
        ("runs", ["20260213T143500-scan", "20260213T143700-enter"]),
        ("runs --unfinished", ["20260213T143700-enter"]),
        ("runs --command scan", ["20260213T143500-scan"]),
        ("events", ["e1", "e2"]),
        ("events --alerts", ["e2"]),
        ("events --kind fill", ["e1"]),
    ],
)
def test_what_is_shown(desk, words, ids):
    assert [row["id"] for row in records(desk, *words.split())] == ids


def test_fills_have_their_numbers(desk):
    found = records(desk, "fills", "--symbol", "MSFT")
    assert [(row["side"], row["qty"], row["price"], row["session"]) for row in found] == [
        ("buy", 10, 100, "2026-02-13"),
        ("sell", 10, 102, "2026-02-13"),
    ]


def test_foreign_holdings_are_shown_as_locked(desk):
    store = open_store(desk / "desk.db", synchronous="OFF")
    store.set_unmanaged({"TSLA": D("12.50")})
    written = (desk / "desk.db").read_bytes()
    store.set_unmanaged({"TSLA": D("12.5")})
    assert (desk / "desk.db").read_bytes() == written
    store.close()
    code, out, err = look(desk, "positions")
    assert "TSLA" not in out
    assert err == "locked: TSLA 12.5 (not the desk's, never sold; tradekit adopt TSLA)\n"


def test_status_is_one_record(desk):
    page = records(desk, "status")
    assert page["session"] == "2026-02-13"
    assert (page["market"], page["clock"], page["now"]) == ("open", "virtual", "2026-02-13T15:30:00Z")
    assert (page["equity"], page["cash"]) == (100_000, 99_000)
    assert page["positions"] == [{"symbol": "AAPL", "side": "long", "qty": 10, "avg_price": 100, "unrealized": 15}]
    assert page["live_orders"] == {"protect open": 1}
    assert page["waiting"] == ["d-NVDA-20260213T1436-momentum"]
    assert page["halts"] == ["h-20260213T1500-manual: news"]
    assert page["alerts"] == {"late-fill": 1}
    assert page["unfinished"] == ["20260213T143700-enter"]
    assert page["last_runs"]["scan"]["exit_code"] == 0


def test_status_showed_an_old_account_row_as_if_it_were_of_now(desk):
    page = records(desk, "status")  # the row is of 15:00Z, now is 15:30Z
    assert (page["account"], page["open_pnl"]) == ("as stored 30 min ago", 15)


def test_status_at_an_earlier_time(desk):
    page = records(desk, "status", "--at", at(15).isoformat())  # before MSFT was sold, the row taken, a halt called
    assert (page["now"], page["market"]) == ("2026-02-13T14:45:00Z", "open")
    assert [(row["symbol"], row["qty"]) for row in page["positions"]] == [("AAPL", 10), ("MSFT", 10)]
    assert (page["account"], page["equity"]) == ("no account row yet: tradekit jobs snapshot", None)
    assert page["open_pnl"] is None  # marks are only kept for now
    assert page["halts"] == []
    assert page["live_orders"] == {"protect intended": 1}
    before = records(desk, "status", "--at", at(5, 30).isoformat())  # the scan of 14:35 is at work
    assert (before["positions"], before["unfinished"]) == ([], ["20260213T143500-scan"])
    assert list(before["last_runs"]) == ["scan"]


def test_status_of_an_empty_desk(tmp_path):
    (tmp_path / "desk.yaml").write_text("")
    open_store(tmp_path / "desk.db", create=True, synchronous="OFF").close()
    page = records(tmp_path, "status")
    assert (page["positions"], page["equity"], page["live_orders"]) == ([], None, {})
    assert page["account"] == "no account row yet: tradekit jobs snapshot"


def test_sql(desk):
    assert records(desk, "sql", "SELECT symbol, net FROM trades WHERE net > 10") == [{"symbol": "MSFT", "net": 20.0}]
    code, out, err = look(desk, "sql", "SELECT id FROM orders", "--limit", "1", "--csv")
    assert (code, out.split()) == (0, ["id", "AAPL-in"])
    assert "only the first 1 rows" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["orders", "--session", "tomorrow"], "--session tomorrow: not a date"),
        (["trades", "--since", "2026-02-30"], "--since 2026-02-30: not a time"),
        (["positions", "--at", "noon"], "--at noon: not a time"),
        (["positions", "--at", "2026-02-13", "--all"], "do not go together"),
        (["candidates", "--scan", "none"], "there is no scan none"),
        (["sql", "DROP TABLE orders"], "only SELECT"),
        (["sql", "SELECT colour FROM orders"], "no such column: colour"),
        (["orders", "--limit", "0"], "0"),
    ],
)
def test_a_mistake_is_2_with_a_clear_line(desk, words, said):
    code, out, err = look(desk, *words)
    assert (code, out) == (2, "")
    assert said in err


def test_an_empty_table_says_so_on_stderr(desk):
    assert look(desk, "trades", "--symbol", "XYZ") == (0, "", "no closed trades\n")
    assert look(desk, "trades", "--symbol", "XYZ", "--json")[1] == "[]\n"


@pytest.mark.parametrize("command", ["trades", "fills", "orders", "decisions", "candidates", "events", "positions"])
def test_a_mistyped_symbol_looked_like_one_without_records(desk, command):
    code, out, err = look(desk, command, "--symbol", "AAPLL")
    assert (code, out) == (2, "")
    assert "AAPLL: the books do not know it" in err and "did you mean AAPL?" in err
    assert look(desk, command, "--symbol", "IBM")[0] == 0  # known, whether or not there is anything


def test_a_desk_without_books_is_9(tmp_path):
    (tmp_path / "desk.yaml").write_text("")
    for command in ("positions", "status", "sql"):
        words = [command, "SELECT 1"] if command == "sql" else [command]
        code, out, err = look(tmp_path, *words)
        assert (code, out) == (9, "")
        assert "desk.db is missing" in err


def test_looking_leaves_no_trace(desk):
    before = (desk / "desk.db").read_bytes()
    for command in ("positions", "status", "orders", "events"):
        look(desk, command)
    assert (desk / "desk.db").read_bytes() == before


@pytest.mark.parametrize("command", ["positions", "status", "candidates --all"])
def test_looking_is_light(desk, command):
    script = (
        "import sys\nfrom tradekit.cli import run\n"
        f"code = run(['-C', {str(desk)!r}, *{command!r}.split()])\n"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0"
    assert not HEAVY & set(modules)
