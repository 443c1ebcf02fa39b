"""What the day's scans found and nobody bought, and what became of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from tradekit.model import Candidate, Decision, Order, Record, RiskCheck
from tradekit.reports.funnel import first_vetoes, refusal, undecided


class MissedLine(Record, frozen=True, kw_only=True):
    """A symbol that passed a scan and was not bought, at the first scan that it passed; fractions of that price."""

    id: str
    symbol: str
    strategy: str
    at: datetime
    price: Decimal | None
    score: float | None
    scans: int  # of the session that it passed
    why: str  # what kept it from being bought
    return_1d: float | None  # what it did after; null: not known yet
    return_5d: float | None
    max_gain: float | None
    max_drawdown: float | None


class RejectedLine(Record, frozen=True, kw_only=True):
    """Symbols that no scan let pass, by the reason of their last scan; means of fractions, null where none is known."""

    reason: str
    symbols: int
    known: int  # with an outcome
    return_1d: float | None
    max_gain: float | None
    max_drawdown: float | None
    best: str | None  # the symbol with the largest gain


def missed(
    candidates: Sequence[Candidate],
    decisions: Sequence[Decision],
    checks: Sequence[RiskCheck],
    orders: Sequence[Order],
    *,
    types: Mapping[str, str],
    buy_types: Collection[str] | None = None,
) -> tuple[list[MissedLine], list[RejectedLine]]:
    """What passed and was not bought, the largest gain after it first; then the rejected by reason, the most first.

    `orders` are entries, `types` the type of each scan by its id. A symbol that was bought that day was not missed.
    """
    filled = {order.decision_id for order in orders if order.filled_qty > 0}
    of_candidate = {d.candidate_id: d for d in decisions if d.candidate_id is not None}
    bought = {decision.symbol for decision in decisions if decision.id in filled}
    vetoes = first_vetoes(checks)

    def why(candidate: Candidate) -> str:
        decision = of_candidate.get(candidate.id)
        if decision is None:
            return undecided(types.get(candidate.scan_id), buy_types)
        if decision.action != "BUY":
            return decision.action
        tries = [order for order in orders if order.decision_id == decision.id]
        return f"order {tries[-1].status}" if tries else refusal(decision, vetoes)

    passed: dict[str, list[Candidate]] = {}
    last: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: c.at):
        if candidate.symbol in bought:
            continue
        if candidate.passed or candidate.id in of_candidate:
            passed.setdefault(candidate.symbol, []).append(candidate)
        last[candidate.symbol] = candidate
    lines = [_line(found, why(_told(found, of_candidate))) for found in passed.values()]
    lines.sort(key=lambda line: (line.max_gain is None, -(line.max_gain or 0.0), -(line.score or 0.0), line.symbol))
    groups: dict[str, list[Candidate]] = {}
    for symbol, candidate in last.items():
        if symbol not in passed:
            groups.setdefault(candidate.reject_reason or "rejected", []).append(candidate)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return lines, [_rejected(reason, found) for reason, found in ranked]


def _told(found: Sequence[Candidate], of_candidate: Mapping[str, Decision]) -> Candidate:
    """The one whose fate is told: that came furthest, BUY before a decision before none."""

    def came(candidate: Candidate) -> int:
        decision = of_candidate.get(candidate.id)
        return 0 if decision is None else 2 if decision.action == "BUY" else 1

    return max(found, key=came)


def _line(found: Sequence[Candidate], why: str) -> MissedLine:
    first = found[0]
    return MissedLine(
        id=first.id,
        symbol=first.symbol,
        strategy=first.strategy,
        at=first.at,
        price=first.price,
        score=first.score,
        scans=len(found),
        why=why,
        return_1d=first.return_1d,
        return_5d=first.return_5d,
        max_gain=first.max_gain,
        max_drawdown=first.max_drawdown,
    )


def _rejected(reason: str, found: Sequence[Candidate]) -> RejectedLine:
    known = [c for c in found if c.max_gain is not None]
    return RejectedLine(
        reason=reason,
        symbols=len(found),
        known=len(known),
        return_1d=_mean([c.return_1d for c in found]),
        max_gain=_mean([c.max_gain for c in found]),
        max_drawdown=_mean([c.max_drawdown for c in found]),
        best=max(known, key=lambda c: c.max_gain or 0.0).symbol if known else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
