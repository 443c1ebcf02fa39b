"""The day counts from the previous close: the same price there, nothing lost between close and midnight, splits."""

from datetime import timedelta
from decimal import Decimal as D

import numpy as np
import pytest

from tests.desk.test_orders import buy
from tests.desk.world import DAY, World, at, passes
from tests.make import make_fill
from tradekit.desk.day_pnl import cash_between, day_pnl, last_moment, pnl_at_close
from tradekit.desk.jobs import snapshot
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.performance import rebuilt_row
from tradekit.desk.reconcile import reconcile
from tradekit.desk.state import account
from tradekit.market.bars import BarStore
from tradekit.model import Adjustment

MONDAY = DAY + timedelta(days=3)


def monday(text: str):
    return at(text) + timedelta(days=3)


def hold(desk) -> None:
    """99 AAA bought at 100.01: 100 and half a tick of spread, rounded up."""
    buy(desk, "AAA", 100.0)
    desk.store.db.run("UPDATE orders SET plan = replace(plan, '\"day\"', '\"swing\"')")
    passes(desk, "09:36", "09:37")
    assert (desk.store.positions.open_for("AAA").qty, account(desk).daily_pnl) == (D(99), D("-0.99"))


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390 + [98] * 60)  # 98 after the close
    return world


def test_the_day_starts_at_the_price_that_the_close_was_counted_with(world):
    """The official close of 99.50 is another feed's price: with it the desk had 49.50 that the account had not."""
    world.add("AAA", [101] * 390, day=MONDAY)
    with BarStore(world.path / "bars.db", create=True) as store, store.writing() as writer:
        writer.daily("official", DAY.isoformat(), ["AAA"], np.array([[100.0], [100.0], [99.0], [99.5], [1e6]]))
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(monday("09:40"))
        reconcile(desk)
        found = account(desk)
        assert (found.daily_pnl, found.desk_equity) == (D(99), D("100098.01"))  # 99,999.01 at the close
        assert found.equity == found.desk_equity


def test_a_sale_after_the_close_counts_the_next_day(world):
    world.add("AAA", [98] * 390, day=MONDAY)
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(at("16:05"))
        liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        desk.clock.set(at("16:08"))
        reconcile(desk)
        assert [f.price for f in desk.store.fills.all() if f.side == "sell"] == [D("97.99")]
        desk.clock.set(monday("09:40"))
        reconcile(desk)
        found = account(desk)
        assert found.daily_pnl == D("-198.99")  # 99 x (97.99 - 100), the price at the close
        assert found.equity == found.desk_equity == D("99800.02")


def test_the_evening_snapshot_is_of_the_close(world):
    """What happens after the close is the next day's; otherwise it is in no day at all."""
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(at("16:05"))
        (row,) = snapshot(desk)
        assert (row.pnl, row.equity, row.desk_equity) == (D("-0.99"), D("99999.01"), D("99999.01"))
        assert (row.exposure, row.cash, row.positions) == (D(9900), D("90099.01"), 1)
        assert account(desk).daily_pnl == D("-198.99")  # at 98, as a rule sees it now


def test_the_evening_snapshot_knows_what_was_sold_since(world):
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(at("16:05"))
        liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        desk.clock.set(at("16:08"))
        (row,) = snapshot(desk)
        assert (row.pnl, row.equity, row.cash) == (D("-0.99"), D("99999.01"), D("90099.01"))
        assert (row.exposure, row.positions) == (D(9900), 1)


@pytest.mark.parametrize("when", [at("16:05"), monday("09:40")])
def test_a_row_of_an_open_session_is_made_final_by_the_next_snapshot(tmp_path, when):
    """A 24/7 desk takes its row five minutes before midnight: what they bring was in no row."""
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 385 + [101] * 5)
    world.add("AAA", [102] * 390, day=MONDAY)
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(at("15:50"))
        (early,) = snapshot(desk)
        assert (early.pnl, early.equity) == (D("-0.99"), D("99999.01"))
        desk.clock.set(when)
        found = snapshot(desk)[-1]
        friday = desk.store.days.on(DAY)
        assert friday.pnl == D("98.01")  # 99 x 0.99
        assert friday.equity == friday.desk_equity == D("100098.01")
        assert (friday.exposure, friday.positions, friday.cash) == (D(9999), 1, D("90099.01"))
        assert desk.store.account.all(session=DAY)[-1].daily_pnl == D("98.01")
        assert sum(row.pnl for row in desk.store.days.all()) == found.equity - 100_000  # nothing is in no row
        before = desk.store.db.raw.total_changes
        snapshot(desk)
        assert desk.store.db.raw.total_changes == before


def test_a_split_is_no_loss(world):
    """99 at 100 became 990 at 10: nothing is lost, and daily-loss stops nothing."""
    world.add("AAA", [10] * 390, day=MONDAY)
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(monday("09:40"))
        desk.store.book_adjustment(
            Adjustment(id="split-1", at=monday("09:31"), kind="split", symbol="AAA", qty=D(10), amount=None, ref=None)
        )
        assert desk.store.positions.open_for("AAA").qty == 990
        assert account(desk).daily_pnl == 0


def test_what_came_for_delisted_shares_is_the_day_s_result(world):
    """99 shares that closed at 100 were paid out at 5: neither the day nor daily-loss knew of the loss."""
    with world.desk() as desk:
        hold(desk)
        desk.clock.set(monday("09:40"))
        paid = Adjustment(
            id="c-1", at=monday("09:35"), kind="cash-in-lieu", symbol="AAA", qty=D(99), amount=D(495), ref=None
        )
        desk.store.book_adjustment(paid)
        assert desk.store.positions.open() == []
        assert account(desk).daily_pnl == 495 - 9900


def test_a_short_of_a_statement_wins_when_the_price_falls(world):
    with world.desk("16:05") as desk:
        sold = make_fill(
            id="f-s1", broker_fill_id="s1", order_id=None, symbol="AAA", side="sell", qty=D(10), price=D(110),
            fee=D("0.50"), at=at("09:31"), session=DAY,
        )  # fmt: skip
        desk.store.book_fill(sold)
        found = account(desk)
        assert found.daily_pnl == D("119.50")  # sold at 110, now at 98, less the fee
        assert found.drawdown == 0.0


@pytest.fixture
def all_day(tmp_path):
    """A 24/7 desk: AAA at 100 from 23:30 on, past midnight."""
    made = World(tmp_path / "d")
    path = made.path / "desk.yaml"
    path.write_text(path.read_text().replace("desk: {", "desk: {calendar: 24/7, timezone: UTC, "))
    made.add("AAA", [100] * 30, since="18:30")
    made.add("AAA", [100] * 30, since="-5:00", day=DAY + timedelta(days=1))
    return made


def test_a_fill_at_midnight_is_the_new_day_s(all_day):
    """An order of 23:59 fills at the open of the next bar, which is the moment when the old day ends."""
    with all_day.desk("18:59") as desk:
        midnight, day = at("18:00") + timedelta(hours=1), DAY + timedelta(days=1)
        desk.clock.set(midnight + timedelta(minutes=5))
        desk.store.book_fill(make_fill(symbol="AAA", qty=10, price=101, at=midnight, session=day))
        old, new = desk.calendar.on(DAY), desk.calendar.on(day)
        assert pnl_at_close(desk, old) == ([], {}, 0)
        held = desk.store.positions.open()
        assert day_pnl(desk, held, {"AAA": D(100)}, day=new.day) == -10
        assert cash_between(desk, last_moment(desk, old)) == -1010
        row = rebuilt_row(desk, old)
        assert (row.cash, row.positions) == (0, 0)
