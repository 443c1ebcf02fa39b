"""liquidate as an operator types it: what it shows beforehand, and that it never looks done when it is not."""

import json

import pytest

from tests.desk.world import World, at, decide, passes
from tradekit.clock import iso
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.monitor_exits import monitor_exits


@pytest.fixture
def held(tmp_path):
    """A world of one-minute bars in which AAA is held and its stop rests since 09:37."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    with world.desk("09:35") as desk:
        decide(desk, "AAA", 100.0, stop=0.01, target=0.026, after_target="arm-trail", trail=0.015)
        enter(desk, EnterOptions())
        passes(desk, "09:36", "09:37")
        (position,) = desk.store.positions.open()
        assert position.protected_by is not None
    return world


def typed(line, world, when, *words):
    return line("-C", world.path, "liquidate", *words, "--json", env={"TRADEKIT_CLOCK": iso(at(when))})


@pytest.mark.parametrize("when", ["09:38:00", "09:38:30"])
def test_a_dry_run_shows_the_sale_of_a_protected_position(when, held, line):
    done = typed(line, held, when, "--all", "--dry-run")
    assert done.returncode == 0, done.stderr
    (order,) = json.loads(done.stdout)
    assert (order["symbol"], order["side"], order["purpose"], order["dry_run"]) == ("AAA", "sell", "liquidate", True)
    with held.desk("09:39") as desk:
        (position,) = desk.store.positions.open()
        assert [order.id for order in desk.store.orders.live()] == [position.protected_by]
        assert len(desk.broker.open_orders()) == 1


def test_a_stop_that_is_still_being_cancelled_leaves_7_and_not_0(held, line):
    done = typed(line, held, "09:38:30", "aaa")  # the venue may still fill the stop inside this minute's bar
    assert (done.returncode, done.stdout) == (7, "[]\n")
    assert "left: AAA" in done.stderr and "run liquidate again" in done.stderr
    assert "nothing to liquidate" not in done.stderr
    done = typed(line, held, "09:39:00", "aaa")
    assert done.returncode == 0, done.stderr
    assert [order["purpose"] for order in json.loads(done.stdout)] == ["liquidate"]
    with held.desk("09:39") as desk:
        assert desk.store.decisions.pending() == []


@pytest.mark.parametrize("command", ["monitor-exits", "enter"])
def test_the_next_pass_sells_what_liquidate_could_not(command, held, line):
    assert typed(line, held, "09:38:30", "AAA").returncode == 7
    done = line("-C", held.path, command, "--json", env={"TRADEKIT_CLOCK": iso(at("09:39:05"))})
    assert done.returncode == 0, done.stderr
    assert [order["reason"] for order in json.loads(done.stdout)] == ["decision"]
    with held.desk("09:41") as desk:
        monitor_exits(desk)
        assert desk.store.positions.open() == []
        assert desk.store.decisions.pending() == []
        assert [trade.exit_reason for trade in desk.store.trades.all()] == ["decision"]


def test_a_sale_that_is_working_is_no_finding(held, line):
    assert typed(line, held, "09:38:00", "AAA").returncode == 0
    done = typed(line, held, "09:38:00", "AAA")
    assert (done.returncode, done.stdout) == (0, "[]\n")
