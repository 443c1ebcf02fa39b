"""Which rules said no, how often, to whom, and what the refused would have done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean

from tradekit.model import Candidate, Decision, Record, RiskCheck, Scan


class VetoLine(Record, frozen=True, kw_only=True):
    """One rule. `said_no` counts verdicts (gate) or symbols in scans (scan); returns are of the refused, fractions."""

    stage: str  # gate: the risk rules; scan: the filters before a decision
    rule: str
    said_no: int
    share: float | None  # of what reached that stage
    decisions: int | None
    symbols: int | None
    sessions: int
    only_rule: int | None  # decisions that no other rule refused
    known_returns: int  # how many of the refused have an outcome
    return_1d: float | None  # mean
    max_gain: float | None  # mean
    because: str  # of the last one


def vetoes_report(
    checks: Sequence[RiskCheck],
    decisions: Mapping[str, Decision],
    candidates: Mapping[str, Candidate],
    scans: Sequence[Scan] = (),
) -> list[VetoLine]:
    """A line per rule, the one that said no most often first. `candidates` by id, those of the vetoed decisions."""
    asked = len({check.decision_id for check in checks if check.decision_id})
    by_rule: dict[str, list[RiskCheck]] = defaultdict(list)
    refused: dict[str, set[str]] = defaultdict(set)
    for check in checks:
        if check.verdict == "vetoed":
            by_rule[check.rule].append(check)
            refused[check.decision_id or check.id].add(check.rule)
    rows = [_gate(rule, found, asked, refused, decisions, candidates) for rule, found in by_rule.items()]
    rows += _scan(scans)
    return sorted(rows, key=lambda row: (row.stage, -row.said_no, row.rule))


def _gate(
    rule: str,
    found: Sequence[RiskCheck],
    asked: int,
    refused: Mapping[str, set[str]],
    decisions: Mapping[str, Decision],
    candidates: Mapping[str, Candidate],
) -> VetoLine:
    ids = {check.decision_id for check in found if check.decision_id}
    mine = [decisions[id] for id in ids if id in decisions]
    outcomes = [one for d in mine if (one := candidates.get(d.candidate_id or ""))]
    returns = [c.return_1d for c in outcomes if c.return_1d is not None]
    gains = [c.max_gain for c in outcomes if c.max_gain is not None]
    return VetoLine(
        stage="gate",
        rule=rule,
        said_no=len(found),
        share=len(ids) / asked if asked else None,
        decisions=len(ids),
        symbols=len({d.symbol for d in mine}),
        sessions=len({check.at.date() for check in found}),
        only_rule=sum(refused[id] == {rule} for id in ids),
        known_returns=len(gains),
        return_1d=fmean(returns) if returns else None,
        max_gain=fmean(gains) if gains else None,
        because=found[-1].because,
    )


def _scan(scans: Sequence[Scan]) -> list[VetoLine]:
    """The filters of the scans, from what each scan counted."""
    total: dict[str, int] = defaultdict(int)
    days: dict[str, set[object]] = defaultdict(set)
    universe = sum(scan.counts.get("universe", 0) for scan in scans)
    for scan in scans:
        for name, n in scan.counts.items():
            rule = name.removeprefix("reject.")
            if rule != name and n:
                total[rule] += n
                days[rule].add(scan.session)
    return [
        VetoLine(
            stage="scan",
            rule=rule,
            said_no=n,
            share=n / universe if universe else None,
            decisions=None,
            symbols=None,
            sessions=len(days[rule]),
            only_rule=None,
            known_returns=0,
            return_1d=None,
            max_gain=None,
            because=f"{n:,} of {universe:,} symbols looked at",
        )
        for rule, n in total.items()
    ]
