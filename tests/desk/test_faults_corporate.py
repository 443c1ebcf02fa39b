"""Symbol changes and delistings at a venue over HTTP: frozen with an alert that says what to do, then carried over.

faults 4.2, "Split 10:1, reverse 1:100, symbol change, delisting".
"""

import json
from datetime import timedelta
from decimal import Decimal as D

import pytest

from tests.desk.venues import alerts, buy, writes
from tests.desk.world import DAY, NO_COSTS, World, at, passes
from tests.make import make_decision
from tests.sim.serving import serve_desk
from tradekit.clock import ManualClock, iso
from tradekit.desk.claims import claim
from tradekit.desk.frozen import frozen
from tradekit.desk.halts import resume
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.ownership import AdoptOptions, adopt, release
from tradekit.desk.reconcile import raise_findings, reconcile
from tradekit.errors import Findings, UsageError
from tradekit.store import open_store

HTTP = "http: {settle_s: 5, grace_s: 10, rate_per_minute: 100000, burst: 1000, retries: 0}\n"
MONDAY = timedelta(days=3)


@pytest.fixture
def held(tmp_path, venue_server, monkeypatch):
    """99 AAA bought on the Friday with a stop of 5 %, a venue that the test moves, Monday's bars under NEW and BBB."""
    world = World(tmp_path / "d", NO_COSTS + HTTP)
    world.add("AAA", [100] * 390)
    world.add("NEW", [100] * 390)
    for symbol in ("NEW", "BBB"):
        world.add(symbol, [100, (100, 104, 100, 103), *[103] * 20, (103, 103, 94, 94), *[94] * 30], day=DAY + MONDAY)
    venue, url = serve_desk(venue_server, world.path, ManualClock(at("09:30")), follow=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
    monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
    with world.desk("09:31") as desk:
        buy(desk, intent="swing", stop=0.05, target=0.5, flat_before_close_s=None)
        passes(desk, "09:36", "09:37")
        desk.clock.set(monday("08:30"))
        monitor_exits(desk)
        yield desk, venue
    venue_server.remove(url)


def monday(text):
    return at(text) + MONDAY


def later(desk, seconds=20):
    desk.clock.sleep(seconds)
    return monitor_exits(desk)


def test_a_symbol_change_is_frozen_and_says_what_to_do(held):
    desk, venue = held
    venue.control("rename", symbol="AAA", to="NEW")
    assert later(desk) == [] and frozen(desk) == {}  # one look proves nothing
    assert later(desk) == []
    assert list(frozen(desk)) == [("gone", "AAA")]
    (said,) = alerts(desk, "frozen")
    assert "tradekit adopt NEW --was AAA" in said.data["message"] and "tradekit resume" in said.data["message"]
    desk.clock.set(monday("09:20"))
    before = writes(desk)
    reconcile(desk)
    assert writes(desk) == before  # loud once, kept whole, nothing booked
    with pytest.raises(Findings, match="adopt NEW --was AAA"):
        raise_findings(desk)
    assert (desk.store.positions.open_for("AAA").qty, desk.store.trades.all()) == (D(99), [])
    assert [order for order in desk.store.orders.live() if order.purpose == "protect"] == []  # its stop went with it


@pytest.mark.parametrize("factor", [1, 3])
def test_the_position_is_carried_over_whole_and_its_stop_works(held, factor):
    desk, venue = held
    before, mark = desk.store.positions.open_for("AAA"), desk.store.marks.of_open()
    cash = desk.store.cash_delta()
    venue.control("rename", symbol="AAA", to="NEW")
    if factor != 1:
        venue.control("split", symbol="NEW", ratio=str(factor))
    later(desk), later(desk)
    desk.clock.set(monday("09:31"))
    found = adopt(desk, AdoptOptions("NEW", was="AAA"))
    assert (found.qty, found.plan, found.intent) == (before.qty * factor, before.plan, "swing")
    assert abs(found.avg_price - before.avg_price / factor) < D("1e-7")
    assert abs(found.stop_price - before.stop_price / factor) < D("1e-7")
    carried, old = desk.store.marks.get(found.id), mark[before.id]
    assert abs(carried.high - old.high / factor) < D("1e-7") and carried.judged_to == old.judged_to
    assert desk.store.cash_delta() == cash
    assert [(t.exit_reason, t.gross) for t in desk.store.trades.all()] == [("release", D(0))]
    assert adopt(desk, AdoptOptions("NEW", was="AAA")).id == found.id  # safe to run twice
    assert frozen(desk) == {}
    (stop,) = [order for order in desk.store.orders.live() if order.purpose == "protect"]
    assert (stop.symbol, stop.qty) == ("NEW", found.qty)
    if factor == 1:  # 100.01 less 5 % is 95.00: the fall to 94 takes it out, once
        for minute in range(32, 60):
            desk.clock.set(monday(f"09:{minute}"))
            monitor_exits(desk)
        assert desk.store.positions.open() == []
        assert desk.store.trades.all()[-1].exit_reason == "hard-stop"
        assert venue.control("truth")["positions"] == {}


def test_what_does_not_fit_is_refused(held):
    desk, venue = held
    with pytest.raises(UsageError, match="still holds 99"):
        adopt(desk, AdoptOptions("NEW", was="AAA"))
    with pytest.raises(UsageError, match="CCC is no position"):
        adopt(desk, AdoptOptions("NEW", was="CCC"))
    venue.control("rename", symbol="AAA", to="NEW")
    venue.control("hold", symbol="NEW", qty="1")
    with pytest.raises(UsageError, match="no whole multiple of the 99 AAA"):
        adopt(desk, AdoptOptions("NEW", was="AAA"))
    venue.control("hold", symbol="NEW", qty="-1")
    other, desk.id = desk.id, "f" * 16
    claim(desk, "NEW")
    desk.id = other
    with pytest.raises(UsageError, match="another desk"):
        adopt(desk, AdoptOptions("NEW", was="AAA"))
    assert desk.store.positions.open_for("AAA").qty == D(99)


@pytest.mark.parametrize(("price", "paid", "gross"), [("12.5", D("1237.5"), D("-8663.49")), ("0", D(0), D("-9900.99"))])
def test_a_delisting_is_frozen_until_the_operator_says_what_was_paid(held, price, paid, gross):
    # 99 bought at 100.01 are 9,900.99
    desk, venue = held
    venue.control("delist", symbol="AAA", price=price)
    later(desk), later(desk)
    desk.clock.set(monday("09:40"))
    monitor_exits(desk)
    assert list(frozen(desk)) == [("gone", "AAA")]
    assert "tradekit release AAA --paid CASH" in alerts(desk, "frozen")[0].data["message"]
    cash = desk.store.cash_delta()
    release(desk, "AAA", paid)
    (trade,) = desk.store.trades.all()
    assert (trade.exit_reason, trade.gross) == ("cash-in-lieu", gross)
    assert desk.store.cash_delta() - cash == paid
    assert (desk.store.positions.open(), frozen(desk)) == ([], {})
    before = writes(desk)
    reconcile(desk)
    assert writes(desk) == before
    assert venue.control("truth")["cash"] == str(desk.store.cash_delta()).rstrip("0").rstrip(".")


def test_delisted_shares_that_stay_are_tried_with_pauses_and_stay_loud(held):
    desk, venue = held
    venue.control("delist", symbol="AAA")
    desk.clock.set(monday("09:40"))
    for _ in range(4):
        later(desk, 60)
    assert desk.store.positions.open_for("AAA").qty == D(99)
    assert alerts(desk, "unprotected") != []  # no stop rests any more
    assert all(order.error for order in desk.store.orders.all() if order.status == "rejected")


@pytest.mark.parametrize("asked", [False, True])
def test_delisted_shares_that_stay_were_an_alert_every_few_minutes(held, line, asked):
    """BBB trades on Monday until 10:23, so prices come; AAA has none since Friday. Then a second day of it."""
    desk, venue = held
    desk.universe = {"AAA": None, "BBB": None}
    venue.control("delist", symbol="AAA")
    (position,) = desk.store.positions.open()
    if asked:
        row = make_decision(action="CLOSE", symbol="AAA", position_id=position.id, expires_at=None, at=monday("09:31"))
        desk.store.decisions.add(row)
    desk.clock.set(monday("09:31"))
    for _ in range(60):
        later(desk, 60)
    assert sorted(event.kind for event in desk.store.events.alerts()) == ["alert.stale-data", "alert.untraded"]
    (said,) = alerts(desk, "untraded")
    assert "AAA: nothing has traded since 2026-02-13" in said.data["message"]
    assert "is not tradable" in said.data["message"] and "tradekit release AAA" in said.data["message"]
    refused = [order for order in desk.store.orders.all() if order.status == "rejected"]
    assert len(refused) > 10  # it is tried all the same
    done = line("-C", desk.path, "status", "--json", env={"TRADEKIT_CLOCK": iso(monday("10:40"))})
    assert json.loads(done.stdout)["alerts"] == {"stale-data": 1, "untraded": 1}
    World.add(type("Path", (), {"path": desk.path})(), "BBB", [94] * 60, day=DAY + MONDAY + timedelta(days=1))
    desk.__dict__.pop("market", None)
    desk.clock.set(monday("09:36") + timedelta(days=1))
    for _ in range(10):
        later(desk, 60)
    assert len(alerts(desk, "untraded")) == len(alerts(desk, "stale-data")) == 2 == len(desk.store.events.alerts()) / 2


def test_without_any_price_of_the_session_it_stays_loud(held):
    """Nothing says that AAA is gone: it may be the prices that are missing."""
    desk, venue = held
    venue.control("delist", symbol="AAA")
    desk.clock.set(monday("09:31"))
    for _ in range(20):
        later(desk, 60)
    assert alerts(desk, "untraded") == [] and len(alerts(desk, "unprotected")) == 3
    desk.universe = {"BBB": None}
    for _ in range(20):
        later(desk, 60)
    assert len(alerts(desk, "untraded")) == 1 and len(alerts(desk, "unprotected")) == 3


def test_resume_says_that_they_were_sold_by_hand(held):
    desk, venue = held
    venue.control("rename", symbol="AAA", to="NEW")
    later(desk), later(desk)
    resume(desk)
    later(desk), later(desk)
    assert [trade.exit_reason for trade in desk.store.trades.all()] == ["external"]
    assert desk.store.unmanaged() == {"NEW": D(99)}
    assert frozen(desk) == {}


def test_shares_that_come_back_are_let_go(held):
    desk, venue = held
    venue.control("rename", symbol="AAA", to="NEW")
    later(desk), later(desk)
    venue.control("rename", symbol="NEW", to="AAA")
    later(desk)
    assert frozen(desk) == {} and desk.store.positions.open_for("AAA").qty == D(99)


def test_a_sale_by_hand_in_a_symbol_that_trades_is_a_sale_by_hand(tmp_path, held):
    desk, venue = held
    desk.clock.set(monday("09:40"))
    World.add(type("Path", (), {"path": desk.path})(), "AAA", [100] * 30, day=DAY + MONDAY)
    desk.__dict__.pop("market", None)
    venue.control("trade", symbol="AAA", side="sell", qty="99", price="100")
    later(desk), later(desk)
    assert [trade.exit_reason for trade in desk.store.trades.all()] == ["external"]
    assert frozen(desk) == {}


def test_the_commands(held, line):
    desk, venue = held
    venue.control("rename", symbol="AAA", to="NEW")
    clock = {"TRADEKIT_CLOCK": iso(monday("09:31"))}
    done = line("-C", desk.path, "adopt", "NEW", "--was", "AAA", "--json", env=clock)
    assert done.returncode == 0, done.stderr
    done = line("-C", desk.path, "release", "NEW", "--paid", "lots", env=clock)
    assert (done.returncode, "--paid lots: not a number" in done.stderr) == (2, True)
    done = line("-C", desk.path, "release", "NEW", "--paid", "5", env=clock)
    assert (done.returncode, "still holds 99" in done.stderr) == (2, True)
    store = open_store(desk.path / "desk.db", readonly=True)
    try:
        assert [position.symbol for position in store.positions.open()] == ["NEW"]
    finally:
        store.close()
