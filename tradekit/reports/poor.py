"""Trades that a reversal ended: which patterns come back, and what they cost."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from tradekit.model import PoorSignal, Record
from tradekit.money import ZERO


class Pattern(Record, frozen=True, kw_only=True):
    """Signs that ended trades together; net in the desk's currency."""

    pattern: str
    trades: int
    losses: int
    net: Decimal
    average_score: float | None  # of the candidates, 0 to 20
    average_reversal_score: float | None
    average_hold_s: float
    strategies: list[str]
    symbols: list[str]


def patterns(signals: Sequence[PoorSignal]) -> list[Pattern]:
    """A row per pattern, the one that cost most first."""
    groups: dict[str, list[PoorSignal]] = defaultdict(list)
    for signal in signals:
        groups[signal.pattern or "unknown"].append(signal)
    rows = []
    for name, found in groups.items():
        scores = [s.score for s in found if s.score is not None]
        reversals = [s.reversal_score for s in found if s.reversal_score is not None]
        rows.append(
            Pattern(
                pattern=name,
                trades=len(found),
                losses=sum(s.net < 0 for s in found),
                net=sum((s.net for s in found), ZERO),
                average_score=sum(scores) / len(scores) if scores else None,
                average_reversal_score=sum(reversals) / len(reversals) if reversals else None,
                average_hold_s=sum(s.hold_s for s in found) / len(found),
                strategies=sorted({s.strategy for s in found if s.strategy}),
                symbols=sorted({s.symbol for s in found}),
            )
        )
    return sorted(rows, key=lambda row: (row.net, row.pattern))
