"""A CLOSE outside regular hours is sold like liquidate sells: its limit gives way from pass to pass, by one rule.

99 AAA were bought on Friday; on Monday from 08:00 on the bid is 99.99 (a tick under 100). Each limit reaches the venue
50 too high, so that nobody buys: 0.5 % under the bid, floored to a cent, is 99.49, then 98.99 ... 3 % is 96.99.
"""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from tests.desk.test_turn_to_send import rests_far_away
from tests.desk.venues import Fake, alerts, buy
from tests.desk.world import DAY, World, at, passes
from tests.make import make_decision
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.extended import bound_of
from tradekit.desk.halts import HaltOptions, halt
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.operate import cancel
from tradekit.errors import BrokerError

MONDAY = timedelta(days=3)
STEPS = [D("99.49"), D("98.99"), D("98.49"), D("97.99"), D("97.49"), D("96.99")]


@pytest.fixture
def desk(tmp_path):
    """The desk on Monday at 08:05; a cancel of the simulated venue is final with the next bar, and is waited for."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 450)
    world.add("AAA", [100] * 520, day=DAY + MONDAY, since="08:00")
    with world.desk("09:31") as opened:
        Fake(opened, settle_s=90.0)
        buy(opened, intent="swing", stop=0.05, target=0.5, flat_before_close_s=None)
        passes(opened, "09:36", "09:37")
        opened.clock.set(at("08:05") + MONDAY)
        rests_far_away(opened)
        yield opened


def ask(desk):
    (position,) = desk.store.positions.open()
    row = make_decision(
        id="c", action="CLOSE", symbol="AAA", position_id=position.id, expires_at=None, at=desk.clock.now()
    )
    desk.store.decisions.add(row)


def watch(desk, until):
    """A pass 30 s after the one before, up to a time of this Monday."""
    while desk.clock.now() < at(until) + MONDAY:
        monitor_exits(desk)
        desk.clock.sleep(30)


def sales(desk):
    return [order for order in desk.store.orders.all() if order.purpose in ("exit", "liquidate")]


@pytest.mark.parametrize("first", ["monitor-exits", "enter"])
def test_a_close_rested_at_its_first_limit_for_ever(desk, first):
    ask(desk)
    if first == "enter":
        enter(desk, EnterOptions())
    watch(desk, "08:25")
    assert [order.limit_price for order in sales(desk)] == STEPS
    assert all(o.extended_hours and o.type == "limit" and o.reason == "decision" for o in sales(desk))
    assert [o.status for o in sales(desk)] == ["cancelled"] * 5 + ["open"]
    assert len({o.because for o in sales(desk)}) == 1


def test_at_the_open_the_market_takes_over(desk):
    ask(desk)
    watch(desk, "09:34")
    assert [(o.type, o.extended_hours, o.status) for o in sales(desk)[-2:]] == [
        ("limit", True, "cancelled"),
        ("market", False, "filled"),
    ]
    assert [(t.exit_reason, t.exit_price) for t in desk.store.trades.all()] == [("decision", D("99.99"))]
    assert desk.store.orders.still_asked() == set()


def test_a_death_between_two_limits_forgets_nothing(desk):
    ask(desk)
    monitor_exits(desk)
    (first,) = sales(desk)
    desk.clock.sleep(30)
    fake = desk.broker

    def dies():
        fake.venue.cancel(first.broker_order_id)
        raise SystemExit

    fake.cancels = [dies]
    with pytest.raises(SystemExit):
        monitor_exits(desk)
    desk.clock.sleep(90)
    monitor_exits(desk)
    assert [(o.limit_price, o.status) for o in sales(desk)] == [(STEPS[0], "cancelled"), (STEPS[1], "open")]


def test_an_operator_who_cancels_the_limit_ends_it(desk):
    ask(desk)
    monitor_exits(desk)
    desk.clock.sleep(30)
    monitor_exits(desk)
    cancel(desk, sales(desk)[-1].id)
    watch(desk, "08:25")
    assert [o.status for o in sales(desk)] == ["cancelled", "cancelled"]
    assert desk.store.positions.open() != []


def test_a_level_that_is_reached_meanwhile_does_not_take_the_reason_over(desk):
    from tradekit.desk.operate import PlanOptions, plan

    ask(desk)
    monitor_exits(desk)
    plan(desk, PlanOptions("AAA", hold_s=1))  # its time is over: a rule of its own
    desk.clock.sleep(30)
    monitor_exits(desk)
    assert [o.reason for o in sales(desk)] == ["decision", "decision"]


def test_after_the_close_limits_that_give_way_go_on(desk):
    """A fresh exit of the evening queues for the open; a sale that is under way goes on asking less."""
    desk.clock.set(at("16:10") + MONDAY)
    ask(desk)
    enter(desk, EnterOptions())
    watch(desk, "16:30")
    assert [order.limit_price for order in sales(desk)] == STEPS
    assert alerts(desk, "exit-at-open") == []


def bounded(desk, most):
    """A `liquidate --all --max-discount` that could not send: the venue does not answer."""
    desk.broker.positions = lambda: (_ for _ in ()).throw(BrokerError("503"))
    with pytest.raises(BrokerError):
        liquidate(desk, LiquidateOptions(all_=True, max_discount=most))
    del desk.broker.positions


def test_what_liquidate_could_not_send_keeps_its_largest_discount(desk):
    """--max-discount 0.012: 0.5 %, 1 %, then 1.2 % under 99.99, which is 98.79."""
    bounded(desk, 0.012)
    assert sales(desk) == []
    watch(desk, "08:25")
    assert [order.limit_price for order in sales(desk)] == [D("99.49"), D("98.99"), D("98.79")]
    (position,) = desk.store.positions.open()
    assert (bound_of(desk, position, "decision"), bound_of(desk, position, "hard-stop")) == (0.012, None)


def test_the_largest_discount_of_a_close_holds_no_stronger_rule_up(desk):
    """--max-discount 0.005 said nothing about the kill switch, which goes to the setting's 3 %."""
    bounded(desk, 0.005)
    watch(desk, "08:15")
    assert [order.limit_price for order in sales(desk)] == STEPS[:1]
    halt(desk, HaltOptions(reason="out", flatten=True))
    watch(desk, "08:35")
    assert [order.limit_price for order in sales(desk)] == STEPS
    assert {order.reason for order in sales(desk)} == {"decision"}


def test_a_largest_discount_ends_with_the_close_it_was_said_for(desk):
    """The operator cancels that sale; a CLOSE that is asked for later goes to the setting's 3 %."""
    bounded(desk, 0.005)
    watch(desk, "08:08")
    cancel(desk, sales(desk)[-1].id)
    watch(desk, "08:12")
    ask(desk)
    watch(desk, "08:30")
    assert [order.limit_price for order in sales(desk)] == STEPS
