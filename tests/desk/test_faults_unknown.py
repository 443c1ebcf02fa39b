"""Orders whose answer is lost, late or wrong: one order per intent on every kind of venue, and no false "rejected"."""

from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake, alerts, buy, refusal, writes
from tests.desk.world import World, at, decide, passes
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.frozen import frozen
from tradekit.desk.halts import HaltOptions, halt, resume
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.operate import cancel
from tradekit.desk.reconcile import notice_external, raise_findings, reconcile
from tradekit.errors import BrokerError, Findings, UsageError

FALLS = [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40
SETTLES = ("unique", "open-only", "none")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    return world


def later(desk, seconds: float) -> list:
    desk.clock.sleep(seconds)
    return reconcile(desk)


def status(desk, order) -> str:
    return desk.store.orders.get(order.id).status


def at_venue(desk) -> int:
    return len(desk.broker.venue.orders_since(at("09:30")))


@pytest.mark.parametrize("ids", SETTLES)
def test_an_answer_that_is_lost_leaves_one_order(world, ids):
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], client_ids=ids)
        (order,) = buy(desk).orders
        assert order.status == "unknown"
        reconcile(desk)
        assert status(desk, order) == "open"
        assert (len(fake.sent), at_venue(desk)) == (1, 1)
        monitor_exits(desk)
        passes(desk, "09:36", "09:37")
        assert desk.store.positions.open_for("AAA").qty == D(99)
        raise_findings(desk)  # nothing is left to find


@pytest.mark.parametrize("ids", SETTLES)
def test_accepted_but_the_lookup_lags(world, ids):
    with world.desk() as desk:
        Fake(desk, submits=["lose"], lag_s=30, client_ids=ids, settle_s=0.0)
        (order,) = buy(desk).orders
        for _ in range(8):
            later(desk, 5)
            assert status(desk, order) != "rejected"
        assert status(desk, order) in ("open", "filled")
        assert at_venue(desk) == 1 + (status(desk, order) == "filled")  # and its stop


def test_a_request_that_never_arrived_is_not_sent_again_where_closed_ids_are_free(world):
    """Unique among open orders only: for a minute every look-up must stay empty before the id is used again."""
    with world.desk() as desk:
        fake = Fake(desk, submits=["drop"], client_ids="open-only")
        (order,) = buy(desk).orders
        later(desk, 1), later(desk, 15), later(desk, 15)
        assert len(fake.sent) == 1
        later(desk, 30)
        assert [sent.client_order_id for sent in fake.sent] == [order.client_order_id] * 2
        assert status(desk, order) == "open"


def test_an_id_whose_order_filled_is_never_sent_again(world):
    """faults 4.2, "Broker de-duplicates only OPEN ids": the closed orders are asked before anything is sent."""
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], client_ids="open-only")
        (order,) = buy(desk).orders
        desk.clock.set(at("09:37"))
        assert fake.venue.order(order.client_order_id).status == "filled"
        reconcile(desk)
        assert status(desk, order) == "filled"
        assert [sent.client_order_id for sent in fake.sent].count(order.client_order_id) == 1
        assert desk.store.positions.open_for("AAA").qty == D(99)


def test_two_orders_under_one_id_freeze_the_symbol(world):
    with world.desk() as desk:
        fake = Fake(desk, submits=["drop"], client_ids="open-only")
        (order,) = buy(desk).orders
        twin = fake.venue.submit(msgspec.structs.replace(fake.sent[0], client_order_id="twin"))
        first = fake.venue.submit(fake.sent[0])
        fake.open_orders = lambda: [first, msgspec.structs.replace(twin, client_order_id=order.client_order_id)]
        fake.orders_since = lambda since: fake.open_orders()
        reconcile(desk)
        assert list(frozen(desk)) == [("match", "AAA")]
        assert status(desk, order) == "unknown"


