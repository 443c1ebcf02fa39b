"""At most once, never lost: what the desk does when an answer does not come, and what reconcile makes of it."""

from datetime import timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.world import NO_COSTS, World, at, decide, passes
from tradekit.desk.enter import EnterOptions, enter, raise_if_refused
from tradekit.desk.halts import HaltOptions, halt, resume
from tradekit.desk.liquidate import LiquidateOptions, liquidate
from tradekit.desk.monitor_exits import monitor_exits
from tradekit.desk.operate import PlanOptions, cancel, plan
from tradekit.desk.orders import new_order
from tradekit.desk.ownership import AdoptOptions, adopt, release
from tradekit.desk.reconcile import reconcile
from tradekit.errors import AmbiguousSend, Refused, UsageError

PLAN = {"stop": 0.01, "target": 0.026, "after_target": "arm-trail", "trail": 0.015}
HELD = NO_COSTS.replace("fees: []", "fees: [], holdings: {AAA: 500, ZZZ: 40}")


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    return world


class Deaf:
    """A venue in front of the real one that loses answers: `before` loses the request, `after` only the answer."""

    def __init__(self, venue, when: str, times: int = 1) -> None:
        self._venue, self._when, self._left, self.sent = venue, when, times, []

    def __getattr__(self, name):
        return getattr(self._venue, name)

    def submit(self, order):
        self.sent.append(order.client_order_id)
        if self._left:
            self._left -= 1
            if self._when == "after":
                self._venue.submit(order)
            raise AmbiguousSend("no answer in 10 s")
        return self._venue.submit(order)


def buy(desk, symbol="AAA", price=100.0, when="09:35"):
    desk.clock.set(at(when))
    decide(desk, symbol, price, **PLAN)
    return enter(desk, EnterOptions())


def writes(desk) -> int:
    return desk.store.db.raw.total_changes


def test_an_answer_that_is_lost_leaves_one_order(world):
    with world.desk() as desk:
        desk.__dict__["broker"] = deaf = Deaf(desk.broker, "after")
        (order,) = buy(desk).orders
        assert order.status == "unknown"
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "open"
        assert deaf.sent == [order.client_order_id]
        assert len(desk.broker.open_orders()) == 1


def test_a_request_that_is_lost_is_sent_again_under_its_id_while_the_decision_lives(world):
    with world.desk() as desk:
        desk.__dict__["broker"] = deaf = Deaf(desk.broker, "before")
        (order,) = buy(desk).orders
        reconcile(desk)  # the first absence
        assert desk.store.orders.get(order.id).status == "unknown"
        desk.clock.sleep(5)
        reconcile(desk)  # still inside the grace time
        assert desk.store.orders.get(order.id).status == "unknown"
        desk.clock.sleep(6)
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "open"
        assert deaf.sent == [order.client_order_id] * 2
        assert len(desk.broker.open_orders()) == 1


def test_a_lost_entry_whose_decision_is_over_expires(world):
    with world.desk() as desk:
        desk.__dict__["broker"] = deaf = Deaf(desk.broker, "before")
        (order,) = buy(desk).orders
        reconcile(desk)
        desk.clock.sleep(360)
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "expired"
        assert len(deaf.sent) == 1
        assert desk.broker.open_orders() == []


def test_an_intent_whose_writer_died_is_settled(world):
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        decision = decide(desk, "AAA", 100.0, **PLAN)
        order = new_order(
            desk, subject=decision.id, purpose="entry", symbol="AAA", side="buy", qty=D(10), type_="limit", tif="day",
            reason="entry", limit_price=D("100.3"), decision_id=decision.id,
        )  # fmt: skip
        desk.store.orders.add(order)
        desk.store.meta.set("account_id", desk.broker.account().account_id)
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "unknown"
        desk.clock.sleep(11)
        reconcile(desk)
        assert desk.store.orders.get(order.id).status == "open"


def test_a_lost_exit_is_sent_again_and_closes_the_position_once(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40)
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:40")
        desk.__dict__["broker"] = deaf = Deaf(desk.broker, "before")
        out = passes(desk, "09:41", "09:45")
        assert [(when, order.status) for when, order in out] == [("09:41", "unknown")]
        assert len(set(deaf.sent)) == 1
        (trade,) = desk.store.trades.all()
        assert (trade.exit_reason, trade.qty) == ("hard-stop", D(99))


