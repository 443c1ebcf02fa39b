"""The check that no order can bypass: whoever calls send, with whatever numbers (faults.md section 5, I3, I4, I12)."""

from decimal import Decimal as D

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.desk.venues import Fake, alerts, buy
from tests.desk.world import NO_COSTS, World, at, decide, passes
from tradekit.desk.frozen import MATCH, freeze
from tradekit.desk.halts import HaltOptions, halt
from tradekit.desk.orders import new_order, send
from tradekit.desk.pretrade import Ask
from tradekit.errors import TradekitError
from tradekit.risk.base import Proposal

HELD = NO_COSTS.replace("fees: []", "fees: [], holdings: {ZZZ: 500}")
NUMBERS = st.sampled_from(
    [D(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "-1", "0", "1E+30", "1E-400", "12345678901234567.5")]
) | st.decimals(min_value=-5, max_value=400, places=2)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d", HELD)
    for symbol, price in (("AAA", 100), ("BBB", 50), ("ZZZ", 10)):
        world.add(symbol, [price] * 390)
    return world


def order(desk, **changes):
    """A sell of the AAA position, or what `changes` make of it."""
    position = desk.store.positions.open_for("AAA")
    facts = {
        "subject": position.id, "purpose": "exit", "symbol": "AAA", "side": "sell", "qty": D(1), "type_": "market",
        "tif": "day", "reason": "test", "position_id": position.id,
    }  # fmt: skip
    return new_order(desk, **{**facts, **changes})


def entry(desk, qty=D(10), symbol="BBB", limit=D("50.2"), **changes):
    """A buy that nobody has judged yet, with its proposal."""
    decision = decide(desk, symbol, 50.0, stop=0.01, target=0.5)
    wanted = Proposal(
        decision_id=decision.id, symbol=symbol, qty=qty, limit_price=limit, reference=D(50), stop_price=D("49.5"),
        target_price=D(60), intent="day", strategy="momentum", cap="mid", sector=None, kind=None, score=15.0,
        max_hold_s=None, on_open=False,
    )  # fmt: skip
    sent = new_order(
        desk, subject=decision.id, purpose="entry", symbol=symbol, side="buy", qty=qty, type_="limit", tif="day",
        reason="entry", limit_price=limit, decision_id=decision.id, **changes,
    )  # fmt: skip
    return sent, wanted


@pytest.fixture
def desk(world):
    """104 AAA held, 500 ZZZ in the account that are not the desk's."""
    with world.desk() as desk:
        Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")
        yield desk


def test_an_entry_without_the_gate_is_refused(desk):
    sent = len(desk.broker.sent)
    found, _ = entry(desk)
    assert send(desk, found) is None
    assert len(desk.broker.sent) == sent
    assert "needs a gate" in alerts(desk, "order-refused")[0].data["message"]
    assert desk.store.orders.get(found.id) is None


def test_an_entry_that_the_gate_approves_goes_out_and_no_other_than_the_one_it_saw(desk):
    seen = []
    found, wanted = entry(desk)
    for changed in ({"qty": D(11)}, {"limit_price": D(60)}, {"limit_price": None}, {"symbol": "AAA"}):
        assert send(desk, msgspec.structs.replace(found, **changed), Ask(wanted, 0, seen.extend)) is None
    assert seen == []  # it is not even judged
    assert send(desk, found, Ask(wanted, 0, seen.extend)).status == "open"
    assert seen and all(verdict.approved for verdict in seen)


@pytest.mark.parametrize("stands", ["halt", "frozen"])
def test_the_kill_switch_and_a_freeze_refuse_whatever_the_caller_says(desk, stands):
    seen = []
    found, wanted = entry(desk)
    if stands == "halt":
        halt(desk, HaltOptions("news"))
    else:
        freeze(desk, MATCH, "BBB", "a test")
    assert send(desk, found, Ask(wanted, 0, seen.extend)) is None
    assert [verdict.rule for verdict in seen if not verdict.approved] == ["kill-switch" if stands == "halt" else stands]


@pytest.mark.parametrize("changes", [
    {"symbol": "ZZZ"}, {"position_id": None}, {"position_id": "AAA-nobody"}, {"purpose": "entry"}, {"side": "buy"},
    {"symbol": " "}, {"qty": D(105)}, {"qty": D(99), "stop_price": D("NaN")}, {"limit_price": D(0)},
    {"trail_pct": D("Infinity")},
])  # fmt: skip
def test_a_sell_that_is_not_ours_to_send_is_refused(desk, changes):
    (stop,) = desk.store.orders.live()
    desk.broker.cancel(stop.broker_order_id)
    desk.store.orders.change(stop.id, status="cancelled")
    sent = len(desk.broker.sent)
    assert send(desk, order(desk, **changes)) is None
    assert len(desk.broker.sent) == sent
    assert send(desk, order(desk, qty=D(104))) is not None  # ours, and free