def test_no_client_ids_two_matches_freeze_that_symbol_and_stop_nobody_else(world):
    """faults 4.2, "Broker has no client id"."""
    with world.desk() as desk:
        fake = Fake(desk, client_ids="none")
        buy(desk, "BBB", 50.0)
        fake.submits = [None, "lose"]  # the stop of BBB, then AAA's entry
        (order,) = buy(desk, when="09:36").orders
        fake.venue.submit(msgspec.structs.replace(fake.sent[-1], client_order_id="somebody-else"))
        reconcile(desk)
        assert list(frozen(desk)) == [("match", "AAA")]
        assert len(alerts(desk, "frozen")) == 1
        with pytest.raises(Findings, match="AAA"):
            raise_findings(desk)
        before = writes(desk)
        reconcile(desk)
        assert writes(desk) == before
        halt(desk, HaltOptions("out", flatten=True))  # the exit of BBB goes
        assert [sold.symbol for sold in monitor_exits(desk)] == ["BBB"]
        # entries in it are refused, whatever else allows them
        desk.store.halts.clear(desk.store.halts.open()[0].id, desk.clock.now())
        desk.clock.set(at("09:37"))
        again = decide(desk, "AAA", 100.0)
        found = enter(desk, EnterOptions(ids=(again.id,)))
        assert [veto.rule for veto in found.vetoes] == ["frozen"]
        with pytest.raises(UsageError, match="may still be at the venue"):
            cancel(desk, order.id)
        desk.clock.sleep(900)
        assert cancel(desk, order.id).status == "expired"  # the operator knows what became of it
        assert frozen(desk) == {}


def test_no_client_ids_and_no_match_freeze_until_one_appears(world):
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], lag_s=40, client_ids="none")
        (order,) = buy(desk).orders
        later(desk, 1), later(desk, 11)
        assert list(frozen(desk)) == [("match", "AAA")]
        assert len(fake.sent) == 1  # nothing is ever sent again there
        later(desk, 30)
        assert frozen(desk) == {}
        assert status(desk, order) in ("open", "filled")


def test_resume_frees_what_is_frozen_and_the_next_pass_freezes_what_is_still_unclear(world):
    with world.desk() as desk:
        Fake(desk, submits=["drop"], client_ids="none")
        buy(desk)
        later(desk, 1), later(desk, 11)
        assert frozen(desk)
        resume(desk)
        assert frozen(desk) == {}
        later(desk, 1)
        assert frozen(desk)


@pytest.mark.parametrize("why", ["duplicate", ""])
def test_a_duplicate_id_refused_is_fetched_and_adopted(world, why):
    """faults 4.2, "Duplicate id refused": treated as already there."""
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], lag_s=60)
        (order,) = buy(desk).orders

        def known(answer):
            fake.lag_s = 0.0
            raise refusal("client_order_id must be unique", why)

        fake.submits = [known]
        later(desk, 1), later(desk, 11)  # sent again, refused as known, and by now it shows
        assert len(fake.sent) == 2
        assert status(desk, order) == "open"
        assert at_venue(desk) == 1


def test_a_second_try_that_is_refused_says_nothing_of_the_first(world):
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], lag_s=30)
        (order,) = buy(desk).orders
        fake.submits = [refusal("insufficient buying power")]
        later(desk, 1), later(desk, 11)
        assert status(desk, order) == "unknown"
        later(desk, 20)
        assert status(desk, order) in ("open", "filled")
        assert at_venue(desk) <= 2


@pytest.mark.parametrize("wrong", [
    {"client_order_id": "another"}, {"broker_order_id": ""}, {"symbol": "BBB"}, {"qty": D(1)}, {"side": "sell"},
])  # fmt: skip
def test_an_answer_about_another_order_is_looked_up_and_compared(world, wrong):
    """faults 4.2, "Order id missing or wrong in answer"."""
    with world.desk() as desk:
        fake = Fake(desk, submits=[lambda answer: msgspec.structs.replace(answer, **wrong)])
        (order,) = buy(desk).orders
        assert order.status == "unknown"
        reconcile(desk)
        assert status(desk, order) == "open"
        assert len(fake.sent) == 1


def test_a_venue_id_that_is_another_orders_is_not_believed(world):
    with world.desk() as desk:
        buy(desk, "BBB", 50.0)
        (first,) = desk.store.orders.all(symbol="BBB")
        Fake(desk, submits=[lambda answer: msgspec.structs.replace(answer, broker_order_id=first.broker_order_id)])
        (order,) = buy(desk).orders
        assert order.status == "unknown"
        reconcile(desk)
        assert status(desk, order) == "open"


