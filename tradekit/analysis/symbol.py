"""One symbol's history with this desk."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from statistics import fmean

from tradekit.model import Candidate, Decision, Record, Trade
from tradekit.money import ZERO


class SymbolHistory(Record, frozen=True, kw_only=True):
    """From scans to trades; money in the desk's currency, returns fractions, null where nothing is known."""

    symbol: str
    first: date | None
    last: date | None
    candidates: int
    passed: int
    rejected: dict[str, int]  # by filter
    decisions: dict[str, int]  # by action
    vetoes: dict[str, int]  # by rule
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    net: Decimal
    average_r: float | None
    average_hold_s: float | None
    exits: dict[str, int]
    best: Decimal | None
    worst: Decimal | None
    outcomes_known: int
    candidate_return_1d: float | None  # mean, traded or not
    candidate_max_gain: float | None
    average_score: float | None


def symbol_history(
    symbol: str,
    trades: Sequence[Trade],
    candidates: Sequence[Candidate],
    decisions: Sequence[Decision],
    vetoes: Sequence[str],
) -> SymbolHistory:
    """Count and average what the books know of a symbol."""
    days = [*(t.session for t in trades), *(c.session for c in candidates), *(d.session for d in decisions)]
    rs = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    returns = [c.return_1d for c in candidates if c.return_1d is not None]
    gains = [c.max_gain for c in candidates if c.max_gain is not None]
    scores = [c.score for c in candidates if c.score is not None]
    wins = sum(trade.net > 0 for trade in trades)
    return SymbolHistory(
        symbol=symbol,
        first=min(days, default=None),
        last=max(days, default=None),
        candidates=len(candidates),
        passed=sum(c.passed for c in candidates),
        rejected=dict(Counter(c.reject_reason or "rejected" for c in candidates if not c.passed).most_common()),
        decisions=dict(Counter(d.action for d in decisions).most_common()),
        vetoes=dict(Counter(vetoes).most_common()),
        trades=len(trades),
        wins=wins,
        losses=sum(trade.net < 0 for trade in trades),
        win_rate=wins / len(trades) if trades else None,
        net=sum((trade.net for trade in trades), ZERO),
        average_r=fmean(rs) if rs else None,
        average_hold_s=fmean(trade.hold_s for trade in trades) if trades else None,
        exits=dict(Counter(trade.exit_reason for trade in trades).most_common()),
        best=max((trade.net for trade in trades), default=None),
        worst=min((trade.net for trade in trades), default=None),
        outcomes_known=len(gains),
        candidate_return_1d=fmean(returns) if returns else None,
        candidate_max_gain=fmean(gains) if gains else None,
        average_score=fmean(scores) if scores else None,
    )