def test_working_sells_count_against_the_next_one(desk):
    """The resting stop holds all 104: nothing more can be sold until it is gone."""
    assert send(desk, order(desk, qty=D(1))) is None


def test_the_venue_holds_less_than_we_think(desk):
    """faults 4.2, "Orders and positions disagree": sells are capped by what the venue says."""
    (stop,) = desk.store.orders.live()
    desk.broker.cancel(stop.broker_order_id)
    desk.store.orders.change(stop.id, status="cancelled")
    real = desk.broker.venue.positions
    desk.broker.positions = lambda: [msgspec.structs.replace(p, qty=D(40)) for p in real() if p.symbol == "AAA"]
    assert send(desk, order(desk, qty=D(41))) is None
    assert send(desk, order(desk, qty=D(40))) is not None


ATTEMPTS = st.lists(
    st.fixed_dictionaries({
        "side": st.sampled_from(["sell", "sell", "sell", "buy"]),
        "purpose": st.sampled_from(["exit", "liquidate", "protect", "entry"]),
        "symbol": st.sampled_from(["AAA", "AAA", "BBB", "ZZZ", ""]),
        "qty": NUMBERS,
        "limit": st.none() | NUMBERS,
        "stop": st.none() | NUMBERS,
        "mine": st.booleans(),
        "gated": st.booleans(),
        "withdraw": st.booleans(),
    }),
    min_size=1,
    max_size=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ATTEMPTS)
def test_nobody_gets_an_order_past_it(desk, attempts):
    """After any attempts: what reached the venue was finite, owned, within the shares, and judged."""
    journal = desk.broker
    first = len(journal.sent)
    for n, attempt in enumerate(attempts):
        if attempt["withdraw"]:
            withdraw(desk)
        try_it(desk, attempt, n)
        check(desk, journal.sent[first:])
        first = len(journal.sent)


def withdraw(desk):
    """The stop is out of the way, so that something can be sold at all."""
    for working in desk.store.orders.live_for("AAA"):
        if working.side == "sell" and working.broker_order_id:
            desk.broker.cancel(working.broker_order_id)
            if desk.broker.venue.order(working.client_order_id).status == "cancelled":
                desk.store.orders.change(working.id, status="cancelled")


def try_it(desk, attempt, n):
    """One attempt; whatever it raises is ours to raise."""
    position = desk.store.positions.open_for("AAA")
    facts = {
        "subject": f"try-{len(desk.broker.sent)}-{n}", "purpose": attempt["purpose"], "symbol": attempt["symbol"],
        "side": attempt["side"], "qty": attempt["qty"], "type_": "limit" if attempt["limit"] is not None else "market",
        "tif": "day", "reason": "test", "limit_price": attempt["limit"], "stop_price": attempt["stop"],
        "position_id": position.id if attempt["mine"] and position else None,
    }  # fmt: skip
    wanted = Proposal(
        decision_id="d", symbol=attempt["symbol"], qty=attempt["qty"], limit_price=attempt["limit"] or D(1),
        reference=D(50), stop_price=None, target_price=None, intent="day", strategy=None, cap=None, sector=None,
        kind=None, score=15.0, max_hold_s=None, on_open=False,
    )  # fmt: skip
    ask = Ask(wanted, 0, lambda verdicts: None) if attempt["gated"] else None
    try:
        send(desk, new_order(desk, **facts), ask)
    except TradekitError:
        return


def check(desk, new):
    """I3, I4, I12 over what reached the venue."""
    owned = desk.store.owned().get("AAA", D(0))
    for request in new:
        assert request.side == "sell"  # none of these buys was judged and approved under a decision
        assert request.symbol == "AAA"
        assert request.qty.is_finite() and 0 < request.qty <= owned
        for price in (request.limit_price, request.stop_price):
            assert price is None or (price.is_finite() and price > 0)
    working = [row for row in desk.broker.venue.open_orders() if row.side == "sell"]
    assert sum((row.qty - row.filled_qty for row in working), D(0)) <= owned
    promised = [row for row in desk.store.orders.live() if row.side == "sell"]
    assert sum((row.qty - row.filled_qty for row in promised), D(0)) <= owned
    assert at("09:30") <= desk.clock.now()
