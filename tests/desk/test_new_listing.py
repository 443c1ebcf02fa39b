"""A symbol that has traded for a few sessions only has no usual turnover, and no entry until it has."""

import pytest

from tests.desk import world as worlds
from tests.desk.test_orders import buy
from tests.desk.world import DAY, NO_COSTS, World


@pytest.mark.parametrize(
    ("sessions", "setting", "bought"), [(9, "", False), (10, "", True), (3, "turnover_sessions: 3, ", True)]
)
def test_an_entry_waits_for_a_usual_turnover(tmp_path, monkeypatch, sessions, setting, bought):
    before = [session for session in worlds.SESSIONS if session.day < DAY]
    world = World(tmp_path / "d", NO_COSTS.replace("risk: {", f"risk: {{{setting}"))
    with monkeypatch.context() as patch:
        patch.setattr(worlds, "SESSIONS", before[-sessions:])
        world.add("NEW", [100] * 390)
    with world.desk("09:35") as desk:
        found = buy(desk, "NEW", when="09:36")
        assert [order.symbol for order in found.orders] == (["NEW"] if bought else [])
        refused = {veto.rule: veto.because for veto in found.vetoes}
        assert list(refused) == ([] if bought else ["liquidity"])
        assert bought or "it takes daily bars of 10 of the last 20 sessions" in refused["liquidity"]
