"""jobs track and a pass of the exits write the same row at the same minute: neither undoes what the other one saw."""

from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import buy
from tests.desk.world import NO_COSTS, World, at, passes
from tradekit.desk import jobs, monitor_exits


@pytest.fixture
def desk(tmp_path):
    """A desk that holds AAA at 100; 103 is reached at 09:38."""
    world = World(tmp_path / "d", NO_COSTS)
    world.add("AAA", [100.0] * 8 + [103.0] * 30)
    with world.desk("09:31") as opened:
        buy(opened, stop=0.02, target=0.5, trail=0.01, trail_from="entry")
        passes(opened, "09:36", "09:37")
        yield opened


def mark_of(desk):
    (mark,) = desk.store.marks.all()
    return mark


def while_in(monkeypatch, module, name, act):
    """Another process does something as `name` begins."""
    real = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *words, **more: (act(), real(*words, **more))[1])


def test_a_score_that_came_during_a_pass_stays(desk, monkeypatch):
    desk.clock.set(at("09:39"))
    scored = msgspec.structs.replace(mark_of(desk), reversal_score=6, reversal_at=at("09:39"), note="closes weak")
    while_in(monkeypatch, monitor_exits, "leave", lambda: desk.store.marks.save([scored]))
    monitor_exits.monitor_exits(desk)
    found = mark_of(desk)
    assert (found.reversal_score, found.reversal_at, found.note) == (6, at("09:39"), "closes weak")
    assert (found.high, found.last_price) == (D(103), D(103))


def test_a_high_that_came_during_a_look_at_reversals_stays(desk, monkeypatch):
    desk.clock.set(at("09:39"))
    seen = msgspec.structs.replace(mark_of(desk), high=D(103), judged_to=at("09:39"), stop_price=D("101.97"))
    while_in(monkeypatch, jobs, "_scored", lambda: desk.store.marks.save([seen]))
    jobs.track(desk)
    found = mark_of(desk)
    assert (found.high, found.judged_to, found.stop_price) == (D(103), at("09:39"), D("101.97"))
    assert found.reversal_at == at("09:39")
