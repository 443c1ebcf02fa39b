"""Each rule just under, at and over its limit; numbers worked out by hand for 90 shares at 100 on a desk of 100,000."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.risk.book import AT, CLOSE, OPEN, D, book, halt, held, proposal, quote
from tradekit.config import RiskSettings
from tradekit.risk import checks, judge, refusal

NAN = float("nan")


def ago(seconds: float) -> Any:
    return AT - timedelta(seconds=seconds)


def views(n: int, **changes: Any) -> list[Any]:
    return [held(f"S{i}", notional=D(1000), **changes) for i in range(n)]


# (rule, settings, changes of the proposal, changes of the book, passes)
CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], bool]] = [
    ("kill-switch", {}, {}, {"halts": [halt()]}, False),
    ("kill-switch", {}, {}, {"halts": None}, False),
    ("kill-switch", {}, {}, {"halts": [halt(cleared_at=AT)]}, True),
    ("halt", {}, {}, {"halts": [halt("daily-loss")]}, False),
    ("halt", {}, {}, {"halts": [halt("something-new")]}, False),
    ("halt", {}, {}, {"halts": None}, False),
    ("daily-loss", {}, {}, {"day_pnl": D("-1999.99"), "equity": D("98000.01")}, True),
    ("daily-loss", {}, {}, {"day_pnl": D(-2000), "equity": D(98000)}, False),
    ("daily-loss", {"daily_loss": 0.01}, {}, {"day_pnl": D(-1000), "equity": D(99000)}, False),
    ("daily-loss", {}, {}, {"day_pnl": D(5000)}, True),
    ("daily-loss", {}, {}, {"day_pnl": None}, False),
    ("daily-loss", {}, {}, {"equity": None}, False),
    ("drawdown", {}, {}, {"drawdown": 0.0799}, True),
    ("drawdown", {}, {}, {"drawdown": 0.08}, False),
    ("drawdown", {}, {}, {"drawdown": None}, False),
    ("drawdown", {}, {}, {"drawdown": NAN}, False),
    ("consecutive-losses", {}, {}, {"loss_streak": 5}, True),
    ("consecutive-losses", {}, {}, {"loss_streak": 6}, False),
    ("reject-streak", {}, {}, {"reject_streak": 2}, True),
    ("reject-streak", {}, {}, {"reject_streak": 3}, False),
    ("market-open", {}, {}, {"at": OPEN}, True),
    ("market-open", {}, {}, {"at": OPEN - timedelta(seconds=1)}, False),
    ("market-open", {}, {}, {"at": CLOSE - timedelta(seconds=1)}, True),
    ("market-open", {}, {}, {"at": CLOSE}, False),
    ("market-open", {}, {}, {"session": None}, False),
    ("market-open", {}, {}, {"open_at": None}, False),
    ("market-open", {}, {"on_open": True}, {"at": OPEN - timedelta(seconds=180)}, True),  # 09:27
    ("market-open", {}, {"on_open": True}, {"at": OPEN - timedelta(seconds=120)}, False),  # 09:28
    ("market-open", {}, {"on_open": True}, {"at": OPEN}, False),
    ("market-open", {}, {}, {"around_the_clock": True, "open_at": None, "close_at": None}, True),
    ("too-late", {}, {}, {"at": CLOSE - timedelta(seconds=3601)}, True),
    ("too-late", {}, {}, {"at": CLOSE - timedelta(seconds=3600)}, False),
    ("too-late", {}, {"intent": "swing"}, {"at": CLOSE - timedelta(seconds=60)}, True),
    ("too-late", {}, {}, {"close_at": None}, False),
    ("halted", {}, {}, {"halted": frozenset({"AAPL"})}, False),
    ("halted", {}, {}, {"halted": frozenset({"MSFT"})}, True),
    ("reopened", {}, {}, {"reopened_at": {"AAPL": ago(299)}}, False),
    ("reopened", {}, {}, {"reopened_at": {"AAPL": ago(300)}}, True),
    ("stale-quote", {}, {}, {"quotes": {"AAPL": quote(at=ago(20), assumed=False)}}, True),
    ("stale-quote", {}, {}, {"quotes": {"AAPL": quote(at=ago(21), assumed=False)}}, False),
    ("stale-quote", {}, {}, {"bar_end": {"AAPL": ago(60)}}, True),  # fed by one-minute bars
    ("stale-quote", {}, {}, {"bar_end": {"AAPL": ago(61)}}, False),
    ("stale-quote", {}, {}, {"bar_end": {"AAPL": ago(300)}, "bar_seconds": {"AAPL": 300}}, True),
    ("stale-quote", {}, {}, {"bar_end": {"AAPL": ago(20)}, "bar_seconds": {"AAPL": 5}}, True),
    ("stale-quote", {}, {}, {"quotes": {}}, False),
    ("stale-quote", {}, {}, {"quotes": {"AAPL": quote(at=ago(-3600), assumed=False)}}, False),
    ("stale-quote", {}, {"on_open": True}, {"quotes": {}}, True),
    ("stale-bars", {}, {}, {"bar_end": {"AAPL": ago(120)}}, True),
    ("stale-bars", {}, {}, {"bar_end": {"AAPL": ago(121)}}, False),
    ("stale-bars", {}, {}, {"bar_end": {}}, False),
    ("stale-bars", {}, {}, {"bar_seconds": {}}, False),
    ("position-already-open", {}, {}, {"holdings": [held("AAPL")]}, False),
    ("position-already-open", {}, {}, {"holdings": [held("AAPL", working=True)]}, False),
    ("position-already-open", {}, {}, {"holdings": [held("MSFT")]}, True),
    ("closed-today", {}, {}, {"closed_today": frozenset({"AAPL"})}, False),
    ("closed-today", {"closed_today": False}, {}, {"closed_today": frozenset({"AAPL"})}, True),
    ("held-unmanaged", {}, {}, {"unmanaged": frozenset({"AAPL"})}, False),
    ("held-unmanaged", {"held_unmanaged": False}, {}, {"unmanaged": frozenset({"AAPL"})}, True),
    ("other-desk", {}, {}, {"other_desk": frozenset({"AAPL"})}, False),
    # a mid of 100, so that cents are basis points; a far stop keeps the second limit out of the way
    ("spread", {}, {"stop_price": D(90)}, {"quotes": {"AAPL": quote("99.85", "100.15")}}, True),
    ("spread", {}, {"stop_price": D(90)}, {"quotes": {"AAPL": quote("99.84", "100.16")}}, False),
    ("spread", {}, {"stop_price": D(90), "cap": None}, {"quotes": {"AAPL": quote("99.84", "100.16")}}, False),
    ("spread", {}, {"stop_price": D(90), "cap": "small"}, {"quotes": {"AAPL": quote("99.60", "100.40")}}, True),
    ("spread", {}, {"stop_price": D(90), "cap": "small"}, {"quotes": {"AAPL": quote("99.59", "100.41")}}, False),
    ("spread", {}, {"stop_price": D("99.20")}, {"quotes": {"AAPL": quote("99.90", "100.10")}}, True),  # 0.20 of 0.80
    ("spread", {}, {"stop_price": D("99.21")}, {"quotes": {"AAPL": quote("99.90", "100.10")}}, False),
    ("spread", {}, {"stop_price": None}, {"quotes": {"AAPL": quote("99.90", "100.10")}}, True),
    ("spread", {}, {}, {"quotes": {}}, False),
    ("spread", {}, {"on_open": True}, {"quotes": {}}, True),
    # spread 0.04 and fees 0.26 of 100, three times: 0.90
    ("room-to-profit", {}, {"target_price": D("100.90")}, {"fee_rate": 0.0026}, True),
    ("room-to-profit", {}, {"target_price": D("100.89")}, {"fee_rate": 0.0026}, False),
    # 2 shares: selling costs 0.01 for the SEC and 0.01 TAF, 0.01 % of 200; with the 0.04 % of spread, three times: 0.15
    ("room-to-profit", {}, {"target_price": D("100.15"), "qty": D(2), "fee_in": D(0), "fee_out": D("0.02")}, {}, True),
    ("room-to-profit", {}, {"target_price": D("100.14"), "qty": D(2), "fee_in": D(0), "fee_out": D("0.02")}, {}, False),
    ("room-to-profit", {}, {"target_price": D("100.15"), "fee_in": D(0), "fee_out": D(0)}, {"fee_rate": 0.1}, True),
    ("room-to-profit", {}, {"target_price": None}, {"fee_rate": 0.5}, True),
    ("room-to-profit", {}, {}, {"quotes": {}}, False),
    ("room-to-profit", {}, {}, {"fee_rate": NAN}, False),
    ("max-positions", {}, {}, {"holdings": views(5)}, True),
    ("max-positions", {}, {}, {"holdings": views(6)}, False),
    ("max-positions", {}, {}, {"holdings": [*views(5), held("NEW", working=True)]}, False),
    ("max-positions", {}, {}, {"holdings": [*views(5), held("S4", working=True)]}, True),  # the same symbol once
    ("max-per-cap", {"max_per_cap": 2}, {}, {"holdings": views(1)}, True),
    ("max-per-cap", {"max_per_cap": 2}, {}, {"holdings": views(2)}, False),
    ("max-per-cap", {"max_per_cap": 2}, {}, {"holdings": views(4, cap="small")}, True),
    ("max-per-cap", {"max_per_cap": 2}, {"cap": None}, {"holdings": views(2)}, True),
    ("max-per-cap", {"max_per_cap": 2}, {"listed": False}, {"holdings": views(2)}, True),
    ("max-per-cap", {"max_per_cap": 2}, {}, {"holdings": views(4, listed=False)}, True),
    ("max-per-cap", {}, {}, {"holdings": views(5)}, True),
    ("max-per-scan", {}, {}, {"entries_this_scan": 2}, True),
    ("max-per-scan", {}, {}, {"entries_this_scan": 3}, False),
    ("max-per-sector", {}, {}, {"holdings": views(1, sector="technology")}, True),
    ("max-per-sector", {}, {}, {"holdings": views(2, sector="technology")}, False),
    ("max-per-sector", {}, {"sector": None}, {"holdings": views(2, sector=None)}, True),
    ("position-size", {}, {"qty": D(100)}, {}, True),
    ("position-size", {}, {"qty": D("100.01")}, {}, False),
    ("position-size", {}, {"qty": D(1_000_000_000)}, {}, False),
    ("position-size", {}, {}, {"equity": None}, False),
    ("exposure", {}, {}, {"holdings": [held(notional=D(51000))]}, True),  # and 9,000: 60 %
    ("exposure", {}, {}, {"holdings": [held(notional=D(51001))]}, False),
    ("exposure", {}, {}, {"holdings": [held(notional=D(51001), working=True)]}, False),
    ("exposure", {}, {}, {"holdings": [held(notional=None)]}, False),
    ("exposure", {"exposure": 1.0, "exposure_cap": 0.5}, {}, {"holdings": [held(notional=D(41001))]}, False),
    ("exposure", {"exposure": 1.0, "exposure_cap": 0.5}, {}, {"holdings": [held(notional=D(41000))]}, True),
    ("strategy-risk", {}, {"qty": D(50), "stop_price": D(90)}, {}, True),  # 50 x 10 = 500
    ("strategy-risk", {}, {"qty": D(50), "stop_price": D("89.99")}, {}, False),
    ("strategy-risk", {}, {"stop_price": None}, {}, False),
    ("entries-per-day", {}, {}, {"entries_today": 11}, True),
    ("entries-per-day", {}, {}, {"entries_today": 12}, False),
    ("entries-per-day", {}, {}, {"entries_today": 11, "holdings": [held(working=True)]}, False),
    ("entries-per-symbol", {}, {}, {"entries_today_by_symbol": {"AAPL": 1}}, False),
    ("entries-per-symbol", {"entries_per_symbol": 2}, {}, {"entries_today_by_symbol": {"AAPL": 1}}, True),
    ("entries-per-symbol", {}, {}, {"entries_today_by_symbol": {"MSFT": 1}}, True),
    ("order-rate", {}, {}, {"recent_entry_orders": [(ago(59), f"S{i}") for i in range(19)]}, True),
    ("order-rate", {}, {}, {"recent_entry_orders": [(ago(59), f"S{i}") for i in range(20)]}, False),
    ("order-rate", {}, {}, {"recent_entry_orders": [(ago(60), f"S{i}") for i in range(20)]}, True),
    ("symbol-cooldown", {}, {}, {"last_closed_at": {"AAPL": ago(59)}}, False),
    ("symbol-cooldown", {}, {}, {"last_closed_at": {"AAPL": ago(60)}}, True),
    ("symbol-cooldown", {}, {}, {"last_closed_at": {"AAPL": ago(86399)}, "around_the_clock": True}, False),
    ("symbol-cooldown", {}, {}, {"last_closed_at": {"AAPL": ago(86400)}, "around_the_clock": True}, True),
    ("duplicate", {}, {}, {"recent_entry_orders": [(ago(59), "AAPL")]}, False),
    ("duplicate", {}, {}, {"recent_entry_orders": [(ago(60), "AAPL"), (ago(1), "MSFT")]}, True),
    ("liquidity", {}, {}, {"turnover": {"AAPL": 10_000_000.0}}, True),
    ("liquidity", {}, {}, {"turnover": {"AAPL": 9_999_999.0}}, False),
    ("liquidity", {}, {"cap": "small"}, {"turnover": {"AAPL": 3_000_000.0}}, True),
    ("liquidity", {}, {"cap": "small"}, {"turnover": {"AAPL": 2_999_999.0}}, False),
    ("liquidity", {}, {}, {"turnover": {}}, False),
    ("liquidity", {"min_turnover": 1.0}, {}, {"turnover": {"AAPL": 900_000.0}}, True),  # 9,000 is 1 %
    ("liquidity", {"min_turnover": 1.0}, {}, {"turnover": {"AAPL": 899_000.0}}, False),
    ("liquidity", {}, {}, {"recent_volume": {"AAPL": 900.0}}, True),
    ("liquidity", {}, {}, {"recent_volume": {"AAPL": 899.0}}, False),
    ("liquidity", {}, {}, {"recent_volume": {}}, False),
    ("liquidity", {}, {"on_open": True}, {"recent_volume": {}}, True),
    ("liquidity", {}, {"on_open": True}, {"recent_volume": {"AAPL": 0.0}}, True),  # an empty pre-market vetoed it
    ("liquidity", {}, {"on_open": True, "qty": D(5001)}, {"recent_volume": {"AAPL": 0.0}}, False),  # > 1 % a day
    ("price-collar", {}, {"limit_price": D(105), "reference": D(100)}, {}, True),
    ("price-collar", {}, {"limit_price": D("105.01"), "reference": D(100)}, {}, False),
    ("price-collar", {}, {"limit_price": D("94.99"), "reference": D(100)}, {}, False),
    ("restricted-list", {"restricted": ["AAPL"]}, {}, {}, False),
    ("restricted-list", {"allowed": ["MSFT"]}, {}, {}, False),
    ("restricted-list", {"allowed": []}, {}, {}, False),
    ("restricted-list", {"allowed": ["AAPL"]}, {}, {}, True),
    ("leveraged-funds", {}, {"kind": "leveraged"}, {}, False),
    ("leveraged-funds", {}, {"kind": "inverse"}, {}, False),
    ("leveraged-funds", {}, {"kind": "etf"}, {}, True),
    ("leveraged-funds", {"leveraged_funds": True}, {"kind": "leveraged"}, {}, True),
    ("buying-power", {}, {}, {"buying_power": D(9000)}, True),
    ("buying-power", {}, {}, {"buying_power": D("8999.99")}, False),
    ("buying-power", {}, {}, {"buying_power": D(9009), "fee_rate": 0.002}, True),  # 0.1 % on the way in
    ("buying-power", {}, {}, {"buying_power": D(9008), "fee_rate": 0.002}, False),
    ("buying-power", {}, {"fee_in": D(1), "fee_out": D(50)}, {"buying_power": D(9001)}, True),  # the sale pays its own
    ("buying-power", {}, {"fee_in": D("1.01")}, {"buying_power": D(9001)}, False),
    ("buying-power", {}, {}, {"buying_power": None}, False),
    ("regime", {}, {}, {"holdings": views(5)}, True),
    ("regime", {}, {}, {"holdings": views(3), "regime": "sideways"}, True),
    ("regime", {}, {}, {"holdings": views(4), "regime": "sideways"}, False),
    ("regime", {}, {}, {"holdings": views(4), "regime": "unknown"}, False),
    ("regime", {}, {}, {"holdings": views(2), "regime": "down"}, False),
    ("regime", {}, {}, {"regime": "dead"}, False),
    ("day-trade", {}, {}, {}, True),
    ("day-trade", {}, {}, {"day_trades_left": 1}, True),
    ("day-trade", {}, {}, {"day_trades_left": 0}, False),
    ("day-trade", {}, {"intent": "swing"}, {"day_trades_left": 0}, True),
    ("day-trade", {"day_trade_rule": "none"}, {}, {"day_trades_left": 0}, True),
    ("day-trade", {"day_trade_rule": "legacy"}, {}, {"equity": D(25000)}, True),
    ("day-trade", {"day_trade_rule": "legacy"}, {}, {"equity": D(24999)}, False),
    ("day-trade", {"day_trade_rule": "legacy"}, {}, {"equity": D(24999), "day_trades_left": 1}, True),
    ("day-trade", {"day_trade_rule": "settled-cash"}, {}, {"settled_cash": D(9000)}, True),
    ("day-trade", {"day_trade_rule": "settled-cash"}, {}, {"settled_cash": D(8999)}, False),
    ("day-trade", {"day_trade_rule": "settled-cash"}, {}, {}, False),
    ("exit-interval", {}, {"max_hold_s": 300}, {}, True),
    ("exit-interval", {}, {"max_hold_s": 299}, {}, False),
    ("max-order-notional", {"max_order_notional": D(9000)}, {}, {}, True),
    ("max-order-notional", {"max_order_notional": D("8999.99")}, {}, {}, False),
    ("finite-inputs", {}, {"qty": D(0)}, {}, False),
    ("finite-inputs", {}, {"qty": None}, {}, False),
    ("finite-inputs", {}, {"limit_price": D("NaN")}, {}, False),
    ("finite-inputs", {}, {"reference": D(-1)}, {}, False),
    ("finite-inputs", {}, {"stop_price": D(100)}, {}, False),
    ("finite-inputs", {}, {"target_price": D(100)}, {}, False),
    ("finite-inputs", {}, {"score": NAN}, {}, False),
    ("finite-inputs", {}, {"symbol": " "}, {}, False),
    ("finite-inputs", {}, {"intent": "forever"}, {}, False),
    ("finite-inputs", {}, {}, {"quotes": {"AAPL": quote("99.72", "99.68")}}, False),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "settings", "entry", "state", "passes"), CASES)
def test_a_rule_at_its_limit(rule, settings, entry, state, passes):
    verdicts = judge(proposal(**entry), book(**state), checks(RiskSettings(**settings)))
    found = next(v for v in verdicts if v.rule == rule)
    assert found.approved is passes, found.because
    assert "check failed" not in found.because
    if not passes:
        assert refusal(verdicts) is not None


def test_the_plain_entry_passes_every_rule():
    verdicts = judge(proposal(), book(), checks(RiskSettings()))
    assert refusal(verdicts) is None, refusal(verdicts)
    assert [v.rule for v in verdicts][:2] == ["kill-switch", "halt"]
    assert len({v.rule for v in verdicts}) == len(verdicts) == 42


def test_skipped_rules_say_so():
    verdicts = judge(proposal(sector=None, target_price=None), book(), checks(RiskSettings()))
    skipped = {v.rule for v in verdicts if v.skipped}
    assert {"max-per-sector", "room-to-profit", "max-per-cap", "correlation", "skip-buys-when-healthy"} <= skipped


@pytest.mark.parametrize(("scores", "age", "passes"), [
    ([2, 2, 2], 2100, False),
    ([2, 2, 3], 2100, True),     # one weakens
    ([2, 2, 2], 2101, True),     # scored too long ago
    ([2, 2, None], 60, True),    # never scored
    ([2, 2], 60, True),          # too few
])  # fmt: skip
def test_skip_buys_when_healthy(scores, age, passes):
    holdings = [held(f"S{i}", reversal_score=s, reversal_at=ago(age)) for i, s in enumerate(scores)]
    rules = checks(RiskSettings(skip_buys_when_healthy=True))
    found = {v.rule: v for v in judge(proposal(), book(holdings=holdings), rules)}
    assert found["skip-buys-when-healthy"].approved is passes


def test_correlation_refuses_the_same_bet_and_the_unknown_one():
    up_down = [0.01 if i % 2 else -0.01 for i in range(60)]
    slow = [0.01 if i % 4 < 2 else -0.01 for i in range(60)]
    rules = checks(RiskSettings(correlation=0.8))

    def says(returns):
        return {v.rule: v for v in judge(proposal(), book(holdings=[held()], returns=returns), rules)}["correlation"]

    assert not says({"AAPL": up_down, "MSFT": up_down}).approved
    assert says({"AAPL": up_down, "MSFT": slow}).approved
    assert says({"AAPL": up_down, "MSFT": [-x for x in up_down]}).approved
    assert not says({"AAPL": up_down}).approved
    assert not says({"AAPL": up_down, "MSFT": [0.0] * 60}).approved
    assert not says({"AAPL": up_down, "MSFT": [*up_down[1:], NAN]}).approved


def test_a_rule_that_breaks_down_vetoes_by_its_name(caplog):
    class Broken:
        name = "spread"

        def check(self, entry, book):
            raise ZeroDivisionError("division by zero")

    verdict = refusal(judge(proposal(), book(), [Broken()]))
    assert verdict is not None
    assert verdict.rule == "spread"
    assert "check failed" in verdict.because
    assert "ZeroDivisionError" in caplog.text


def test_a_gate_without_rules_lets_nothing_through():
    assert refusal(judge(proposal(), book(), [])) is not None


def test_a_veto_says_what_would_have_to_change():
    found = {v.rule: v.because for v in judge(proposal(qty=D(150)), book(loss_streak=7), checks(RiskSettings()))}
    assert found["position-size"] == "150 at 100 is 15.00 % of desk equity; at most 10.00 % would pass"
    assert found["consecutive-losses"] == (
        "7 losing trades in a row; entries stop at 6; `tradekit resume` starts a new count"
    )


def test_limits_are_plain_json_numbers():
    for verdict in judge(proposal(), book(halts=[halt()]), checks(RiskSettings())):
        for value in verdict.limits.values():
            assert not isinstance(value, Decimal), verdict.rule