def test_a_new_status_value_is_unknown_with_the_venues_word_and_counts_as_live(world):
    """faults 4.2, "New enum value / extra field"."""
    with world.desk() as desk:
        fake = Fake(desk)
        (order,) = buy(desk).orders
        strange = {"status": "unknown", "raw_status": "PENDING_RECALL"}
        fake.open_orders = lambda: [msgspec.structs.replace(o, **strange) for o in fake.venue.open_orders()]
        reconcile(desk)
        now = desk.store.orders.get(order.id)
        assert (now.status, now.raw_status) == ("unknown", "PENDING_RECALL")
        assert [live.id for live in desk.store.orders.live()] == [order.id]
        before = writes(desk)
        reconcile(desk)
        assert writes(desk) == before  # known to be strange: nothing new to write
        del fake.open_orders
        reconcile(desk)
        assert status(desk, order) == "open"
        assert len(fake.sent) == 1


@pytest.mark.parametrize("trouble", [BrokerError("502 <html>"), ValueError("not JSON"), KeyError("id")])
def test_garbage_on_submit_is_unknown_not_failed(world, trouble):
    """faults 4.2, "5xx on submit or read", "Malformed, truncated, HTML, huge JSON"."""
    with world.desk() as desk:

        def answered(answer):
            raise trouble

        fake = Fake(desk, submits=[answered])
        (order,) = buy(desk).orders
        assert order.status == "unknown"
        reconcile(desk)
        assert status(desk, order) == "open"
        assert len(fake.sent) == 1


def test_what_certainly_never_left_is_over_and_may_be_tried_anew(tmp_path):
    """No byte was sent: no doubt, no freeze; the stop comes back and the next pass sells under a new id."""
    world = World(tmp_path / "d")
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:40")
        unsent = BrokerError("connection refused")
        unsent.sent = False
        fake.submits = [unsent]
        out = passes(desk, "09:41", "09:43")
        assert [(when, order.status) for when, order in out][0] == ("09:41", "expired")
        assert len(alerts(desk, "order-not-sent")) == 1
        assert desk.store.trades.all()[0].exit_reason == "hard-stop"


def test_a_failed_read_is_an_error_and_never_flat(world):
    """faults 4.2, "Failed read returns empty list": positions are kept."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")

        def down(*_):
            raise BrokerError("503")

        for name in ("positions", "open_orders", "fills_since", "account"):
            setattr(fake, name, down)
            desk.clock.sleep(20)
            with pytest.raises(BrokerError):
                reconcile(desk)
            delattr(fake, name)
        assert desk.store.positions.open_for("AAA").qty == D(99)
        assert desk.store.trades.all() == []


def test_an_empty_list_that_the_account_contradicts_books_nothing(world):
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")
        fake.positions = list
        for _ in range(4):
            later(desk, 30)
        assert desk.store.positions.open_for("AAA").qty == D(99)
        assert desk.store.trades.all() == []
        assert len(alerts(desk, "positions-contradicted")) == 1


def test_an_empty_list_while_all_is_unsettled_forgets_no_foreign_shares(world):
    """Where nothing owned can be judged, a failed read passed for a full answer."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")
        (mine,) = fake.venue.positions()
        foreign = msgspec.structs.replace(mine, symbol="BBB", qty=D(50))
        fake.positions = lambda: [*fake.venue.positions(), foreign]
        later(desk, 30)
        assert desk.store.unmanaged() == {"BBB": D(50)}
        fake.positions = list
        notice_external(desk, {"AAA"})
        assert desk.store.unmanaged() == {"BBB": D(50)}


