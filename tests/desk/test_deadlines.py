"""Every command has a total deadline: waits do not add up, what is left is said, the next run goes on from there."""

import time
from contextlib import contextmanager
from itertools import islice
from threading import Timer

import pytest

from tests.desk.test_turn_to_send import another_sender, held_by_another
from tests.desk.venues import alerts
from tests.desk.world import NO_COSTS, World, at, decide, passes
from tests.sim.serving import serve_desk
from tradekit.base.deadline import over, within
from tradekit.base.locks import Lock
from tradekit.clock import ManualClock, iso
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.in_time import UNBOUNDED, bounded, budget, class_of
from tradekit.desk.monitor_exits import keep_monitoring, monitor_exits
from tradekit.desk.open import running
from tradekit.desk.orders import submit_lock
from tradekit.errors import BrokerError, Busy, Refused, TimeIsOver
from tradekit.store import open_store

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
HTTP = "http: {settle_s: 5, rate_per_minute: 100000, burst: 1000, retries: 0, read_s: 20, total_s: 20}\n"
DEADLINES = "deadlines: {exits: 1, liquidate: 1, entries: 2, other: 1}\n"
HANGS = {"kind": "wait", "seconds": 60, "times": 0}
BOUND_S = 18.0  # 1 or 2 s, and room for a machine that has other things to do; one call alone would wait 20 s


@pytest.fixture
def held(tmp_path, venue_server, monkeypatch):
    """Four positions at a venue over HTTP, all of them through their stops at 09:41."""
    world = World(tmp_path / "d", NO_COSTS + HTTP + DEADLINES)
    for symbol in (*SYMBOLS, "EEE", "FFF"):
        world.add(symbol, [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40)
    venue, url = serve_desk(venue_server, world.path, ManualClock(at("09:30")), follow=True)
    monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
    monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
    monkeypatch.setenv("TRADEKIT_SET__RISK__MAX_PER_SCAN", "6")
    monkeypatch.setenv("TRADEKIT_SET__RISK__REGIME", "{up: 6, sideways: 6, down: 6, dead: 0}")
    with world.desk("09:31") as desk:
        for symbol in SYMBOLS:
            decide(desk, symbol, 100.0, stop=0.01, target=0.5)
        enter(desk, EnterOptions())
        passes(desk, "09:32", "09:34")
        assert len(desk.store.positions.open()) == 4
    yield world, venue
    venue_server.remove(url)


def timed(line, world, when, *words):
    began = time.monotonic()
    done = line("-C", world.path, *words, env={"TRADEKIT_CLOCK": iso(at(when))})
    assert time.monotonic() - began < BOUND_S, done.stderr
    return done


def last_run(world):
    store = open_store(world.path / "desk.db", readonly=True)
    try:
        return store.runs.all()[-1], store.positions.open(), store.orders.all()
    finally:
        store.close()


@pytest.mark.parametrize(("kind", "words"), [
    ("wait", ["monitor-exits"]), ("wait-after", ["monitor-exits"]), ("slow", ["monitor-exits"]),
    ("wait", ["liquidate", "--all"]),
])  # fmt: skip
def test_a_venue_that_hangs_on_every_call(held, line, words, kind):
    world, venue = held
    venue.control("faults", rules=[HANGS | {"kind": kind}])
    done = timed(line, world, "09:42", *words)
    assert done.returncode == 5
    assert "had 1 s and has used them; not reached: " in done.stderr and "DDD" in done.stderr
    assert "deadlines." in done.stderr
    run, positions, _ = last_run(world)
    assert (run.command, run.exit_code, run.counts["left"] >= 1, len(positions)) == (words[0], 5, True, 4)
    venue.control("faults", rules=[], clear=True)
    for when in ("09:43", "09:44", "09:45"):  # the exits get their turn next
        line("-C", world.path, *words, env={"TRADEKIT_CLOCK": iso(at(when))})
    assert last_run(world)[1] == []
    assert venue.control("truth")["positions"] == {}
    sold = [row for row in venue.journal.of("accepted") if row["side"] == "sell" and row["type"] != "stop"]
    assert sorted(row["symbol"] for row in sold) == sorted({row["symbol"] for row in sold})


def test_entries_that_hang_are_unknown_and_sent_once(held, line):
    world, venue = held
    with world.desk("09:35") as desk:
        decide(desk, "EEE", 100.0, stop=0.01, target=0.5, score=16.0)
        decide(desk, "FFF", 100.0, stop=0.01, target=0.5)
    venue.control("faults", rules=[{"kind": "wait-after", "seconds": 60, "times": 0, "method": "POST"}])
    done = timed(line, world, "09:35", "enter")
    assert done.returncode == 5 and "not reached: FFF" in done.stderr
    assert "nobody knows yet what became of " in done.stderr
    _, _, orders = last_run(world)
    assert [(o.symbol, o.status) for o in orders if o.purpose == "entry" and o.symbol in ("EEE", "FFF")] == [
        ("EEE", "unknown")
    ]
    venue.control("faults", rules=[], clear=True)
    done = timed(line, world, "09:36", "enter")
    assert done.returncode == 0, done.stderr
    bought = [row["symbol"] for row in venue.journal.of("accepted") if row["side"] == "buy"]
    assert bought == [*SYMBOLS, "EEE", "FFF"]


@contextmanager
def falling(tmp_path):
    """A world, and its desk with AAA held at 09:34, whose price falls through the stop at 09:40."""
    world = World(tmp_path / "d", NO_COSTS + DEADLINES)
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40)
    with world.desk("09:31") as desk:
        decide(desk, "AAA", 100.0, stop=0.01, target=0.5)
        enter(desk, EnterOptions())
        passes(desk, "09:32", "09:34")
        yield world, desk


