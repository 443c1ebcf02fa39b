"""The jobs of the evening: a row a session, what became of candidates, what track saw, what cleanup takes."""

from datetime import date, timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.world import DAY, NO_COSTS, World, at, decide, passes
from tests.make import make_candidate, make_fill, make_run, make_scan
from tradekit.desk.cleanup import CleanupOptions, cleanup, kept
from tradekit.desk.enter import EnterOptions, enter
from tradekit.desk.jobs import snapshot, track
from tradekit.desk.outcomes import outcomes, pattern_of
from tradekit.desk.performance import SnapshotOptions
from tradekit.errors import UsageError
from tradekit.model import PositionCheck

BENCHMARK = NO_COSTS + "desk: {benchmark: SPY}\n"


@pytest.fixture
def world(tmp_path):
    """AAPL rises 100 -> 103 in ten minutes and falls back to 98; SPY stands still."""
    made = World(tmp_path / "desk")
    text = (made.path / "desk.yaml").read_text().replace("benchmark: null", "benchmark: SPY")
    (made.path / "desk.yaml").write_text(text)
    path = [100, 100, (100, 101, 100, 101), (101, 103, 101, 102), (102, 102, 99.5, 100)] + [98] * 385
    made.add("AAPL", path, volume=100_000)
    made.add("SPY", [600] * 389 + [606])
    monday = date(2026, 2, 16)
    made.add("AAPL", [(98, 104, 97, 102)] * 390, day=monday)
    made.add("SPY", [606] * 390, day=monday)
    return made


def bought(desk):
    decide(desk, "AAPL", 100.0, stop=0.05, target=0.2)
    return enter(desk, EnterOptions())


def test_a_snapshot_is_one_row_with_the_benchmark_beside_it(world):
    with world.desk("09:31") as desk:
        bought(desk)
        passes(desk, "09:32", "16:00", 3600)
        desk.clock.set(at("16:05"))
        (row,) = snapshot(desk)
        assert (row.benchmark_close, row.benchmark_return) == (D(606), pytest.approx(0.01))
        assert row.flow == 0 or row.flow == D(100000)
        assert snapshot(desk) == [row]
        assert desk.store.days.all() == [row]


def test_a_past_session_made_again_equals_the_row_of_the_day(world):
    with world.desk("09:31") as desk:
        bought(desk)
        passes(desk, "09:32", "15:59", 1800)
        desk.clock.set(at("16:05"))
        (live,) = snapshot(desk)
        desk.store.db.run("DELETE FROM performance")
        (again,) = snapshot(desk, SnapshotOptions(missing=True))
        assert again.rebuilt
        names = ("session", "cash", "exposure", "positions", "realized", "fees", "trades", "wins", "benchmark_return")
        assert [getattr(again, name) for name in names] == [getattr(live, name) for name in names]
        assert again.equity == live.equity
        assert snapshot(desk, SnapshotOptions(missing=True)) == []


def test_a_session_that_is_not_over_cannot_be_made_again(world):
    with world.desk("10:00") as desk, pytest.raises(UsageError):
        snapshot(desk, SnapshotOptions(session=str(DAY)))


def test_outcomes_count_from_the_scan_on_and_come_session_by_session(world):
    scan = make_scan(at=at("09:35"))
    late = make_candidate(at=at("09:34"), price=100, scan_id=scan.id)
    out = make_candidate(strategy="coil", at=at("09:34"), price=100, scan_id=scan.id, score=None, passed=False,
                         reject_reason="rvol")  # fmt: skip
    unknown = make_candidate(at=at("09:34"), symbol="NONE", scan_id=scan.id)
    with world.desk("09:34") as desk:
        desk.store.scans.add(scan)
        desk.store.candidates.add_many([late, out, unknown])
        desk.clock.set(at("16:20"))
        (first,) = outcomes(desk)
        assert (first.candidates, first.updated, first.without_prices) == (3, 2, 1)
        one = desk.store.candidates.get(late.id)
        # the high of 103 was before the scan: 102 is the highest after it
        assert (one.max_gain, one.max_drawdown, one.return_1d) == (pytest.approx(0.02), pytest.approx(-0.02), None)
        assert outcomes(desk)[0].updated == 0
        desk.clock.set(at("16:20") + timedelta(days=3))
        outcomes(desk)
        for id in (late.id, out.id):  # the first stage's rejects too
            one = desk.store.candidates.get(id)
            assert (one.return_1d, one.return_3d) == (pytest.approx(0.02), None)
            assert (one.max_gain, one.max_drawdown) == (pytest.approx(0.04), pytest.approx(-0.03))


