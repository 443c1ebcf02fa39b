"""A desk at a venue behind HTTP that misbehaves: a whole small day, one fault at a time, on every kind of venue."""

from decimal import Decimal as D

import pytest

from tests.desk.world import World, at, decide
from tests.sim.serving import serve_desk
from tradekit.clock import ManualClock
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.reconcile import raise_findings, reconcile
from tradekit.errors import BrokerError, Findings

SETTINGS = (
    "paper: {half_spread: 0.0, slippage: 0.0, participation: 1.0, fees: []}\nmarket: {tick: 0.01}\n"
    "risk: {min_turnover: 0, too_late_s: 0}\nhttp: {settle_s: 5, rate_per_minute: 100000, burst: 1000, retries: 0}\n"
)
SUBMIT = {"method": "POST", "path": "/v1/orders"}
FAULTS = {
    "entry, answer lost": {"kind": "drop-after", **SUBMIT},
    "entry, 500 after": {"kind": "error-after", **SUBMIT},
    "entry, HTML": {"kind": "body", "form": "html", **SUBMIT},
    "entry, cut": {"kind": "truncate", "at": 7, **SUBMIT},
    "entry, no id": {"kind": "no-order-id"},
    "entry, wrong id": {"kind": "wrong-order-id"},
    "entry, another symbol": {"kind": "wrong-order", **SUBMIT},
    "stop, answer lost": {"kind": "drop-after", "nth": 2, **SUBMIT},
    "sale, answer lost": {"kind": "drop-after", "nth": 3, **SUBMIT},
    "sale, held": {"kind": "held", "nth": 3},
    "stop, late reject": {"kind": "late-reject", "nth": 2},
    "cancel forgotten": {"kind": "ignore-cancel"},
    "cancel unknown": {"kind": "unknown-order"},
    "empty positions": {"kind": "empty", "path": "/v1/positions", "nth": 4, "times": 2},
    "unknown status": {"kind": "unknown-status", "times": 4},
    "rows twice": {"kind": "duplicate-rows", "times": 0},
    "reads fail": {"kind": "error-before", "method": "GET", "path": "/v1/*", "nth": 20, "times": 4},
}


@pytest.fixture
def play(tmp_path, venue_server, monkeypatch):
    """A day at a venue of a profile with one fault: bought 09:31, sold by the operator from 09:36 on."""

    def one_day(profile, fault):
        world = World(tmp_path / "d", SETTINGS)
        world.add("AAA", [100] * 60)
        venue, url = serve_desk(venue_server, world.path, ManualClock(at("09:30")), profile, follow=True)
        monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
        monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
        venue.control("faults", rules=[fault])
        with world.desk("09:31") as desk:
            decide(desk, "AAA", 100.0, stop=0.02, target=0.5)
            step(desk, lambda: enter(desk, EnterOptions()))
            for minute in range(32, 36):
                desk.clock.set(at(f"09:{minute}"))
                step(desk, lambda: monitor_exits(desk))
            for minute in range(36, 48):
                desk.clock.set(at(f"09:{minute}"))
                step(desk, lambda: liquidate(desk, LiquidateOptions(all_=True)))
            desk.clock.set(at("09:50"))
            reconcile(desk)
            yield_of = (desk.store.orders.all(), desk.store.positions.open(), desk.store.trades.all(), findings(desk))
        journal, truth = venue.journal.of("accepted"), venue.control("truth")
        venue_server.remove(url)
        return (*yield_of, journal, truth)

    return one_day


def step(desk, call) -> None:
    """A command that may fail with the venue's error: the next one goes on."""
    try:
        call()
    except BrokerError:
        return


def findings(desk) -> str:
    try:
        raise_findings(desk)
    except Findings as found:
        return found.message
    return ""


@pytest.mark.parametrize("profile", ["unique", "open-only", "none"])
@pytest.mark.parametrize("name", FAULTS)
def test_one_order_per_intent_and_the_day_ends_flat(play, profile, name):
    orders, positions, trades, found, journal, truth = play(profile, FAULTS[name])
    assert (positions, found) == ([], "")
    assert truth["positions"] == {}
    bought = sum((order.filled_qty for order in orders if order.side == "buy"), D(0))
    sold = sum((order.filled_qty for order in orders if order.side == "sell"), D(0))
    assert bought == sold == sum((trade.qty for trade in trades), D(0))
    assert bought == D(99)  # 10 % of 100,000 at 100.30
    entries = [row for row in journal if row["side"] == "buy"]
    assert len(entries) == 1
    assert len(journal) <= len(orders)  # never two orders at the venue for one row
    assert [order for order in orders if order.status == "rejected"] == [] or name in (
        "sale, held",
        "stop, late reject",
    )