@pytest.mark.parametrize("name", ["writer.lock", "submit.lock"])
def test_locks_that_somebody_holds(tmp_path, line, name):
    with falling(tmp_path) as (world, desk):
        where = world.path if name == "writer.lock" else desk.account_dir
    with Lock(where / name):
        done = timed(line, world, "09:42", "monitor-exits")
    assert done.returncode == 8 and name in done.stderr
    for when in ("09:43", "09:44"):  # the paper venue fills in the bar that follows
        assert line("-C", world.path, "monitor-exits", env={"TRADEKIT_CLOCK": iso(at(when))}).returncode == 0
    assert last_run(world)[1] == []


def test_a_pass_of_a_loop_has_a_deadline_and_the_next_one_sells(held):
    world, venue = held
    venue.control("faults", rules=[HANGS])
    began = time.monotonic()
    with world.desk("09:42") as desk:
        loop = keep_monitoring(desk, 60.0)
        venue.control("faults", rules=[HANGS])

        def mended(_s, sleep=desk.clock.sleep):
            venue.control("faults", rules=[], clear=True)
            sleep(60.0)

        desk.clock.sleep = mended
        assert [order.purpose for order in next(loop)] == ["exit"] * 4
        assert time.monotonic() - began < BOUND_S
        assert len(alerts(desk, "out-of-time")) == 1
        for _ in islice(loop, 1):
            pass
        assert desk.store.positions.open() == []


@pytest.mark.parametrize("name", ["writer.lock", "submit.lock"])
def test_a_lock_that_somebody_holds_ends_a_pass_and_not_the_loop(tmp_path, name):
    """One writer that hung for half a minute ended `monitor-exits --every`, and with it all exits."""
    with falling(tmp_path) as (world, desk):
        held = Lock((world.path if name == "writer.lock" else desk.account_dir) / name)
        held.acquire()
        desk.clock.set(at("09:42"))
        loop, real = keep_monitoring(desk, 60.0), desk.clock.sleep

        def freed(_s):
            held.release()
            real(60.0)

        desk.clock.sleep = freed
        for _ in islice(loop, 3):
            pass
        assert any(name in line for line in desk.said)
        assert desk.store.positions.open() == []


