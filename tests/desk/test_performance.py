"""Rows of sessions: a loss on the first day is a drawdown, money taken out is none, late rows change later ones."""

from datetime import date, timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.test_day_pnl import hold, monday
from tests.desk.world import DAY, World, at
from tests.make import make_adjustment
from tests.reports.evening import day_row
from tests.reports.test_tearsheet import a_sheet
from tradekit.desk.jobs import snapshot
from tradekit.desk.performance import SnapshotOptions, with_drawdowns
from tradekit.model import Performance
from tradekit.reports.performance import windows
from tradekit.reports.tearsheet import tearsheet

MONDAY = DAY + timedelta(days=3)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("AAA", [90] * 390, day=MONDAY)
    return world


def test_a_loss_on_the_first_day_is_a_drawdown_from_the_start(world):
    """99 bought at 100.01 and worth 100.00: 0.99 of 100,000 lost; the next day 990 more."""
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(at("16:05"))
        (first,) = snapshot(desk)
        assert (first.pnl, first.drawdown) == (D("-0.99"), pytest.approx(0.0000099, abs=1e-12))
        desk.clock.set(monday("16:05"))
        (second,) = snapshot(desk)
        assert second.drawdown == pytest.approx(0.0099099, abs=1e-9)  # 990.99 of 100,000


def day(n: int, pnl_pct: float | None) -> Performance:
    row = day_row(date(2026, 2, 2) + timedelta(days=n), 100_000, 0)
    return msgspec.structs.replace(row, pnl_pct=pnl_pct, drawdown=None)


def falls(desk) -> list[float | None]:
    return [row.drawdown for row in desk.store.days.all()]


def test_money_taken_out_is_no_drawdown_of_the_row(world):
    """30,000 of 100,000 went out overnight and the rest won 1 %."""
    with world.desk() as desk:
        desk.store.days.save(*with_drawdowns(desk, day(0, 0.0)))
        (row,) = with_drawdowns(desk, msgspec.structs.replace(day(1, 0.01), desk_equity=D(70_700)))
        assert row.drawdown == 0.0


def test_a_row_that_comes_late_changes_the_drawdown_of_those_after_it(world):
    """-10 %, then (late) -50 % between it and +20 %: 1 - 0.9 x 0.5 x 1.2 = 0.46 below the start."""
    with world.desk() as desk:
        for row in (day(0, -0.1), day(1, None), day(3, 0.2)):
            desk.store.days.save(*with_drawdowns(desk, row))
        assert falls(desk) == [pytest.approx(0.1), None, 0.0]
        late, *others = with_drawdowns(desk, day(2, -0.5))
        assert (late.drawdown, [row.session.day for row in others]) == (pytest.approx(0.55), [5])
        desk.store.days.save(late, *others)
        assert falls(desk) == [pytest.approx(0.1), None, pytest.approx(0.55), pytest.approx(0.46)]


def test_a_rebuilt_row_puts_right_what_stands_after_it(world):
    """Friday's row was lost: Monday's was counted as if the desk had begun that day."""
    with world.desk() as desk:
        paid = make_adjustment("deposit", amount=D(100_000), at=at("09:30") - timedelta(days=1))
        desk.store.book_adjustment(paid, session=DAY - timedelta(days=1))
        hold(desk)
        desk.clock.set(monday("16:05"))
        (second,) = snapshot(desk)
        assert second.drawdown == pytest.approx(990 / 99_999.01, abs=1e-9)
        (friday,) = snapshot(desk, SnapshotOptions(missing=True))
        assert (friday.session, friday.drawdown) == (DAY, pytest.approx(0.0000099, abs=1e-12))
        assert falls(desk)[-1] == pytest.approx(0.0099099, abs=1e-9)


def test_metrics_and_the_tear_sheet_count_the_first_day_too():
    rows = [day(0, -0.1), day(1, 0.05)]  # 0.9, 0.945: the peak is the start
    found = windows(rows)[0]
    assert (found.max_drawdown, found.longest_drawdown) == (pytest.approx(-0.1), 2)
    page = tearsheet(a_sheet(rows))
    assert "-10.00 %" in page
    drawn = page.split("<h2>Drawdown</h2>")[1].split('class="loss line" d="')[1].split('"')[0]
    assert drawn.count("M") == 1 and drawn.count("L") == 2  # from 0 at the start to the first day and on
