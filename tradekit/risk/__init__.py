"""The risk gate: one rule a file, asked in one order, every answer kept. Exits pass a gate of their own."""

import logging
from collections.abc import Sequence
from decimal import Decimal

from tradekit.config import RiskSettings
from tradekit.risk.base import Book, Check, Proposal, Verdict
from tradekit.risk.buying_power import BuyingPower
from tradekit.risk.closed_today import ClosedToday
from tradekit.risk.consecutive_losses import ConsecutiveLosses
from tradekit.risk.correlation import Correlation
from tradekit.risk.daily_loss import DailyLoss
from tradekit.risk.day_trade import DayTrade
from tradekit.risk.drawdown import Drawdown
from tradekit.risk.duplicate import Duplicate
from tradekit.risk.entries_per_day import EntriesPerDay
from tradekit.risk.entries_per_symbol import EntriesPerSymbol
from tradekit.risk.exit_interval import ExitInterval
from tradekit.risk.exposure import Exposure
from tradekit.risk.finite_inputs import FiniteInputs
from tradekit.risk.halt import OpenHalt
from tradekit.risk.halted import Halted
from tradekit.risk.held_unmanaged import HeldUnmanaged
from tradekit.risk.kill_switch import KillSwitch
from tradekit.risk.leveraged_funds import LeveragedFunds
from tradekit.risk.liquidity import Liquidity
from tradekit.risk.market_open import MarketOpen
from tradekit.risk.max_order_notional import MaxOrderNotional
from tradekit.risk.max_per_cap import MaxPerCap
from tradekit.risk.max_per_scan import MaxPerScan
from tradekit.risk.max_per_sector import MaxPerSector
from tradekit.risk.max_positions import MaxPositions
from tradekit.risk.order_rate import OrderRate
from tradekit.risk.other_desk import OtherDesk
from tradekit.risk.position_already_open import PositionAlreadyOpen
from tradekit.risk.position_size import PositionSize
from tradekit.risk.price_collar import PriceCollar
from tradekit.risk.regime import Regime
from tradekit.risk.reject_streak import RejectStreak
from tradekit.risk.reopened import Reopened
from tradekit.risk.restricted_list import RestrictedList
from tradekit.risk.room_to_profit import RoomToProfit
from tradekit.risk.skip_buys_when_healthy import SkipBuysWhenHealthy
from tradekit.risk.spread import Spread
from tradekit.risk.stale_bars import StaleBars
from tradekit.risk.stale_quote import StaleQuote
from tradekit.risk.strategy_risk import StrategyRisk
from tradekit.risk.symbol_cooldown import SymbolCooldown
from tradekit.risk.too_late import TooLate
from tradekit.risk.verdicts import approve, is_positive, veto

__all__ = ["checks", "exit_gate", "judge", "refusal"]

log = logging.getLogger(__name__)


def checks(settings: RiskSettings, *, reversal_alert: int = 3, currency: str = "USD") -> tuple[Check, ...]:
    """Every rule of the gate in its order, set up as desk.yaml says; the first veto is the one that is shown."""
    return (
        *_desk_checks(settings),
        *_symbol_checks(settings),
        *_count_checks(settings, reversal_alert),
        *_size_checks(settings, currency),
        *_market_checks(settings, currency),
    )


def judge(entry: Proposal, book: Book, rules: Sequence[Check]) -> list[Verdict]:
    """What every rule says; the entry passes only if all approve. A rule that breaks down vetoes."""
    return [_ask(rule, entry, book) for rule in rules]


