"""What we did not buy, and what became of it: by the reason that kept us out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from statistics import fmean

from tradekit.analysis.statistics import mean_interval
from tradekit.model import Candidate, Decision, Record


class MissedLine(Record, frozen=True, kw_only=True):
    """A candidate that became no trade; fractions of its price."""

    id: str
    symbol: str
    session: date
    strategy: str
    score: float | None
    why: str
    return_1d: float | None
    return_5d: float | None
    max_gain: float | None
    max_drawdown: float | None


class WhyLine(Record, frozen=True, kw_only=True):
    """Candidates with one fate. Means with n; the first line, `traded`, is what the others compare with."""

    why: str
    candidates: int
    known: int  # with an outcome
    return_1d: float | None
    return_1d_n: int
    low: float | None  # 95 % interval of return_1d
    high: float | None
    return_5d: float | None
    max_gain: float | None
    max_drawdown: float | None
    gained_2pct: float | None  # share with max_gain of at least 2 %


def missed(
    candidates: Sequence[Candidate],
    decisions: Mapping[str, Decision],
    vetoes: Mapping[str, str],
    traded: set[str],
    *,
    most: int = 20,
) -> tuple[list[WhyLine], list[MissedLine]]:
    """Lines by reason, and the `most` best that were missed. `decisions` by candidate id, `vetoes` (the first rule)
    by decision id, `traded` are the candidates that were bought.
    """
    groups: dict[str, list[Candidate]] = defaultdict(list)
    fates = {c.id: fate(c, decisions.get(c.id), vetoes, traded) for c in candidates}
    for candidate in candidates:
        groups[fates[candidate.id]].append(candidate)
    names = sorted(groups, key=lambda name: (name != "traded", -len(groups[name]), name))
    out = [c for c in candidates if fates[c.id] != "traded" and c.max_gain is not None]
    out.sort(key=lambda c: -(c.max_gain or 0))
    return [_why(name, groups[name]) for name in names], [_line(c, fates[c.id]) for c in out[:most]]


def fate(c: Candidate, decision: Decision | None, vetoes: Mapping[str, str], traded: set[str]) -> str:
    """How far a candidate came: `traded`, or what kept it from that."""
    if c.id in traded:
        return "traded"
    if decision is None:
        return "not decided" if c.passed else f"scan: {c.reject_reason or 'rejected'}"
    if decision.action != "BUY":
        return f"decide: {decision.action}"
    return f"gate: {vetoes[decision.id]}" if decision.id in vetoes else f"order: {decision.status}"


def _why(name: str, found: Sequence[Candidate]) -> WhyLine:
    day = [c.return_1d for c in found if c.return_1d is not None]
    week = [c.return_5d for c in found if c.return_5d is not None]
    gains = [c.max_gain for c in found if c.max_gain is not None]
    falls = [c.max_drawdown for c in found if c.max_drawdown is not None]
    low, high = mean_interval(day) or (None, None)
    return WhyLine(
        why=name,
        candidates=len(found),
        known=len(gains),
        return_1d=fmean(day) if day else None,
        return_1d_n=len(day),
        low=low,
        high=high,
        return_5d=fmean(week) if week else None,
        max_gain=fmean(gains) if gains else None,
        max_drawdown=fmean(falls) if falls else None,
        gained_2pct=sum(gain >= 0.02 for gain in gains) / len(gains) if gains else None,
    )


def _line(c: Candidate, why: str) -> MissedLine:
    return MissedLine(
        id=c.id,
        symbol=c.symbol,
        session=c.session,
        strategy=c.strategy,
        score=c.score,
        why=why,
        return_1d=c.return_1d,
        return_5d=c.return_5d,
        max_gain=c.max_gain,
        max_drawdown=c.max_drawdown,
    )
