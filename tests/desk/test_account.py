"""Equity, peak and drawdown; halts on a flat desk; what a scan may still buy; old prices."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from tests.desk.test_orders import PLAN, buy
from tests.desk.venues import Fake
from tests.desk.world import DAY, NO_COSTS, World, at, decide, passes
from tradekit.brokers.base import CashFlow
from tradekit.desk.day_trades import day_trades_left
from tradekit.desk.drawdown import fallen, note_peak, peak
from tradekit.desk.enter import EnterOptions, enter, propose
from tradekit.desk.halts import resume
from tradekit.desk.orders import new_order
from tradekit.desk.reconcile import reconcile
from tradekit.desk.state import account, streak_of_rejects


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    return world


def test_what_a_symbol_pays_in_money_is_booked_once_and_its_shares_are_not(world):
    """A dividend, the cash for a fraction after a split, and shares of somebody else's that came."""
    with world.desk() as desk:
        fake = Fake(desk)
        buy(desk)
        passes(desk, "09:36", "09:37")
        cash, now = desk.store.cash_delta(), desk.clock.now()
        flows = [
            CashFlow(ref="D1", at=now, kind="dividend", symbol="AAA", qty=None, amount=D("23.76")),
            CashFlow(ref="D2", at=now, kind="cash-in-lieu", symbol="AAA", qty=None, amount=D("0.50")),
            CashFlow(ref="D3", at=now, kind="hold", symbol="BBB", qty=D(5), amount=None),
        ]
        fake.cash_flows_since = lambda since: [*fake.venue.cash_flows_since(since), *flows]
        for _ in range(2):
            desk.clock.sleep(60)
            reconcile(desk)
        booked = [(row.id, row.kind, row.symbol, row.amount) for row in desk.store.adjustments.all() if row.symbol]
        assert booked == [("a-D1", "dividend", "AAA", D("23.76")), ("a-D2", "cash-in-lieu", "AAA", D("0.50"))]
        assert desk.store.cash_delta() - cash == D("24.26")
        assert desk.store.cash_delta(recount=True) == desk.store.cash_delta()
        assert [(p.symbol, p.qty) for p in desk.store.positions.open()] == [("AAA", D(99))]


def test_a_withdrawal_is_no_drawdown(world):
    with world.desk() as desk:
        reconcile(desk)
        assert account(desk).drawdown == 0.0
        note_peak(desk, D(0), D(100_000))
        desk.broker.deposit(D(-30_000))
        reconcile(desk)
        found = account(desk)
        assert (found.cash, found.desk_equity, found.drawdown) == (D(70_000), D(100_000), 0.0)  # base: the last close


def test_holdings_that_are_not_ours_move_no_drawdown(tmp_path):
    world = World(tmp_path / "d", NO_COSTS.replace("fees: []", "fees: [], holdings: {ZZZ: 1000}"))
    world.add("AAA", [100] * 390)
    world.add("ZZZ", [50] * 30 + [25] * 360)  # half of it is gone
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "10:10")
        assert account(desk).drawdown == pytest.approx(0.99 / 100_000, abs=1e-6)  # our own cent a share of spread


def test_drawdown_counts_from_the_peak_until_resume(world):
    with world.desk() as desk:
        note_peak(desk, D(5_000), D(105_000))
        note_peak(desk, D(4_000), D(104_000))  # no new high
        assert peak(desk) == (D(5_000), D(105_000))
        assert fallen(desk, D(-3_400), D(96_600)) == (D(105_000), pytest.approx(0.08))
        resume(desk)
        assert fallen(desk, D(-3_400), D(96_600)) == (D(96_600), 0.0)


def test_a_flat_desk_in_a_drawdown_is_halted_and_resume_lifts_it(world):
    with world.desk() as desk:
        reconcile(desk)
        note_peak(desk, D(10_000), D(100_000))  # ten per cent have gone since
        found = buy(desk)
        assert (found.orders, found.vetoes[0].rule) == ([], "halt")
        assert [row.kind for row in desk.store.halts.open()] == ["drawdown"]
        resume(desk)
        assert [order.symbol for order in buy(desk, "BBB", 50.0, when="09:36").orders] == ["BBB"]