def test_a_lock_that_is_busy_when_the_time_is_over_anyway_is_5(tmp_path):
    """The pass had used its time elsewhere: that somebody sends just then is not what it ended by."""
    world = World(tmp_path / "d", NO_COSTS + DEADLINES)
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40)
    with world.desk("09:31") as desk:
        buy_and_hold(desk)
        desk.clock.set(at("09:42"))
        with another_sender(desk), pytest.raises(TimeIsOver, match="not reached: AAA"), a_pass(desk):
            used_up()
            monitor_exits(desk)
        with another_sender(desk), pytest.raises(TimeIsOver, match="had 1 s and has used them"), a_pass(desk):
            used_up()
            take_turn(desk, wait_s=30)
        with another_sender(desk), pytest.raises(Busy, match="submit.lock"), a_pass(desk):
            take_turn(desk, wait_s=0.05)


def a_pass(desk):
    return bounded(desk, "monitor-exits", alarm=False)


def take_turn(desk, wait_s):
    with submit_lock(desk, wait_s=wait_s):
        raise AssertionError("somebody else has it")


def buy_and_hold(desk):
    decide(desk, "AAA", 100.0, stop=0.01, target=0.5)
    enter(desk, EnterOptions())
    passes(desk, "09:32", "09:34")


def used_up():
    while not over():
        time.sleep(0.05)


def test_positions_that_were_not_reached_are_named_whatever_lock_came_last(tmp_path):
    world = World(tmp_path / "d", NO_COSTS + DEADLINES)
    with world.desk("09:31") as desk, pytest.raises(TimeIsOver, match="not reached: AAA"), a_pass(desk):
        desk.left.append("AAA")
        raise Busy("an order on its way: pid 7 holds submit.lock after 0.9 s")


def test_a_run_row_that_cannot_be_closed_hides_no_end(tmp_path):
    """The last write of a command that had run out of time met a lock: it ended with 8, and so did its cause."""
    world = World(tmp_path / "d", NO_COSTS + DEADLINES)
    with world.desk("09:31") as desk:
        for problem, code in ((TimeIsOver("its time is over"), 5), (BrokerError("503"), 5), (Refused("no"), 6)):
            with (
                held_by_another(world.path / "writer.lock") as taken,
                pytest.raises(type(problem)) as ended,
                budget(desk, "monitor-exits"),
                running(desk, "monitor-exits"),
            ):
                taken()
                used_up()
                raise problem
            assert ended.value.code == code
        with running(desk, "monitor-exits"):
            pass
        assert [run.exit_code for run in desk.store.runs.all()] == [137, 137, 137, 0]  # the next run says so


def test_a_run_row_is_closed_when_all_time_is_used(tmp_path):
    """A lock that is free again within the last twentieth of the time does not leave the row open."""
    world = World(tmp_path / "d", NO_COSTS + "deadlines: {exits: 20}\n")
    with world.desk("09:31") as desk:
        lock = Lock(world.path / "writer.lock")
        with pytest.raises(TimeIsOver), within(0.05), running(desk, "monitor-exits"):
            used_up()
            lock.acquire()
            Timer(0.3, lock.release).start()
            raise TimeIsOver("its time is over")
        assert [run.exit_code for run in desk.store.runs.all()] == [5]


def test_what_no_wait_of_ours_notices_is_interrupted(tmp_path, line, monkeypatch):
    from tradekit.desk import decide as step

    world = World(tmp_path / "d", NO_COSTS + DEADLINES)
    world.add("AAA", [100] * 10)
    monkeypatch.setattr(step, "decide", lambda *_: time.sleep(60))  # a name server that is silent
    done = timed(line, world, "09:35", "decide")
    assert done.returncode == 5 and "decide had 1 s" in done.stderr
    assert last_run(world)[0].exit_code == 5


def test_every_command_has_a_class():
    from tradekit.config import DeadlineSettings

    assert {class_of(name) for name in ("monitor-exits", "liquidate", "enter", "scan", "jobs track")} == set(
        DeadlineSettings.__struct_fields__
    ) - {"catch_up"}
    assert [class_of(name) for name in sorted(UNBOUNDED)] == [None] * len(UNBOUNDED)
    assert TimeIsOver.code == 5 and TimeIsOver.retryable
