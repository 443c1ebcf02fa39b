"""What is held is decided too: CLOSE when it has turned, else HOLD, once for each score of jobs track.

The history stands at 100 on 10 M shares a day. A fall to 97 on 3 M in half an hour (usual: 1.7 M) is below the SMA20
(2) and yesterday's low (2), down on volume (2), makes ROC10 negative (1), ends in the day's bottom quarter (1): 8.
"""

from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.world import World, at, passes
from tests.desk.world import decide as pending
from tests.make import make_decision
from tradekit.desk.decide import DecideOptions, approve, decide
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.jobs import track
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.errors import UsageError

FALL = [100] * 10 + [97] * 80
STANDS = [100] * 90
SWING = {"stop": 0.04, "intent": "swing", "flat_before_close_s": None}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "d")


def held(desk, tracked="10:00"):
    """AAA bought at 09:35, watched until a minute before `tracked`, then scored; the position."""
    desk.clock.set(at("09:35"))
    pending(desk, "AAA", 100.0, **SWING)
    enter(desk, EnterOptions())
    passes(desk, "09:36", "09:59")
    desk.clock.set(at(tracked))
    track(desk)
    (position,) = desk.store.positions.open()
    return position


def test_a_position_that_had_turned_was_never_decided(world):
    world.add("AAA", FALL)
    with world.desk() as desk:
        position = held(desk)
        (found,) = decide(desk, DecideOptions())
        assert (found.id, found.action, found.status) == (f"d-{position.id}-20260213T1500", "CLOSE", "pending")
        assert (found.position_id, found.candidate_id, found.score, found.expires_at) == (position.id, None, 8.0, None)
        assert found.because.startswith("reversal score 8 of 13, 5 closes; ")
        assert decide(desk, DecideOptions()) == [found]  # a repeat shows it and writes nothing
        (order,) = enter(desk, EnterOptions()).orders
        assert (order.purpose, order.reason, order.qty) == ("exit", "decision", D(99))
        passes(desk, "10:01", "10:03")
        assert [trade.exit_reason for trade in desk.store.trades.all()] == ["decision"]
        assert desk.store.decisions.get(found.id).status == "used"


def test_monitor_exits_sells_for_a_close_before_the_reversal_rule_does(world):
    world.add("AAA", FALL)
    with world.desk() as desk:
        position = held(desk)
        (found,) = decide(desk, DecideOptions())
        assert [(order.position_id, order.reason) for order in monitor_exits(desk)] == [(position.id, "decision")]
        assert desk.store.decisions.get(found.id).status == "used"
        assert [o.reason for o in enter(desk, EnterOptions()).orders] == ["decision"]  # of this minute: shown again
        assert [o.reason for o in enter(desk, EnterOptions(ids=(found.id,))).orders] == ["decision"]  # named: shown


def test_a_position_that_stands_is_held_once_per_score(world):
    world.add("AAA", STANDS)
    with world.desk() as desk:
        position = held(desk)
        (found,) = decide(desk, DecideOptions())
        assert (found.action, found.status, found.score) == ("HOLD", "used", 0.0)
        assert enter(desk, EnterOptions()).orders == []
        passes(desk, "10:01", "10:29")
        assert decide(desk, DecideOptions()) == []  # no new score, nothing to decide
        desk.clock.set(at("10:30"))
        track(desk)
        (later,) = decide(desk, DecideOptions())
        assert later.id == f"d-{position.id}-20260213T1530"
        assert desk.store.positions.open()


def test_a_pipe_decides_its_candidates_only(world):
    world.add("AAA", FALL)
    with world.desk() as desk:
        held(desk)
        assert decide(desk, DecideOptions(ids=())) == []
        with pytest.raises(UsageError):
            decide(desk, DecideOptions(ids=("BBB-20260213T1500-momentum",)))
        assert desk.store.decisions.asked_to_close() == set()


def test_a_human_is_asked_before_a_close(world):
    world.add("AAA", FALL)
    with world.desk() as desk:
        position = held(desk)
        (found,) = decide(desk, DecideOptions(by="human"))
        assert (found.status, found.expires_at) == ("waiting", at("10:15"))
        assert desk.store.decisions.asked_to_close() == set()
        approve(desk, found.id)
        assert desk.store.decisions.asked_to_close() == {position.id}


def test_a_close_of_an_earlier_position_does_not_sell_the_next_one(world):
    world.add("AAA", STANDS)
    with world.desk() as desk:
        position = held(desk)
        old = make_decision(action="CLOSE", symbol="AAA", position_id="AAA-20260212T1500", at=at("09:31"))
        old = msgspec.structs.replace(old, expires_at=None)
        desk.store.decisions.add(old)
        assert enter(desk, EnterOptions()).orders == []
        assert desk.store.decisions.get(old.id).status == "used"
        assert [p.id for p in desk.store.positions.open()] == [position.id]
