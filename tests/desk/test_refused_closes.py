"""A position that somebody asked to close is asked about until a sale has gone out: a refusal forgets nothing."""

import pytest

from tests.desk.venues import Fake, buy, refusal
from tests.desk.world import NO_COSTS, World, at, passes
from tests.make import make_decision
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits


@pytest.fixture
def desk(tmp_path):
    """A desk that holds AAA at 100, which goes nowhere."""
    world = World(tmp_path / "d", NO_COSTS)
    world.add("AAA", [100.0] * 60)
    with world.desk("09:31") as opened:
        yield opened


def sales(desk):
    return [o.status for o in desk.store.orders.all() if o.purpose in ("exit", "liquidate")]


def ask_for(desk):
    """The rules' CLOSE, which does not expire."""
    (position,) = desk.store.positions.open()
    row = make_decision(id="c", action="CLOSE", symbol="AAA", position_id=position.id, expires_at=None, at=at("09:37"))
    desk.store.decisions.add(row)


def by_monitor(desk):
    ask_for(desk)
    monitor_exits(desk)


def by_enter(desk):
    ask_for(desk)
    enter(desk, EnterOptions())


def by_liquidate(desk):
    liquidate(desk, LiquidateOptions(symbols=("AAA",)))


@pytest.mark.parametrize("ask", [by_monitor, by_enter, by_liquidate])
def test_a_refused_sale_is_tried_again(desk, ask):
    fake = Fake(desk)
    buy(desk, stop=0.02, target=0.5)
    desk.clock.set(at("09:36"))
    monitor_exits(desk)
    desk.clock.set(at("09:38"))
    fake.submits = [refusal("not now")]
    ask(desk)
    assert sales(desk) == ["rejected"]
    passes(desk, "09:50", "09:54")  # on paper its stop needs a bar to be gone
    assert sales(desk) == ["rejected", "filled"]
    assert desk.store.positions.open() == []
    assert desk.store.decisions.pending() == []