def test_track_writes_the_best_and_worst_since_the_entry(world):
    with world.desk("09:31") as desk:
        bought(desk)
        passes(desk, "09:32", "09:35")
        desk.clock.set(at("10:00"))
        before = desk.store.marks.all()
        track(desk)
        (check,) = desk.store.position_checks.all()
        assert (check.high, check.low, check.high_at) == (D(103), D(98), at("09:34"))
        assert check.mfe == pytest.approx(float(D(103) / before_price(desk)) - 1)
        assert desk.store.marks.all()[0].high == before[0].high  # the trail is the exits' own business
        track(desk)
        assert len(desk.store.position_checks.all()) == 1


def before_price(desk):
    return desk.store.positions.open()[0].avg_price


def old_things(desk):
    scan = make_scan(at=at("09:35"))
    desk.store.scans.add(scan)
    desk.store.candidates.add(make_candidate(at=at("09:35"), scan_id=scan.id))
    first = {"passed": False, "score": None, "reject_reason": "rvol", "at": at("09:35"), "scan_id": scan.id}
    desk.store.candidates.add_many([
        make_candidate(symbol="DULL", features={"rvol": 1.1}, max_gain=0.02, **first),
        make_candidate(symbol="NONE", features={}, **first),
    ])  # fmt: skip
    run = make_run(id="old", started_at=at("09:35"), ended_at=at("09:36"), exit_code=0)
    desk.store.runs.add_many([run, msgspec.structs.replace(run, id="killed", ended_at=None)])
    check = dict.fromkeys(PositionCheck.__struct_fields__)
    check |= {"id": "c", "position_id": "p", "symbol": "AAPL", "session": DAY, "at": at("09:35")}
    desk.store.position_checks.add(PositionCheck(**check))
    desk.store.book_fill(make_fill(order_id=None))


def test_cleanup_counts_first_and_backs_up_before_it_takes(world):
    with world.desk("10:00") as desk:
        old_things(desk)
        desk.clock.set(at("10:00") + timedelta(days=91))
        desk.dry_run = True
        expected = {"position checks": 1, "run rows": 1, "features of untraded candidates": 1,
                    "features of first-stage rejects": 1}  # fmt: skip
        assert {each.what: each.rows for each in cleanup(desk)} == expected
        assert not list(desk.path.glob("backups/*")) and desk.store.position_checks.count() == 1
        desk.dry_run = False
        assert {each.what: each.rows for each in cleanup(desk)} == expected
        assert len(list(desk.path.glob("backups/*.db"))) == 1
        assert [run.id for run in desk.store.runs.all()] == ["killed"]
        assert desk.store.candidates.all()[0].features == {}
        dull, none = desk.store.candidates.rejected()
        assert (dull.symbol, dull.features, dull.reject_reason, dull.max_gain) == ("DULL", {}, "rvol", 0.02)
        assert none.symbol == "NONE"
        assert desk.store.fills.count() == 1
        assert sum(each.rows for each in cleanup(desk)) == 0
        assert len(list(desk.path.glob("backups/*.db"))) == 1


def test_what_is_younger_stays(world):
    with world.desk("10:00") as desk:
        old_things(desk)
        assert sum(each.rows for each in cleanup(desk, CleanupOptions("1d"))) == 0


@pytest.mark.parametrize("text", ["", "90", "0d", "-3d", "3m"])
def test_keep_is_a_number_of_days(text):
    with pytest.raises(UsageError):
        kept(text)


def test_a_pattern_is_the_sentence_without_its_numbers():
    text = "reversal 5: 98.2 is below SMA20 99 (2), RSI from 72 to 58 (1)"
    assert pattern_of(text) == pattern_of(text.replace("98.2", "17"))
