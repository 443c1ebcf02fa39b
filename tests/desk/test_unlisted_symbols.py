"""What universe.yaml does not list counts as mid cap for the thresholds, and for nothing else."""

import pytest

from tests.desk.world import NO_COSTS, World, at, decide
from tradekit.desk.enter import EnterOptions, enter

PLAN = {"stop": 0.01, "target": 0.03}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "d", NO_COSTS.replace("too_late_s: 0}", "too_late_s: 0, max_per_cap: 2, max_per_scan: 6}"))
    for symbol in ("AAA", "BBB", "CCC"):
        made.add(symbol, [100] * 20)
    return made


def entered(world):
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        for symbol in ("AAA", "BBB", "CCC"):
            decide(desk, symbol, 100.0, **PLAN)
        found = enter(desk, EnterOptions())
        gate = desk.store.risk_checks.for_order(found.orders[0].id)
        said = next(row.limits["max-per-cap"] for row in gate if row.rule == "gate")
        return [order.symbol for order in found.orders], [(v.decision_id[2:5], v.rule) for v in found.vetoes], said


def test_three_unlisted_symbols_filled_up_the_mid_caps_of_an_empty_universe(world):
    orders, vetoes, said = entered(world)
    assert (orders, vetoes) == (["AAA", "BBB", "CCC"], [])
    assert said == "universe.yaml names no cap class for AAA"


def test_listed_symbols_are_counted_by_cap(world):
    (world.path / "universe.yaml").write_text("mid: [AAA, BBB, CCC]\n")
    assert entered(world)[:2] == (["AAA", "BBB"], [("CCC", "max-per-cap")])


def test_a_second_enter_in_the_same_minute_said_there_was_nothing(world):
    (world.path / "universe.yaml").write_text("mid: [AAA, BBB, CCC]\n")
    entered(world)
    with world.desk("09:35:40") as desk:
        again = enter(desk, EnterOptions())
        assert [order.symbol for order in again.orders] == ["AAA", "BBB"]
        assert ([veto.rule for veto in again.vetoes], again.refused) == (["max-per-cap"], False)
    with world.desk("09:36") as desk:
        assert (enter(desk, EnterOptions()).orders, enter(desk, EnterOptions()).vetoes) == ([], [])


def test_an_unlisted_symbol_takes_no_place_of_a_listed_mid_cap(world):
    (world.path / "universe.yaml").write_text("mid: [BBB, CCC]\n")
    assert entered(world)[0] == ["AAA", "BBB", "CCC"]
