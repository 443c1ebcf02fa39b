"""Dust at a venue over HTTP: it says what it trades at least; what is less is marked, neither sold nor protected."""

from decimal import Decimal as D

import pytest

from tests.desk.venues import alerts, buy, writes
from tests.desk.world import NO_COSTS, World, at, decide, passes
from tests.sim.serving import serve_desk
from tradekit.clock import ManualClock
from tradekit.desk.desk import Desk
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.ownership import release
from tradekit.desk.state import taker_fee
from tradekit.sim.venue import Profile

HTTP = "http: {settle_s: 5, grace_s: 10, rate_per_minute: 100000, burst: 1000, retries: 0}\n"


@pytest.fixture
def at_venue(tmp_path, venue_server, monkeypatch):
    """`with at_venue(min_qty="10") as desk`: a desk over HTTP, AAA at 100 until 09:39, then at 4."""
    opened, urls = [], []
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def make(settings=NO_COSTS, **facts):
        world = World(tmp_path / "d", settings + HTTP)
        world.add("AAA", [100] * 10 + [4] * 60)
        venue, url = serve_desk(venue_server, world.path, ManualClock(at("09:30")), follow=True)
        venue.profile = Profile(**facts)
        urls.append(url)
        monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
        monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
        holder = world.desk("09:31")
        opened.append(holder)
        return holder.__enter__(), venue

    yield make
    for holder in opened:
        holder.__exit__(None, None, None)
    for url in urls:
        venue_server.remove(url)


def refused(desk: Desk) -> list[str]:
    return [order.id for order in desk.store.orders.all() if order.status == "rejected"]


def test_what_is_left_of_a_partial_sale_is_marked_once(at_venue):
    desk, venue = at_venue(min_qty="50")
    buy(desk, stop=0.01, target=0.5)
    passes(desk, "09:36", "09:37")
    (stop,) = desk.store.orders.live()
    venue.control("fill", order=stop.broker_order_id, qty="60", price="98")
    venue.control("end", order=stop.broker_order_id)
    passes(desk, "09:38", "09:46")
    position = desk.store.positions.open_for("AAA")
    assert position.qty == D(39)
    assert desk.store.marks.get(position.id).note == "dust: 39 is less than http sells"
    assert [event.kind for event in desk.store.events.all()].count("dust") == 1
    assert (refused(desk), alerts(desk, "unprotected"), alerts(desk, "exit-failed")) == ([], [], [])
    assert desk.store.orders.live() == []
    said = len(desk.said)
    assert liquidate(desk, LiquidateOptions(all_=True)) == []
    assert "dust" in " ".join(desk.said[said:]) and "tradekit release AAA" in " ".join(desk.said[said:])
    before = writes(desk)
    passes(desk, "09:47", "09:47")
    assert writes(desk) - before <= 2  # a mark a pass, and nothing said anew
    release(desk, "AAA")
    assert desk.store.positions.open() == []


def test_what_is_worth_too_little_is_dust_until_it_is_worth_enough(at_venue):
    desk, venue = at_venue(NO_COSTS + "exits: {protect: none}\n", min_notional="500")
    buy(desk, stop=0.01, target=0.5)
    passes(desk, "09:36", "09:41")  # 99 at 4 are 396
    position = desk.store.positions.open_for("AAA")
    assert liquidate(desk, LiquidateOptions(all_=True)) == []
    assert desk.store.marks.get(position.id).note.startswith("dust")
    venue.profile = Profile(min_notional="300")
    desk.broker.__dict__.pop("_facts")
    assert [order.purpose for order in liquidate(desk, LiquidateOptions(all_=True))] == ["liquidate"]
    assert desk.store.marks.get(position.id).note is None
    passes(desk, "09:43", "09:44")
    assert desk.store.positions.open() == []


@pytest.mark.parametrize("facts", [{"min_qty": "100"}, {"min_notional": "10000"}])
def test_an_entry_that_the_venue_would_refuse_is_a_veto(at_venue, facts):
    desk, venue = at_venue(**facts)  # 99 shares at 100.30 are 9,929.70
    desk.clock.set(at("09:35"))
    decide(desk, "AAA", 100.0, stop=0.01, target=0.5)
    found = enter(desk, EnterOptions())
    assert [(veto.rule, "trades at least" in veto.because) for veto in found.vetoes] == [("sizing", True)]
    assert venue.journal.of("asked") == []


def test_the_venue_refuses_what_is_too_small(at_venue):
    desk, venue = at_venue(min_qty="200")
    desk.broker.capabilities  # noqa: B018
    desk.broker.__dict__["_facts"] = (desk.broker.capabilities.__class__(), True, False)  # a desk that was not told
    assert [order.status for order in buy(desk, stop=0.01, target=0.5).orders] == ["rejected"]
    (order,) = desk.store.orders.all()
    assert (order.raw_status, "less than 200" in order.error) == ("too-small", True)


def test_fees_are_the_venue_s(at_venue):
    desk, _ = at_venue(NO_COSTS.replace("fees: []", "fees: [], taker: 0.004"))
    assert taker_fee(desk) == 0.004
    assert desk.broker.capabilities.taker == 0.004
    assert (desk.broker.capabilities.min_qty, desk.broker.capabilities.min_notional) == (D(0), D(0))
