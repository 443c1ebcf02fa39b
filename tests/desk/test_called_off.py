"""An entry that the operator has called off while nobody knew where it was must not come back later."""

import pytest

from tests.desk.venues import Fake, buy
from tests.desk.world import World
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.operate import cancel
from tradekit.desk.reconcile import reconcile


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    return world


def status_after(desk, order, seconds):
    """Reconcile every 11 s for so long."""
    for _ in range(0, seconds, 11):
        desk.clock.sleep(11)
        reconcile(desk)
    return desk.store.orders.get(order.id).status


@pytest.mark.parametrize("how", ["liquidate", "cancel"])
def test_an_entry_that_never_arrived_is_not_sent_again_after(world, how):
    with world.desk() as desk:
        fake = Fake(desk, submits=["drop"], client_ids="unique")
        (order,) = buy(desk).orders
        if how == "liquidate":
            liquidate(desk, LiquidateOptions(all_=True))
        else:
            cancel(desk, order.id)
        assert status_after(desk, order, 99) == "expired"
        assert len(fake.sent) == 1


def test_an_entry_that_arrived_after_all_is_cancelled(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 5 + [105] * 60)  # it runs away: the entry's limit rests
    with world.desk() as desk:
        fake = Fake(desk, submits=["lose"], lag_s=20, client_ids="unique")
        (order,) = buy(desk).orders
        liquidate(desk, LiquidateOptions(all_=True))  # nobody sees the order yet
        desk.clock.sleep(21)
        reconcile(desk)
        assert len(fake.asked) == 1
        assert status_after(desk, order, 60) == "cancelled"
        assert len(fake.sent) == 1
