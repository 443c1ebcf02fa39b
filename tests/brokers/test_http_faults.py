"""Each fault that a venue can be scripted to have, and what the adapter makes of it."""

from decimal import Decimal

import pytest

from tests.brokers.tape import at, bar, order
from tradekit.base.net import Deadlines
from tradekit.errors import AmbiguousSend, AuthError, BrokerError, OrderRejected, UsageError
from tradekit.sim.faults import KINDS

D = Decimal
BARS = [bar("9:35", 100.0), bar("9:36", 100.0), bar("9:37", 100.0)]
RESTING = {"type": "limit", "limit_price": "90"}
POST = {"method": "POST", "path": "/v1/orders"}


def accepted(served) -> list[str]:
    """Client ids of the orders that the venue took, from its journal."""
    return [row["client_order_id"] for row in served.journal("accepted")]


def said(fault: dict) -> str:
    """A fault's name in the list of tests."""
    return "-".join(str(value) for name, value in fault.items() if name not in POST)


# a submit without a clear answer


@pytest.mark.parametrize(("fault", "arrived"), [
    ({"kind": "drop-before", **POST}, False),
    ({"kind": "drop-after", **POST}, True),
    ({"kind": "error-before", **POST, "status": 503}, False),
    ({"kind": "error-after", **POST, "status": 500}, True),
    ({"kind": "error-after", **POST, "status": 502, "body": "html"}, True),
    ({"kind": "error-after", **POST, "status": 503, "body": "empty"}, True),
    ({"kind": "error-after", **POST, "status": 302, "body": "html"}, True),
    ({"kind": "error-after", **POST, "status": 404, "body": "html"}, True),
    ({"kind": "wait", **POST, "seconds": 0.4}, True),  # accepted after the client has left
    ({"kind": "wait-after", **POST, "seconds": 0.5}, True),
    ({"kind": "slow", **POST, "seconds": 3.0}, True),
    ({"kind": "truncate", **POST, "at": 40}, True),
    ({"kind": "body", **POST, "form": "html"}, True),
    ({"kind": "body", **POST, "form": "malformed"}, True),
    ({"kind": "body", **POST, "form": "huge"}, True),
    ({"kind": "body", **POST, "form": "empty"}, True),
    ({"kind": "body", **POST, "form": "list"}, True),
    ({"kind": "body", **POST, "form": "deep"}, True),
    ({"kind": "body", **POST, "form": "nan"}, True),
    ({"kind": "no-order-id"}, True),
    ({"kind": "wrong-order", **POST}, True),
    ({"kind": "wrong-account", **POST}, True),
    ({"kind": "unauthorized", **POST}, False),
    ({"kind": "rate-limit", **POST}, False),
    ({"kind": "duplicate-id"}, False),  # refused, and nothing is found under it
], ids=lambda value: said(value) if isinstance(value, dict) else "")  # fmt: skip
def test_a_submit_without_a_clear_answer_is_ambiguous(http_venue, fault, arrived):
    served = http_venue(BARS, faults=[fault])
    broker = served.broker()
    with pytest.raises(AmbiguousSend):
        broker.submit(order("buy", 10, **RESTING))
    if fault["kind"] == "wait":
        from tradekit.clock import SystemClock

        SystemClock().sleep(0.3)
    assert accepted(served) == (["c1"] if arrived else [])
    found = broker.order("c1")  # the question that settles it
    assert (found is not None) is arrived


def test_an_answer_cut_at_any_byte_is_ambiguous_and_one_order(http_venue):
    """Head and body, every 29th byte: never a wrong order, never two."""
    served, calls = http_venue(BARS), []
    broker = served.broker(audit=calls.append)
    broker.submit(order("buy", 1, id="whole", **RESTING))
    cuts = list(range(0, len(calls[-1].answer) + 60, 29))  # the head has more than 60 bytes
    for cut in cuts:
        served.faults({"kind": "truncate", **POST, "at": cut, "of": "response"})
        with pytest.raises(AmbiguousSend):
            broker.submit(order("buy", 1, id=f"c{cut}", **RESTING))
        served.venue.faults.clear()
        again = broker.submit(order("buy", 1, id=f"c{cut}", **RESTING))  # the same id: what is there comes back
        assert again.client_order_id == f"c{cut}"
    assert accepted(served) == ["whole", *(f"c{cut}" for cut in cuts)]


