"""A dry run at an earlier time stands on the books of then, or is refused where those cannot be known any more."""

from datetime import timedelta

import pytest

from tests.desk.venues import buy
from tests.desk.world import World, at, decide, passes
from tradekit.clock import ManualClock, iso
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.open import open_desk
from tradekit.errors import UsageError


@pytest.fixture
def world(tmp_path):
    """AAA bought at 09:36, sold at 09:42; a decision about BBB at 09:40."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [(100, 100, 97, 97)] + [97] * 20)
    world.add("BBB", [50] * 31)
    with world.desk() as desk:
        buy(desk, stop=0.01, target=0.5)
        passes(desk, "09:36", "09:39")
        desk.clock.set(at("09:40"))
        decide(desk, "BBB", 50.0)
        desk.store.decisions.set_status("d-BBB-20260213T1440-momentum", "expired")
        passes(desk, "09:41", "09:43")
        assert desk.store.positions.open() == []
    return world


def dry(world, command, when):
    return open_desk(world.path, command=command, dry_run=True, at=at(when), clock=ManualClock(at("10:00")))


@pytest.mark.parametrize(("when", "held", "working", "sold", "decided"), [
    ("09:34", [], [], [], []),
    ("09:38", ["AAA"], ["protect"], [], ["AAA"]),
    ("09:40:30", ["AAA"], ["protect"], [], ["AAA", "BBB"]),
    ("09:50", [], [], ["AAA"], ["AAA", "BBB"]),
])  # fmt: skip
def test_a_scan_stands_on_the_books_of_then(world, when, held, working, sold, decided):
    with dry(world, "scan", when) as desk:
        day = desk.calendar.day(desk.clock.now())
        assert [p.symbol for p in desk.store.positions.open()] == held
        assert [o.purpose for o in desk.store.orders.live()] == working
        assert [t.symbol for t in desk.store.trades.closed_on(day)] == sold
        assert [d.symbol for d in desk.store.decisions.all(session=day)] == decided
    with world.desk("10:00") as desk:  # the books themselves are as they were
        assert len(desk.store.decisions.all()) == 2 and len(desk.store.trades.all()) == 1


@pytest.mark.parametrize("command", ["enter", "monitor-exits", "reconcile"])
def test_what_needs_the_venue_of_then_is_refused_once_the_books_have_changed(world, line, command):
    clock = {"TRADEKIT_CLOCK": iso(at("10:00"))}
    done = line("-C", world.path, command, "--dry-run", "--at", iso(at("09:38")), env=clock)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the books have changed since" in done.stderr and "fills" in done.stderr
    assert "tradekit replay 2026-02-13 --until 09:38 --out FOLDER" in done.stderr
    done = line("-C", world.path, command, "--dry-run", "--at", iso(at("09:50")), env=clock)  # nothing since then
    assert done.returncode == 0, done.stderr


def test_a_mark_since_then_is_a_change(tmp_path):
    """How high a price had been by then is what a trail hangs on."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 60)
    with world.desk() as desk:
        buy(desk, stop=0.01, target=0.5)
        passes(desk, "09:36", "09:37")
        desk.clock.set(at("09:37") + timedelta(minutes=5))
        monitor_exits(desk)
    with pytest.raises(UsageError, match="1 marks"), dry(world, "monitor-exits", "09:40"):
        pass
