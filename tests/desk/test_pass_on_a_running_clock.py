"""A pass whose clock runs on while it works: what it costs grows with the positions, not with their square."""

import pytest

from tests.desk.venues import buy
from tests.desk.world import World, at, passes
from tradekit.brokers.paper.engine import Engine
from tradekit.clock import ManualClock
from tradekit.desk.monitor_exits import monitor_exits


def plays(folder, names: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the paper exchange plays its tape in one pass over these positions, each with its resting stop."""
    world = World(folder)
    for name in names:
        world.add(name * 3, [100] * 60)
    with world.desk() as desk:
        for name in names:
            buy(desk, name * 3)
        passes(desk, "09:36", "09:40")
        assert sorted(order.symbol for order in desk.store.orders.live()) == [name * 3 for name in names]
        played, play, stands = [], Engine.play, ManualClock.now

        def runs(clock):
            clock.sleep(0.000001)
            return stands(clock)

        with monkeypatch.context() as patch:
            patch.setattr(Engine, "play", lambda engine, now: (played.append(now), play(engine, now))[1])
            patch.setattr(ManualClock, "now", runs)
            desk.clock.set(at("09:41"))
            assert monitor_exits(desk) == []
        levels = {row[0] for row in desk.broker._books._db.execute("SELECT symbol FROM guards")}
        assert levels == {name * 3 for name in names}
        return len(played)


def test_the_tape_is_not_played_anew_for_each_position(tmp_path, monkeypatch):
    """1,000 stops resting on paper made a pass 2.5 s long: each position told its level, and each telling played."""
    few, many = plays(tmp_path / "few", "A", monkeypatch), plays(tmp_path / "many", "ABC", monkeypatch)
    assert 0 < many == few