def test_resume_ends_a_streak_that_never_had_a_halt_row(world):
    with world.desk() as desk:
        for i in range(3):
            desk.clock.set(at(f"09:4{i}"))
            decision = decide(desk, "AAA", 100.0, **PLAN)
            order = new_order(
                desk, subject=decision.id, purpose="entry", symbol="AAA", side="buy", qty=D(1), type_="market",
                tif="day", reason="entry", decision_id=decision.id,
            )  # fmt: skip
            desk.store.orders.add(order)
            desk.store.orders.change(order.id, status="rejected")
        assert streak_of_rejects(desk) == 3
        desk.clock.sleep(60)
        resume(desk)
        assert streak_of_rejects(desk) == 0


def test_the_limit_of_a_scan_holds_over_several_runs_of_enter(tmp_path):
    world = World(tmp_path / "d", NO_COSTS.replace("risk: {", "risk: {max_per_scan: 2, "))
    for symbol in ("AAA", "BBB", "CCC"):
        world.add(symbol, [20] * 390)
    with world.desk("09:35") as desk:
        for symbol in ("AAA", "BBB", "CCC"):
            decide(desk, symbol, 20.0, **PLAN)  # one time, so one scan
        rules = []
        for _ in range(3):
            found = enter(desk, EnterOptions(max_buys=1))
            rules += [veto.rule for veto in found.vetoes] or [order.symbol for order in found.orders]
        assert rules == ["AAA", "BBB", "max-per-scan"]


def test_the_legacy_counter_allows_three_day_trades_in_five_sessions(tmp_path):
    world = World(tmp_path / "d", NO_COSTS.replace("risk: {", "risk: {day_trade_rule: legacy, "))
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 380)
    with world.desk() as desk:
        assert day_trades_left(desk, DAY) == 3
        buy(desk)
        passes(desk, "09:36", "09:43")
        assert day_trades_left(desk, DAY) == 2
        assert day_trades_left(desk, DAY + timedelta(days=6)) == 2  # Thursday: the fifth session
        assert day_trades_left(desk, DAY + timedelta(days=7)) == 3


def test_a_stop_by_atr_is_the_stop_that_risk_counts_from(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    with world.desk("09:35") as desk:
        decision = decide(desk, "AAA", 100.0, stop=0.01, stop_atr=2.0)
        entry, veto = propose(desk, decision, D(100), D(100))
        assert veto is None and entry.stop_price == D(99)  # flat history: ATR 0, the fraction is the wider one
        unknown = decide(desk, "NEW", 100.0, stop=0.01, stop_atr=2.0)
        entry, veto = propose(desk, unknown, D(100), D(100))
        assert entry is None and "ATR14 of NEW is not known" in veto.because


def test_a_held_symbol_that_stands_still_refuses_entries_and_alerts(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 20)  # nothing after 09:50
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:51")
        assert account(desk).desk_equity is not None
        passes(desk, "09:52", "09:57")
        assert account(desk).desk_equity is None
        assert [e.symbol for e in desk.store.events.alerts() if e.kind == "alert.stale-data"] == ["AAA"]
        assert buy(desk, "BBB", 50.0, when="09:58").orders == []


def test_all_masters_at_their_target_end_the_day(tmp_path):
    world = World(tmp_path / "d", NO_COSTS.replace("risk: {", "risk: {stop_when_masters_hit: true, "))
    world.add("AAA", [100] * 10 + [(100, 103, 100, 103)] + [103] * 380)
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        import msgspec

        decision = decide(desk, "AAA", 100.0, stop=0.01, target=0.02)
        desk.store.db.run("UPDATE decisions SET master = 1 WHERE id = ?", [decision.id])
        assert msgspec.structs.asdict(desk.store.decisions.get(decision.id))["master"]
        enter(desk, EnterOptions())
        passes(desk, "09:36", "09:44")
        assert desk.store.trades.all()[0].exit_reason == "target"
        assert [row.kind for row in desk.store.halts.open()] == ["masters-hit"]
        assert buy(desk, "BBB", 50.0, when="09:45").vetoes[0].rule == "halt"
        desk.clock.set(at("09:31") + timedelta(days=3))
        reconcile(desk)
        assert desk.store.halts.open() == []