def refusal(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The first veto, None where all approved. No verdicts at all are a veto too: nobody has looked."""
    if not verdicts:
        return veto("finite-inputs", "no risk rule was asked; an entry needs a gate")
    return next((verdict for verdict in verdicts if not verdict.approved), None)


def exit_gate(qty: Decimal, sellable: Decimal, price: Decimal | None, *, in_session: bool = True) -> Verdict:
    """May this sell go out? Only owned shares, sound numbers and a session matter; `price` None: a market order."""
    numbers = {"qty": qty, "sellable": sellable, "price": price}
    if not is_positive(qty) or not (price is None or is_positive(price)):
        return veto(
            "finite-inputs",
            f"a sell of {qty} at {price} is no order; give sound numbers",
            **numbers,
        )
    if not is_positive(sellable) or qty > sellable:
        return veto(
            "owned",
            f"{qty} asked, {sellable} are the desk's to sell; sell at most that",
            **numbers,
        )
    if not in_session:
        return veto("market-open", "no session to sell in; queue it for the open", **numbers)
    return approve("owned", f"{qty} of {sellable} sellable shares", **numbers)


def _ask(rule: Check, entry: Proposal, book: Book) -> Verdict:
    try:
        return rule.check(entry, book)
    except Exception as error:  # a broken rule must refuse, not let through
        log.exception("risk rule %s broke down on %s", rule.name, entry.symbol)
        return veto(
            rule.name,
            f"check failed ({type(error).__name__}: {error}); entries are refused until it works",
        )


def _desk_checks(s: RiskSettings) -> tuple[Check, ...]:
    """Is anybody to trade at all?"""
    return (
        KillSwitch(),
        OpenHalt(),
        FiniteInputs(),
        DailyLoss(s.daily_loss),
        Drawdown(s.drawdown),
        ConsecutiveLosses(s.consecutive_losses),
        RejectStreak(s.reject_streak),
        MarketOpen(),
        TooLate(s.too_late_s),
    )


def _symbol_checks(s: RiskSettings) -> tuple[Check, ...]:
    """Is this symbol to be traded now?"""
    return (
        RestrictedList(tuple(s.restricted), None if s.allowed is None else tuple(s.allowed)),
        LeveragedFunds(not s.leveraged_funds),
        HeldUnmanaged(s.held_unmanaged),
        OtherDesk(),
        PositionAlreadyOpen(),
        ClosedToday(s.closed_today),
        EntriesPerSymbol(s.entries_per_symbol),
        Duplicate(s.duplicate_s),
        SymbolCooldown(s.symbol_cooldown_s, s.close_cooldown_s),
        Halted(),
        Reopened(s.reopen_wait_s),
    )


def _count_checks(s: RiskSettings, reversal_alert: int) -> tuple[Check, ...]:
    """Does the desk have a place for it?"""
    return (
        MaxPositions(s.max_positions),
        Regime(s.regime),
        MaxPerScan(s.max_per_scan),
        MaxPerCap(s.max_per_cap),
        MaxPerSector(s.max_per_sector),
        Correlation(s.correlation, s.correlation_days),
        SkipBuysWhenHealthy(
            s.skip_buys_when_healthy,
            s.healthy_positions,
            s.healthy_within_s,
            reversal_alert,
        ),
        EntriesPerDay(s.entries_per_day),
        OrderRate(s.order_rate),
        ExitInterval(s.exit_interval_multiple),
    )


def _size_checks(s: RiskSettings, currency: str) -> tuple[Check, ...]:
    """Is it small enough?"""
    return (
        MaxOrderNotional(s.max_order_notional, currency),
        PositionSize(s.position_size),
        StrategyRisk(s.strategy_risk),
        Exposure(s.exposure, s.exposure_cap),
        BuyingPower(currency),
        DayTrade(s.day_trade_rule, currency, s.legacy_equity),
    )


def _market_checks(s: RiskSettings, currency: str) -> tuple[Check, ...]:
    """Is the price fresh, fair and liquid?"""
    return (
        StaleBars(s.stale_bars),
        StaleQuote(s.stale_quote_s),
        PriceCollar(s.price_collar),
        Spread(s.spread, s.spread_small, s.spread_of_stop),
        RoomToProfit(s.room_to_profit),
        Liquidity(
            s.min_turnover,
            s.min_turnover_small,
            s.turnover_share,
            s.recent_volume_share,
            currency,
            s.turnover_sessions,
        ),
    )
