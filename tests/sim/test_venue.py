"""The venue itself: journal, restart, what hands and corporate actions do, the control endpoints, bad calls."""

import json
import urllib.error
import urllib.request

import pytest

from tests.brokers.tape import D, at, bar, order
from tradekit.errors import UsageError
from tradekit.sim.faults import KINDS, Faults, read_script
from tradekit.sim.journal import Journal, read_journal
from tradekit.sim.venue import Request, controls

BARS = [bar("9:35", 100.0), bar("9:36", 100.0)]
RESTING = {"type": "limit", "limit_price": "90"}


def call(url: str, method: str = "GET", body: object = None, **headers: str) -> tuple[int, object]:
    """(status, decoded body) of one plain call, without the adapter."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_journal_tells_a_life_in_order(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    broker.submit(order("buy", 10))
    served.move("9:36")
    stop = broker.submit(order("sell", 10, type="stop", stop_price="90", id="s"))
    broker.cancel(stop.broker_order_id)
    told = [(row["kind"], row.get("client_order_id")) for row in served.venue.journal.rows]
    assert told == [
        ("opened", None), ("asked", "c1"), ("accepted", "c1"), ("fill", "c1"), ("final", "c1"),
        ("asked", "s"), ("accepted", "s"), ("cancel-asked", "s"), ("final", "s"),
    ]  # fmt: skip
    fill = served.journal("fill")[0]
    assert (fill["qty"], fill["price"], fill["traded_at"], fill["at"]) == (
        "10", "100.07", "2026-02-13T14:35:00Z", "2026-02-13T14:36:00Z",
    )  # fmt: skip
    assert read_journal(served.venue.journal.path) == served.venue.journal.rows


def test_a_restart_goes_on_with_books_and_journal(http_venue, tmp_path):
    first = http_venue(BARS, folder=tmp_path / "v")
    first.broker().submit(order("buy", 10))
    first.broker().submit(order("buy", 5, id="c2", **RESTING))
    first.server.remove(first.url)
    second = http_venue(BARS, folder=tmp_path / "v", now="9:36")
    assert [o.client_order_id for o in second.broker().open_orders()] == ["c2"]
    assert second.broker().submit(order("buy", 10)).status == "filled"  # the id is known: no second order
    assert [row["client_order_id"] for row in second.journal("accepted")] == ["c1", "c2"]
    assert len(second.journal("fill")) == len(second.journal("final")) == len(second.journal("opened")) == 1
    assert [row["n"] for row in second.venue.journal.rows] == list(range(1, len(second.venue.journal.rows) + 1))


def test_a_journal_cut_in_the_middle_of_a_line_goes_on(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).add("opened", at("9:35"))
    with path.open("ab") as file:
        file.write(b'{"n":2,"at":"2026')
    Journal(path).add("fill", at("9:36"), qty=D("1.50"))
    assert [(row["kind"], row.get("qty")) for row in read_journal(path)] == [("opened", None), ("fill", "1.50")]


def test_trades_by_hand_show_in_the_account(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    broker.submit(order("buy", 10))
    served.move("9:36")
    served.venue.control("trade", symbol="AAPL", side="sell", qty="4", price="101")
    served.venue.control("trade", symbol="AAPL", side="buy", qty="50")
    assert [(p.symbol, p.qty) for p in broker.positions()] == [("AAPL", 56)]
    assert [(f.client_order_id, f.side, f.qty) for f in broker.fills_since(at("9:30"))] == [
        ("c1", "buy", 10), (None, "sell", 4), (None, "buy", 50),
    ]  # fmt: skip
    assert [row["qty"] for row in served.journal("by-hand")] == ["4", "50"]
    with pytest.raises(UsageError, match="has only 56"):
        served.venue.control("trade", symbol="AAPL", side="sell", qty="57")


@pytest.mark.parametrize(("held", "ratio", "after", "cash"), [("10", "10", "100", "0"), ("150", "0.01", "1", "5000")])
def test_a_split_scales_shares_cancels_orders_and_pays_fractions(http_venue, held, ratio, after, cash):
    # 150 shares 1:100 are 1.5: one share, and half a new share at 100 x 100 in cash
    served = http_venue(BARS, holdings={"AAPL": D(held)})
    broker = served.broker()
    broker.submit(order("sell", held, type="stop", stop_price="90", tif="gtc"))
    done = served.venue.control("split", symbol="AAPL", ratio=ratio)
    assert done["cash"] == cash
    assert [(p.symbol, p.qty, p.available) for p in broker.positions()] == [("AAPL", D(after), D(after))]
    assert broker.account().cash == 100_000 + D(cash)
    assert list(broker.open_orders()) == []
    flows = [(flow.kind, flow.qty, flow.amount) for flow in broker.cash_flows_since(at("9:30"))][2:]
    assert flows[0] == ("split", D(after) - D(held), None)
    assert flows[1:] == ([("cash-in-lieu", None, D(cash))] if D(cash) else [])


def test_the_venue_itself_ends_and_fills_orders(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    broker.submit(order("buy", 10, id="a", **RESTING))
    broker.submit(order("buy", 10, id="b", **RESTING))
    served.venue.control("end", order="P1", status="expired", reason="halt")
    served.venue.control("fill", order="P2", qty="3", price="89")
    a, b = broker.order("a"), broker.order("b")
    assert (a.status, a.reason, b.status, b.filled_qty, b.avg_price) == ("expired", "halt", "partially_filled", 3, 89)
    served.venue.control("fill", order="P2")
    assert broker.order("b").status == "filled"
    served.venue.control("cash", amount="-500")
    served.venue.control("hold", symbol="AAPL", qty="7")
    truth = served.venue.control("truth")
    assert truth["positions"] == {"AAPL": "17"}
    assert [o["status"] for o in truth["orders"]] == ["expired", "filled"]


def test_the_same_through_http(http_venue):
    served = http_venue(BARS)
    control = f"{served.url}/_control"
    assert call(f"{control}/faults", "POST", [{"kind": "empty", "path": "/v1/orders"}]) == (200, {"rules": 1})
    assert call(f"{control}/clock", "POST", {"forward_s": 60}) == (200, {"at": "2026-02-13T14:36:00Z"})
    assert call(f"{control}/faults")[1][0]["kind"] == "empty"
    assert call(f"{control}/faults", "POST", []) == (200, {"rules": 0})
    assert call(f"{control}/trade", "POST", {"symbol": "AAPL", "side": "buy", "qty": "1"})[0] == 200
    assert [row["kind"] for row in call(f"{control}/journal")[1]] == ["opened", "by-hand", "fill", "final"]
    for word, body in (
        ("nonsense", {}), ("trade", {"symbol": "AAPL"}), ("trade", {"symbol": "AAPL", "side": "buy", "qty": "x"}),
        ("faults", [{"kind": "nonsense"}]), ("split", {"symbol": "NOPE", "ratio": "2"}),
    ):  # fmt: skip
        assert call(f"{control}/{word}", "POST", body)[0] == 422, word


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/v1/nothing", None, 404), ("PATCH", "/v1/orders", None, 405), ("POST", "/v1/orders", [1], 422),
    ("POST", "/v1/orders", {"client_order_id": "a~b"}, 422), ("POST", "/v1/orders", {}, 422),
    ("POST", "/v1/orders", {"client_order_id": "a", "symbol": "AAPL", "side": "buy", "qty": "nan", "type": "market",
                            "tif": "day"}, 422),
    ("GET", "/v1/orders?since=yesterday", None, 422), ("GET", "/v1/orders/by-client-id/x", None, 404),
])  # fmt: skip
def test_a_call_that_makes_no_sense_is_told_so(http_venue, method, path, body, status):
    found = call(http_venue(BARS).url + path, method, body)
    assert found[0] == status
    assert set(found[1]["error"]) == {"code", "message"}


def test_no_such_venue(venue_server):
    assert call(f"{venue_server.url}/nobody/v1/account")[0] == 404


def test_a_followed_clock_goes_with_the_client_and_never_back(http_venue):
    served = http_venue(BARS, follow=True)
    seen = [
        call(f"{served.url}/v1/account", **{"venue-time": when})[1]["at"]
        for when in ("2026-02-13T14:36:30Z", "2026-02-13T14:36:00Z")
    ]
    assert seen == ["2026-02-13T14:36:30Z", "2026-02-13T14:36:30Z"]


# the script


def test_a_rule_strikes_at_its_call_so_many_times():
    faults = Faults()
    faults.add({"kind": "drop-after", "method": "POST", "path": "/v1/orders", "nth": 2, "times": 2,
                "where": {"side": "sell"}})  # fmt: skip
    sides = ["sell", "buy", "sell", "sell", "sell"]
    struck = [bool(faults.of("POST", "/v1/orders", {"side": side})) for side in sides]
    assert struck == [False, False, True, True, False]
    assert faults.of("GET", "/v1/orders", {"side": "sell"}) == []


def test_zero_times_is_for_ever():
    faults = Faults()
    faults.add({"kind": "unauthorized", "times": 0})
    assert all(faults.of("GET", "/v1/positions", {}) for _ in range(5))


@pytest.mark.parametrize("text", [
    "{}", "[1]", "nonsense", '[{"kind": "drop"}]', '[{"kind": "drop-after", "seconds": 3}]',
    '[{"kind": "body", "form": "poem"}]', '[{"kind": "wait", "nth": 0}]', '[{"kind": "wait", "when": 1}]',
])  # fmt: skip
def test_a_script_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError):
        Faults().add(*read_script(text))


def test_docs_name_every_fault_and_control():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "sim.md").read_text("utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in text] == []
    assert [word for word in controls() if f"`{word}`" not in text] == []


def test_plan_and_answer_may_be_called_without_a_server(http_venue):
    venue = http_venue(BARS).venue
    reply = venue.answer(Request("GET", "/v1/positions"))
    assert (reply.status, json.loads(reply.body)["rows"]) == (200, [])