@pytest.fixture
def silent(world):
    """99 AAA and 199 BBB at a venue that lists nothing and does not know what the account is worth."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        buy(desk, "BBB", 50.0)
        passes(desk, "09:36", "09:37")
        assert {p.symbol: p.qty for p in desk.store.positions.open()} == {"AAA": D(99), "BBB": D(199)}
        fake.positions = list
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=None)
        yield desk, fake


def test_an_empty_list_without_a_known_equity_closes_nothing(silent):
    """The answer of a broken venue: after two looks everything was closed as sold by hand."""
    desk, fake = silent
    for _ in range(6):
        later(desk, 60)
    assert {p.symbol: p.qty for p in desk.store.positions.open()} == {"AAA": D(99), "BBB": D(199)}
    assert desk.store.trades.all() == []
    assert desk.store.meta.under("missing:") == {}
    assert len(alerts(desk, "positions-contradicted")) == 1
    assert (
        alerts(desk, "positions-contradicted")[0].data["message"].startswith("AAA, BBB: the venue lists no positions")
    )
    assert sorted(frozen(desk)) == [("empty", "AAA"), ("empty", "BBB")]
    with pytest.raises(Findings, match="AAA: the venue lists no positions"):
        raise_findings(desk)
    written = writes(desk)
    later(desk, 60)
    assert writes(desk) == written
    del fake.positions  # it is back
    later(desk, 60)
    assert frozen(desk) == {}
    assert {p.symbol: p.qty for p in desk.store.positions.open()} == {"AAA": D(99), "BBB": D(199)}


def test_an_empty_list_is_believed_when_the_account_is_all_cash_again(silent):
    desk, fake = silent
    later(desk, 60)
    fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=fake.venue.account().cash)
    later(desk, 60)
    assert desk.store.trades.all() == []  # the first look that counts
    assert frozen(desk) == {}
    later(desk, 60)
    assert sorted((t.symbol, t.exit_reason) for t in desk.store.trades.all()) == [
        ("AAA", "external"), ("BBB", "external"),
    ]  # fmt: skip


def test_an_empty_list_is_believed_when_the_operator_says_so(silent):
    desk, _ = silent
    for _ in range(3):
        later(desk, 60)
    resume(desk)
    assert frozen(desk) == {}
    later(desk, 60)
    assert desk.store.trades.all() == []
    later(desk, 60)
    assert sorted(t.exit_reason for t in desk.store.trades.all()) == ["external", "external"]
    assert desk.store.positions.open() == []


@pytest.mark.parametrize(("sold", "closed"), [
    ({"AAA": [D(99)], "BBB": [D(100), D(99)]}, 2),
    ({"AAA": [D(99)], "BBB": [D(100), D(98)]}, 0),  # a share of BBB must still be there
    ({"AAA": [D(99)]}, 0),
    ({"CCC": [D(500)]}, 0),
])  # fmt: skip
def test_an_empty_list_is_believed_when_the_venues_fills_tell_of_the_sales(silent, sold, closed):
    desk, fake = silent
    (one, *_), now = fake.venue.fills_since(at("09:30")), desk.clock.now()
    by_hand = [
        msgspec.structs.replace(one, broker_fill_id=f"hand-{symbol}-{n}", broker_order_id="hand", client_order_id=None,
                                symbol=symbol, side="sell", qty=qty, at=now)
        for symbol, parts in sold.items() for n, qty in enumerate(parts)
    ]  # fmt: skip
    fake.fills_since = lambda since: [*fake.venue.fills_since(since), *by_hand]
    for _ in range(4):
        later(desk, 60)
    assert [t.exit_reason for t in desk.store.trades.all()] == ["external"] * closed
    assert len(desk.store.positions.open()) == 2 - closed


def test_a_sale_from_before_it_was_bought_says_nothing_of_what_is_held(world):
    """BBB of somebody else's were sold at 09:40, while AAA was held; the desk bought its own at 09:45."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        buy(desk, "BBB", 50.0, when="09:45")
        passes(desk, "09:46", "09:47")
        (one, *_), hand = fake.venue.fills_since(at("09:30")), {"client_order_id": None, "side": "sell"}
        by_hand = [
            msgspec.structs.replace(
                one, broker_fill_id=f"h{n}", broker_order_id="h", symbol=symbol, qty=qty, at=at(when), **hand
            )
            for n, (symbol, qty, when) in enumerate([("BBB", D(199), "09:40"), ("AAA", D(99), "09:47")])
        ]
        fake.fills_since = lambda since: [*fake.venue.fills_since(since), *(f for f in by_hand if f.at >= since)]
        fake.positions = list
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=None)
        for _ in range(4):
            later(desk, 60)
        assert {p.symbol: p.qty for p in desk.store.positions.open()} == {"AAA": D(99), "BBB": D(199)}


