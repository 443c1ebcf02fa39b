"""Each finding of the audit over open positions and live orders."""

from decimal import Decimal

import pytest

from tests.make import OPEN, at, make_mark, make_order, make_position
from tradekit.reports.audit import audit

D = Decimal
STOP = make_order(id="stop", side="sell", type="stop", stop_price=98, purpose="protect", client_order_id="s")


def checks(position, mark=None, live=(), owned=10, held=10, working=None, now=None, open_since=OPEN):
    found = audit(
        [position], {position.id: mark} if mark else {}, list(live), {"AAPL": D(owned)}, {"AAPL": D(held)},
        {order.client_order_id for order in live} if working is None else working, now=now or at(11),
        open_since=open_since, exit_interval_s=60,
    )  # fmt: skip
    return [finding.check for finding in found]


@pytest.mark.parametrize(
    ("position", "given", "expected"),
    [
        ({}, {"mark": make_mark(at=at(10))}, []),
        ({}, {"mark": make_mark(at=at(10)), "now": at(13)}, ["protection"]),  # nobody looked for three minutes
        ({}, {"mark": make_mark(at=at(10)), "now": at(13), "open_since": None}, []),  # closed: it may wait
        ({}, {"now": at(9)}, []),  # a minute old
        ({}, {"now": at(12)}, ["protection"]),
        ({"protected_by": "stop"}, {"live": [STOP], "now": at(60)}, []),
        ({"protected_by": "stop"}, {"now": at(9)}, ["protection"]),
        ({"plan": {"intent": "swing"}, "stop_price": None, "target_price": None}, {"now": at(9)}, ["exit-plan"]),
        ({"plan": {"intent": "day"}, "stop_price": None, "target_price": None}, {"now": at(9)}, []),
        ({"plan": {"sotp": 0.1, "stop": "x"}}, {"now": at(9)}, ["exit-plan"]),
        ({}, {"now": at(9), "owned": 12, "held": 12}, ["quantity"]),
        ({}, {"now": at(9), "held": 9}, ["quantity"]),
        ({}, {"now": at(9), "live": [make_order(status="unknown")]}, ["unknown-order"]),
        ({}, {"now": at(9), "live": [make_order()], "working": set()}, ["unknown-order"]),
        ({}, {"now": at(9), "working": {"theirs"}}, ["unknown-order"]),
        ({}, {"now": at(9), "live": [STOP, make_order(side="sell", qty=1)]}, ["oversell"]),
    ],
)
def test_findings(position, given, expected):
    assert checks(make_position(**position), **given) == expected


def test_owned_shares_without_a_position():
    found = audit([], {}, [], {"AAPL": D(3)}, {"AAPL": D(3)}, set(), now=at(9), open_since=OPEN, exit_interval_s=60)
    assert [(f.check, f.subject) for f in found] == [("quantity", "AAPL")]


@pytest.mark.parametrize("purpose", ["exit", "liquidate"])
def test_a_position_that_was_being_sold_was_reported_as_unprotected(purpose):
    held = make_position(protected_by="stop")  # the stop was cancelled to make room for the sell
    going = make_order(id="x", side="sell", purpose=purpose, position_id=held.id, status="open")
    elsewhere = make_order(
        id="y", side="sell", purpose=purpose, position_id="MSFT-1", status="open", symbol="MSFT", qty=1
    )
    assert checks(held, now=at(60), live=[going]) == []
    assert "protection" in checks(held, now=at(9), live=[elsewhere])
    assert "protection" in checks(held, now=at(9), live=[])  # the sell is over, the position is not