def test_a_second_reconcile_writes_nothing(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:38")
        reconcile(desk)
        before = writes(desk)
        assert reconcile(desk) == []
        assert writes(desk) == before


def test_one_symbol_is_bought_once(world):
    with world.desk() as desk:
        buy(desk)
        monitor_exits(desk)
        desk.clock.set(at("09:36"))
        again = decide(desk, "AAA", 100.0, when=at("09:36"), **PLAN)
        found = enter(desk, EnterOptions(ids=(again.id,)))
        assert [veto.rule for veto in found.vetoes] == ["position-already-open"]
        with pytest.raises(Refused):
            raise_if_refused(found)
        # and the same decision cannot make a second order whatever the gate says
        first = desk.store.decisions.all()[0]
        twin = new_order(
            desk, subject=first.id, purpose="entry", symbol="AAA", side="buy", qty=D(1), type_="market", tif="day",
            reason="entry", decision_id=first.id,
        )  # fmt: skip
        assert twin.attempt == 1  # the first order is final: filled
        assert [o.purpose for o in desk.store.orders.all()] == ["entry", "protect"]


def test_a_closed_symbol_is_not_bought_again_today(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [(100, 100, 98.9, 99.2)] + [99] * 40)
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:45")
        desk.clock.set(at("09:50"))
        decide(desk, "AAA", 99.0, **PLAN)
        found = enter(desk, EnterOptions())
        assert (found.orders, [veto.rule for veto in found.vetoes]) == ([], ["closed-today"])


def test_a_repeat_of_a_pipe_prints_the_stored_orders(world):
    with world.desk() as desk:
        desk.clock.set(at("09:35"))
        decision = decide(desk, "AAA", 100.0, **PLAN)
        first = enter(desk, EnterOptions(ids=(decision.id,)))
        again = enter(desk, EnterOptions(ids=(decision.id,)))
        assert [order.id for order in first.orders] == [order.id for order in again.orders]
        assert len(desk.broker.open_orders()) == 1
        with pytest.raises(UsageError, match="no decision d-NOPE"):
            enter(desk, EnterOptions(ids=("d-NOPE",)))
        assert enter(desk, EnterOptions(ids=())).orders == []


def test_foreign_shares_are_never_sold_and_bar_an_entry(tmp_path):
    world = World(tmp_path / "d", HELD)
    world.add("AAA", [100] * 390)
    world.add("BBB", [50] * 390)
    world.add("ZZZ", [10] * 390)
    with world.desk() as desk:
        assert [veto.rule for veto in buy(desk).vetoes] == ["held-unmanaged"]
        buy(desk, "BBB", 50.0, when="09:36")
        passes(desk, "09:37", "09:38")
        liquidate(desk, LiquidateOptions(all_=True))
        passes(desk, "09:39", "09:41")
        assert desk.store.positions.open() == []
        assert {p.symbol: p.qty for p in desk.broker.positions()} == {"AAA": D(500), "ZZZ": D(40)}
        assert liquidate(desk, LiquidateOptions(all_=True)) == []
        with pytest.raises(UsageError, match="not managed by this desk"):
            liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        with pytest.raises(UsageError, match="no position"):
            liquidate(desk, LiquidateOptions(symbols=("QQQQ",)))


def test_adopted_shares_get_a_plan_and_a_stop_and_release_gives_them_back(tmp_path):
    world = World(tmp_path / "d", HELD)
    world.add("AAA", [100] * 390)
    world.add("ZZZ", [10] * 390)
    with world.desk() as desk:
        desk.clock.set(at("10:00"))
        position = adopt(desk, AdoptOptions("ZZZ"))
        assert (position.qty, position.avg_price) == (D(40), D(10))
        assert [(o.symbol, o.stop_price) for o in desk.store.orders.live()] == [("ZZZ", D("9.5"))]  # 5 % trail
        assert adopt(desk, AdoptOptions("ZZZ")).id == position.id
        release(desk, "ZZZ")
        assert desk.store.positions.open() == []
        assert desk.store.orders.live() == []
        assert desk.broker.open_orders() == []
        with pytest.raises(UsageError):
            release(desk, "ZZZ")
        with pytest.raises(UsageError, match="no shares that are not managed"):
            adopt(desk, AdoptOptions("BBB"))


def test_a_halt_refuses_entries_and_lets_exits_go(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        first = halt(desk, HaltOptions("news"))
        assert halt(desk, HaltOptions("again")).id == first.id
        assert [veto.rule for veto in buy(desk, "BBB", 50.0, when="09:38").vetoes] == ["kill-switch"]
        (order,) = liquidate(desk, LiquidateOptions(symbols=("AAA",)))
        assert (order.side, order.reason) == ("sell", "liquidate")
        assert [found.id for found in resume(desk)] == [first.id]
        assert resume(desk) == []


def test_a_halt_with_flatten_sells_at_the_next_pass(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        halt(desk, HaltOptions("out", flatten=True))
        assert [(when, order.reason) for when, order in passes(desk, "09:38", "09:40")] == [("09:38", "kill-switch")]
        assert desk.store.trades.all()[0].exit_reason == "kill-switch"


def test_shares_sold_by_hand_close_the_trade_as_external(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        venue = desk.broker

        class Emptied(Deaf):
            """Everything sold by hand: no positions, and an equity that is all cash."""

            def positions(self):
                return []

            def account(self):
                account = self._venue.account()
                return msgspec.structs.replace(account, equity=account.cash)

        desk.__dict__["broker"] = Emptied(venue, "after", 0)
        desk.clock.set(at("09:38"))
        reconcile(desk)
        assert desk.store.positions.open()  # one read is not enough
        desk.clock.sleep(11)
        reconcile(desk)
        (trade,) = desk.store.trades.all()
        assert trade.exit_reason == "external"
        assert "alert.external" in [event.kind for event in desk.store.events.alerts()]


def test_the_daily_loss_halts_entries_and_ends_with_the_session(tmp_path):
    world = World(tmp_path / "d", NO_COSTS.replace("risk: {", "risk: {daily_loss: 0.001, "))
    world.add("AAA", [100] * 10 + [(100, 100, 98, 98.2)] + [98] * 380)
    world.add("BBB", [50] * 390)
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:42")
        assert [(h.kind, h.flatten) for h in desk.store.halts.open()] == [("daily-loss", False)]
        assert buy(desk, "BBB", 50.0, when="09:43").vetoes[0].rule == "halt"
        desk.clock.set(at("09:31") + timedelta(days=3))
        reconcile(desk)
        assert desk.store.halts.open() == []


def test_the_operator_moves_a_stop_and_the_resting_order_follows(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        changed = plan(desk, PlanOptions("AAA", stop=99.5, target=105.0))
        assert (changed.stop_price, changed.target_price) == (D("99.5"), D(105))
        assert plan(desk, PlanOptions("AAA")).stop_price == D("99.5")
        with pytest.raises(UsageError, match="not below the price"):
            plan(desk, PlanOptions("AAA", stop=150.0))
        rests = [order.stop_price for order in desk.store.orders.live() if order.purpose == "protect"]
        assert rests == [D("98")]  # a disaster stop at 2 % or twice the distance: never moved down, here not up


def test_the_same_plan_twice_was_two_changes(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        first = plan(desk, PlanOptions("AAA", stop=99.5))
        assert plan(desk, PlanOptions("AAA", stop=99.5)) == first
        assert [event.kind for event in desk.store.events.all()].count("operator.plan") == 1
        plan(desk, PlanOptions("AAA", stop=99.4))
        assert [event.kind for event in desk.store.events.all()].count("operator.plan") == 2


def test_a_largest_discount_in_regular_hours_was_ignored_without_a_word(world):
    with world.desk() as desk:
        buy(desk)
        passes(desk, "09:36", "09:37")
        (order,) = liquidate(desk, LiquidateOptions(symbols=("AAA",), max_discount=0.01))
        assert order.type == "market"
        assert [text for text in desk.said if "--max-discount" in text]


def test_cancel_takes_an_entry_back(world):
    with world.desk() as desk:
        (order,) = buy(desk).orders
        assert cancel(desk, order.id).status == "cancelled"
        assert cancel(desk, order.client_order_id).status == "cancelled"
        with pytest.raises(UsageError, match="there is no order nope"):
            cancel(desk, "nope")