def test_one_empty_look_between_good_ones_books_nothing(world):
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=None)
        for n in range(6):  # missing in every other look, never in two that follow each other
            fake.positions = list if n % 2 else fake.venue.positions
            later(desk, 30)
        assert desk.store.trades.all() == []


def test_an_exit_whose_shares_are_gone_is_never_sent_again(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:40")
        fake.submits = ["drop"]
        desk.clock.set(at("09:41"))
        (order,) = monitor_exits(desk)
        fake.positions = list  # sold by hand meanwhile
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=fake.venue.account().cash)
        sent = len(fake.sent)
        for _ in range(10):
            later(desk, 15)
        assert len(fake.sent) == sent
        assert status(desk, order) == "expired"
        assert desk.store.trades.all()[0].exit_reason == "external"


def test_a_lost_exit_that_filled_is_never_booked_as_sold_by_hand(tmp_path):
    """The venue shows the shares gone and the order late: whose sale it was is known only when the order shows."""
    world = World(tmp_path / "d")
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:40")
        fake.submits, fake.lag_s = ["lose"], 50
        desk.clock.set(at("09:41"))
        (order,) = monitor_exits(desk)
        fake.account = lambda: msgspec.structs.replace(fake.venue.account(), equity=None)
        hidden = fake.venue.fills_since
        fake.fills_since = lambda since: [
            fill
            for fill in hidden(since)
            if fill.client_order_id != order.client_order_id or desk.clock.now() > at("09:43")
        ]
        for _ in range(10):
            later(desk, 15)
        (trade,) = desk.store.trades.all()
        assert (trade.exit_reason, trade.qty) == ("hard-stop", D(99))
        assert [sent.client_order_id for sent in fake.sent].count(order.client_order_id) <= 2
        assert sum(fill.qty for fill in hidden(at("09:41"))) == D(99)


def test_the_tries_are_bounded_and_stay_loud(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", FALLS)
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:40")
        fake.submits = ["drop"] * 1000
        desk.clock.set(at("09:41"))
        (order,) = monitor_exits(desk)
        before = len(fake.sent)
        for _ in range(30):
            desk.clock.sleep(10)
            monitor_exits(desk)
        tries = fake.sent[before:]
        assert {sent.client_order_id for sent in tries} == {order.client_order_id}
        assert 3 <= len(tries) <= 6  # each wait twice the one before, two minutes at most
        assert alerts(desk, "order-unknown")


def test_a_halt_between_two_tries_ends_the_entry(world):
    with world.desk() as desk:
        fake = Fake(desk, submits=["drop"])
        (order,) = buy(desk).orders
        halt(desk, HaltOptions("news"))
        for _ in range(8):
            later(desk, 10)
        assert len(fake.sent) == 1
        assert status(desk, order) == "expired"


def test_an_order_that_shows_after_it_was_given_up_is_cancelled(world):
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], lag_s=600)
        (order,) = buy(desk).orders
        request = fake.sent[0]
        fake.venue.cancel(fake.venue.order(order.client_order_id).broker_order_id)
        for _ in range(3):
            later(desk, 180)
        assert status(desk, order) == "expired"
        late = fake.venue.submit(msgspec.structs.replace(request, client_order_id="late", limit_price=D(90)))
        shown = msgspec.structs.replace(late, client_order_id=order.client_order_id)
        fake.open_orders = lambda: [shown] if fake.venue.order("late").status == "open" else []
        fake.order = lambda cid: msgspec.structs.replace(fake.venue.order("late"), client_order_id=cid)
        desk.store.meta.set("account_id", None)  # look once more, although nothing is held
        later(desk, 1)
        assert fake.asked == [late.broker_order_id]
        assert len(alerts(desk, "late-order")) == 1