def test_nothing_left_where_nobody_listens(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    assert broker.capabilities
    broker.close()  # no kept connection
    broker._http._base = "http://127.0.0.1:9"  # the discard port: refused
    with pytest.raises(BrokerError) as caught:
        broker.submit(order("buy", 10))
    assert (type(caught.value), caught.value.sent) == (BrokerError, False)


def test_a_duplicate_id_is_answered_with_the_order_that_is_there(http_venue):
    served = http_venue(BARS)
    first = served.broker().submit(order("buy", 10, **RESTING))
    assert served.broker().submit(order("buy", 10, **RESTING)) == first
    assert accepted(served) == ["c1"]


def test_a_duplicate_id_of_another_order_is_refused(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    broker.submit(order("buy", 10, **RESTING))
    with pytest.raises(OrderRejected, match="names another order: 10 instead of 20") as caught:
        broker.submit(order("buy", 20, **RESTING))
    assert caught.value.why == "duplicate"


@pytest.mark.parametrize(("fault", "why"), [
    ({"kind": "held"}, "held"),
    ({"kind": "reject", "code": "stop-through", "message": "price is already through the stop"}, "stop-through"),
    ({"kind": "reject", "status": 403, "code": "wash-trade", "message": "opposite order"}, "wash-trade"),
    ({"kind": "reject", "status": 403, "code": "day-trade", "message": "pattern day trader"}, "day-trade"),
])  # fmt: skip
def test_a_refusal_keeps_the_venue_s_reason(http_venue, fault, why):
    served = http_venue(BARS, faults=[fault])
    with pytest.raises(OrderRejected) as caught:
        served.broker().submit(order("buy", 10))
    assert caught.value.why == why
    assert accepted(served) == []


def test_a_lagging_lookup_is_absent_then_there(http_venue):
    served = http_venue(BARS, faults=[{"kind": "lookup-lag", "seconds": 10}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    assert broker.order("c1") is None and list(broker.open_orders()) == []
    with pytest.raises(AmbiguousSend):  # the venue knows the id and does not find the order
        broker.submit(order("buy", 10, **RESTING))
    served.move("9:35:10")
    found = broker.order("c1")
    assert found is not None and found.broker_order_id == taken.broker_order_id
    assert accepted(served) == ["c1"]


def test_a_lag_of_the_lookup_alone_shows_in_the_listing(http_venue):
    served = http_venue(BARS, faults=[{"kind": "lookup-lag", "seconds": 10, "listing": False}])
    broker = served.broker()
    broker.submit(order("buy", 10, **RESTING))
    assert broker.order("c1") is None
    assert [o.client_order_id for o in broker.open_orders()] == ["c1"]


def test_a_venue_without_unique_ids_may_accept_twice(http_venue):
    served = http_venue(BARS, profile="none", faults=[{"kind": "accept-twice"}])
    broker = served.broker()
    broker.submit(order("buy", 10, **RESTING))
    assert accepted(served) == ["c1", "c1"]  # the journal knows, the listing only shows two alike
    assert [o.client_order_id for o in broker.open_orders()] == [None, None]
    with pytest.raises(UsageError):
        http_venue(BARS, profile="unique", faults=[{"kind": "accept-twice"}])


# reads that fail


@pytest.mark.parametrize("fault", [
    {"kind": "drop-before"}, {"kind": "drop-after"}, {"kind": "error-before", "status": 500},
    {"kind": "error-before", "status": 502, "body": "html"}, {"kind": "error-before", "status": 404, "body": "html"},
    {"kind": "wait", "seconds": 0.4}, {"kind": "truncate", "at": 30}, {"kind": "body", "form": "html"},
    {"kind": "body", "form": "malformed"}, {"kind": "body", "form": "huge"}, {"kind": "body", "form": "empty"},
    {"kind": "body", "form": "list"}, {"kind": "body", "form": "deep"}, {"kind": "body", "form": "nan"},
    {"kind": "rate-limit"}, {"kind": "wrong-account"}, {"kind": "slow", "seconds": 3.0},
], ids=said)  # fmt: skip
def test_a_failed_read_is_an_error_and_never_an_empty_list(http_venue, fault):
    served = http_venue(BARS, holdings={"MSFT": D(50)})
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    broker.submit(order("buy", 10, id="now"))
    served.move("9:36")
    served.faults({"times": 0, "method": "GET", **fault})
    for ask in (
        broker.positions,
        broker.open_orders,
        lambda: broker.orders_since(at("9:30")),
        lambda: broker.fills_since(at("9:30")),
        lambda: broker.order("c1"),
        lambda: broker.order_by_broker_id(taken.broker_order_id),
        broker.account,
    ):
        with pytest.raises(BrokerError):
            ask()
        if fault.get("seconds"):
            break  # one is enough of what waits


def test_a_listing_that_lost_a_row_is_an_error(http_venue):
    served = http_venue(BARS, faults=[{"kind": "short-count", "times": 0}])
    broker = served.broker()
    broker.submit(order("buy", 10, **RESTING))
    with pytest.raises(BrokerError, match="1 rows announced"):
        broker.open_orders()


def test_a_read_is_tried_again(http_venue):
    served = http_venue(BARS, faults=[
        {"kind": "error-before", "status": 503, "path": "/v1/positions"},
        {"kind": "truncate", "at": 10, "path": "/v1/positions", "nth": 2},
    ])  # fmt: skip
    broker = served.broker(retries=2, deadlines=Deadlines(1.0, 1.0, 5.0))
    assert list(broker.positions()) == []
    assert [row["fault"] for row in served.journal("fault")] == ["error-before", "truncate"]


def test_a_submit_is_never_tried_again(http_venue):
    served = http_venue(BARS, faults=[{"kind": "error-before", **POST}])
    with pytest.raises(AmbiguousSend):
        served.broker(retries=5).submit(order("buy", 10))
    assert accepted(served) == []


def test_a_slow_body_ends_with_the_total_deadline(http_venue):
    from tradekit.clock import SystemClock

    served = http_venue(BARS, faults=[{"kind": "slow", "seconds": 20.0, "path": "/v1/positions"}])
    broker, clock = served.broker(), SystemClock()
    broker.account()
    began = clock.monotonic()
    with pytest.raises(BrokerError):
        broker.positions()  # each piece comes in time, the whole does not
    assert clock.monotonic() - began < 1.5


# 401, 429


def test_401_once_is_refreshed_and_read_again(http_venue):
    served = http_venue(BARS, faults=[{"kind": "unauthorized", "path": "/v1/positions"}])
    asked = []

    def token(refresh: bool) -> str:
        asked.append(refresh)
        return "t"

    assert list(served.broker(token=token).positions()) == []
    assert asked.count(True) == 1


def test_401_for_ever_is_one_refresh_and_then_silence(http_venue):
    served = http_venue(BARS, faults=[{"kind": "unauthorized", "times": 0}])
    refreshed = []
    broker = served.broker(token=lambda refresh: refreshed.append(refresh) or "t", retries=3)
    for _ in range(3):
        with pytest.raises(AuthError):
            broker.positions()
    assert refreshed.count(True) == 1
    assert len(served.journal("fault")) == 2  # the call and its repetition; then the venue is left alone


def test_the_token_goes_along(http_venue):
    served = http_venue(BARS, token="s3cret-token")
    assert served.broker(token=lambda refresh: "s3cret-token").account()
    with pytest.raises(AuthError):
        served.broker().account()


class Limit:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.urgent: list[bool] = []

    def take(self, *, urgent: bool, wait_s: float) -> bool:
        self.urgent.append(urgent)
        return True

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@pytest.mark.parametrize(("after", "pauses"), [(0.3, [0.3]), ("Wed, 21 Oct 2015 07:28:00 GMT", [0.0]), (None, None)])
def test_429_waits_as_long_as_it_was_told(http_venue, after, pauses):
    served = http_venue(BARS, faults=[{"kind": "rate-limit", "path": "/v1/positions", "retry_after": after}])
    limit = Limit()
    broker = served.broker(limit=limit, retries=1, deadlines=Deadlines(1.0, 1.0, 5.0))
    assert list(broker.positions()) == []
    assert limit.pauses == pauses if pauses is not None else 0 < limit.pauses[0] <= 0.2


def test_429_longer_than_the_deadline_fails_at_once(http_venue):
    served = http_venue(BARS, faults=[{"kind": "rate-limit", "path": "/v1/positions", "retry_after": 60}])
    limit = Limit()
    with pytest.raises(BrokerError, match="429"):
        served.broker(limit=limit, retries=3).positions()
    assert limit.pauses == [60]


def test_sells_and_cancels_go_first(http_venue):
    served, limit = http_venue(BARS, holdings={"AAPL": D(10)}), Limit()
    broker = served.broker(limit=limit)
    assert broker.capabilities
    sold = broker.submit(order("sell", 10, type="limit", limit_price="200"))
    broker.cancel(sold.broker_order_id)
    broker.submit(order("buy", 1, id="b"))
    assert limit.urgent == [False, True, True, False]


# what is true once and told twice, late or in other words


def test_duplicate_acks_and_fills_count_once(http_venue):
    served = http_venue(BARS, faults=[{"kind": "duplicate-rows", "times": 0}])
    broker = served.broker()
    broker.submit(order("buy", 10))
    broker.submit(order("buy", 10, id="c2", **RESTING))
    served.move("9:36")
    assert len(broker.fills_since(at("9:30"))) == 1
    assert [o.client_order_id for o in broker.orders_since(at("9:30"))] == ["c1", "c2"]
    assert len(broker.positions()) == 1


def test_rows_in_the_wrong_order_are_sorted(http_venue):
    bars = [bar("9:35", 100.0, volume=50), bar("9:36", 100.0, volume=50), bar("9:37", 100.0, volume=50)]
    served = http_venue(bars, faults=[{"kind": "reverse-rows", "times": 0}])
    broker = served.broker()
    broker.submit(order("buy", 15))  # 5 of each bar
    served.move("9:38")
    assert [f.at for f in broker.fills_since(at("9:30"))] == [at("9:35"), at("9:36"), at("9:37")]


def test_cumulative_fills_are_taken_apart(http_venue):
    from tradekit.sim.venue import Profile

    bars = [bar("9:35", 100.0, volume=300), bar("9:36", 101.0, volume=300), bar("9:37", 102.0, volume=300)]
    served = http_venue(bars, profile=Profile(fills="cumulative"))
    broker = served.broker()
    broker.submit(order("buy", 90))
    served.move("9:38")
    assert [f.qty for f in broker.fills_since(at("9:30"))] == [30, 30, 30]  # told as 30, 60, 90
    assert [f["qty"] for f in served.journal("fill")] == ["30", "30", "30"]


def test_a_stale_snapshot_and_an_empty_one(http_venue):
    served = http_venue(BARS, faults=[{"kind": "stale", "age_s": 30, "path": "/v1/positions"}])
    broker = served.broker()
    broker.submit(order("buy", 10))
    served.move("9:36")
    assert list(broker.positions()) == []  # as of 9:35:30
    assert [p.symbol for p in broker.positions()] == ["AAPL"]
    served.faults({"kind": "empty", "path": "/v1/positions"})
    assert list(broker.positions()) == []  # well-formed and wrong: only a second look tells
    assert [p.symbol for p in broker.positions()] == ["AAPL"]


def test_history_that_begins_too_late(http_venue):
    served = http_venue(BARS, faults=[{"kind": "forget", "age_s": 60, "times": 0}])
    broker = served.broker()
    broker.submit(order("buy", 10))
    served.move("9:38")
    assert list(broker.fills_since(at("9:30"))) == []
    assert [p.qty for p in broker.positions()] == [10]


def test_a_status_nobody_knows_is_unknown_and_kept(http_venue):
    served = http_venue(BARS, faults=[{"kind": "unknown-status", "times": 0}, {"kind": "extra-field", "times": 0}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    assert (taken.status, taken.raw_status) == ("unknown", "pending_recall")
    assert [o.status for o in broker.open_orders()] == ["unknown"]


def test_a_wrong_order_id_is_put_right_by_asking(http_venue):
    served = http_venue(BARS, faults=[{"kind": "wrong-order-id"}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    found = broker.order("c1")
    assert (taken.broker_order_id, found and found.broker_order_id) == ("P999999", "P1")
    with pytest.raises(BrokerError, match="404"):
        broker.cancel(taken.broker_order_id)


def test_an_answer_for_another_id_is_an_error(http_venue):
    served = http_venue(BARS)
    broker = served.broker()
    broker.submit(order("buy", 10, **RESTING))
    served.faults({"kind": "wrong-order-id", "method": "GET", "path": "/v1/orders/P1"})
    with pytest.raises(BrokerError, match="asked for P1, the answer is P999999"):
        broker.order_by_broker_id("P1")


# the account does what it should not


def test_a_part_is_filled_and_the_rest_cancelled(http_venue):
    served = http_venue(BARS, faults=[{"kind": "partial-then-cancel", "qty": "30", "price": "100.10"}])
    broker = served.broker()
    taken = broker.submit(order("buy", 100))
    assert (taken.status, taken.filled_qty, taken.avg_price) == ("cancelled", 30, D("100.10"))
    assert [(f.qty, f.price) for f in broker.fills_since(at("9:30"))] == [(30, D("100.10"))]
    assert [p.qty for p in broker.positions()] == [30]


def test_a_fill_comes_after_the_cancel_was_confirmed(http_venue):
    served = http_venue(BARS, faults=[{"kind": "fill-after-cancel", "seconds": 5, "qty": "4", "price": "90"}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    broker.cancel(taken.broker_order_id)
    gone = broker.order("c1")
    assert gone and (gone.status, gone.filled_qty) == ("cancelled", 0)
    served.move("9:35:05")
    late = broker.order("c1")
    assert late and (late.status, late.filled_qty) == ("cancelled", 4)
    assert [f.qty for f in broker.fills_since(at("9:30"))] == [4]
    assert [(r["status"], r["filled_qty"]) for r in served.journal("final")] == [("canceled", "0"), ("canceled", "4")]


def test_a_cancel_that_is_forgotten_leaves_the_order_open(http_venue):
    served = http_venue(BARS, faults=[{"kind": "ignore-cancel"}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    broker.cancel(taken.broker_order_id)
    assert [o.status for o in broker.open_orders()] == ["open"]


def test_a_cancel_answered_unknown_order(http_venue):
    served = http_venue(BARS, faults=[{"kind": "unknown-order"}])
    broker = served.broker()
    taken = broker.submit(order("buy", 10, **RESTING))
    with pytest.raises(BrokerError, match="no such order"):
        broker.cancel(taken.broker_order_id)
    assert broker.order("c1") is not None


def test_a_late_reject(http_venue):
    served = http_venue(BARS, faults=[{"kind": "late-reject", "seconds": 3, "message": "no borrow"}])
    broker = served.broker()
    assert broker.submit(order("buy", 10, **RESTING)).status == "open"
    served.move("9:35:03")
    found = broker.order("c1")
    assert found and (found.status, found.reason) == ("rejected", "no borrow")


def test_a_fill_inside_the_answer(http_venue):
    served = http_venue(BARS, faults=[{"kind": "fill-now", "price": "100"}])
    taken = served.broker().submit(order("buy", 10))
    assert (taken.status, taken.filled_qty) == ("filled", 10)


def test_bodies_that_cannot_be_read_are_kept_redacted(http_venue, tmp_path):
    served = http_venue(BARS, faults=[{"kind": "body", "form": "html", **POST}])
    broker = served.broker(unreadable=tmp_path / "unreadable")
    with pytest.raises(AmbiguousSend, match="it is in"):
        broker.submit(order("buy", 10))
    [kept] = (tmp_path / "unreadable").iterdir()
    assert "502 Bad Gateway" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_calls_are_audited_without_secrets(http_venue):
    served, calls = http_venue(BARS, token="tok-12345678"), []
    broker = served.broker(token=lambda refresh: "tok-12345678", audit=calls.append)
    broker.submit(order("buy", 10))
    assert [(c.method, c.path, c.status) for c in calls] == [("GET", "/v1/venue", 200), ("POST", "/v1/orders", 201)]
    assert "tok-12345678" not in repr(calls)
    assert '"c1"' in calls[1].request


def test_the_account_that_desk_yaml_names_has_to_answer(http_venue):
    served = http_venue(BARS)
    with pytest.raises(UsageError, match="http.account is other"):
        served.broker(account_id="other").account()


def test_every_fault_has_a_test():
    from pathlib import Path

    text = Path(__file__).read_text("utf-8")
    assert [kind for kind in KINDS if f'"kind": "{kind}"' not in text] == []
