"""From the universe to closed trades; each stage foots by id: what came in went on, or was lost for a reason."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from typing import Any, ClassVar

from tradekit.model import Candidate, Decision, Order, Record, RiskCheck, Scan, Trade


class FunnelLine(Record, frozen=True, kw_only=True):
    """A stage: `into` (shown as `in`) = `out` + `lost`; `reasons` say where the lost went, `kinds` what the out are."""

    stage: str
    counts: str  # what is counted: symbols, candidates, decisions, positions
    into: int
    out: int
    lost: int
    reasons: dict[str, int]
    kinds: dict[str, int]

    COLUMNS: ClassVar = ("stage", "counts", "in", "out", "lost", "reasons", "kinds")

    def as_row(self) -> dict[str, Any]:
        """The line as it is printed."""
        values = (self.stage, self.counts, self.into, self.out, self.lost, self.reasons, self.kinds)
        return dict(zip(self.COLUMNS, values, strict=True))


class Funnel(Record, frozen=True, kw_only=True):
    """All stages of a session; `findings` are ids that do not foot (empty: all do)."""

    session: date | None
    lines: list[FunnelLine]
    findings: list[str]


def funnel(
    session: date | None,
    candidates: Sequence[Candidate],
    decisions: Sequence[Decision],
    checks: Sequence[RiskCheck],
    orders: Sequence[Order],
    trades: Sequence[Trade],
    *,
    scans: Sequence[Scan] = (),
    buy_types: Collection[str] | None = None,
) -> Funnel:
    """Foot one session by id. `trades` may be of later sessions; `buy_types` are the scans that may be bought."""
    about = [d for d in decisions if d.action in ("BUY", "WATCH", "SKIP")]
    entries = _by_decision(orders)
    closed = {trade.id: trade for trade in trades}
    book = _Footing()
    chosen = {d.candidate_id for d in about}
    types = {scan.id: scan.type for scan in scans}

    every = {c.id: c for c in candidates}
    scored = {c.id for c in candidates if c.score is not None or c.passed or c.id in chosen}
    passed = {c.id for c in candidates if c.passed or c.id in chosen}
    book.line("stage 1", "candidates", every, scored, lambda id: every[id].reject_reason or "rejected")
    book.line("stage 2", "candidates", scored, passed, lambda id: every[id].reject_reason or "rejected")

    of_candidate = {d.candidate_id: d.id for d in about if d.candidate_id is not None}
    decided = passed & of_candidate.keys()
    book.line("decide", "candidates", passed, decided, lambda id: undecided(types.get(every[id].scan_id), buy_types))

    found = {d.id: d for d in about}
    judged = {of_candidate[id] for id in decided}
    buys = {id for id in judged if found[id].action == "BUY"}
    book.line("buy", "decisions", judged, buys, lambda id: found[id].action)

    vetoes = first_vetoes(checks)
    ordered = {id for id in buys if id in entries}
    approved = ordered | {id for id in buys if found[id].status == "used" and id not in vetoes}
    book.line("risk gate", "decisions", buys, approved, lambda id: refusal(found[id], vetoes))
    book.line("order", "decisions", approved, ordered, lambda _: "no order was written")
    filled = {id for id in ordered if any(order.filled_qty > 0 for order in entries[id])}
    book.line("fill", "decisions", ordered, filled, lambda id: entries[id][-1].status)

    held = {entries[id][0].position_id or id for id in filled}
    done = held & closed.keys()
    book.line("close", "positions", held, done, lambda _: "still open", lambda id: closed[id].exit_reason)

    book.strays("decision", (d.id for d in about if d.candidate_id not in every), "has no candidate")
    book.strays("order", (o.id for o in orders if o.purpose == "entry" and o.decision_id not in found), "no decision")
    book.strays("scan", _short_scans(scans, candidates), "counted more symbols than it kept candidates")
    return Funnel(session=session, lines=book.lines, findings=book.findings)


class _Footing:
    """Collects the lines and what does not foot."""

    def __init__(self) -> None:
        self.lines: list[FunnelLine] = []
        self.findings: list[str] = []

    def line(
        self,
        stage: str,
        counts: str,
        into: Collection[str],
        out: Collection[str],
        reason: Callable[[str], str],
        kind: Callable[[str], str] | None = None,
    ) -> None:
        """One stage from the ids that came in and those that went on."""
        lost = sorted(set(into) - set(out))
        reasons = Counter(reason(id) for id in lost)
        kinds = Counter(kind(id) for id in sorted(out)) if kind else Counter()
        self.lines.append(
            FunnelLine(
                stage=stage,
                counts=counts,
                into=len(into),
                out=len(out),
                lost=len(lost),
                reasons=dict(reasons.most_common()),
                kinds=dict(kinds.most_common()),
            )  # fmt: skip
        )
        self.strays(stage, set(out) - set(into), "came out without having come in")
        if len(into) != len(out) + sum(reasons.values()):
            self.findings.append(f"{stage}: {len(into)} in, {len(out)} out, {sum(reasons.values())} lost")

    def strays(self, what: str, ids: Iterable[str], why: str) -> None:
        self.findings += [f"{what} {id}: {why}" for id in sorted(ids)]


def _by_decision(orders: Sequence[Order]) -> dict[str, list[Order]]:
    """Entry orders by decision, the tries in their order."""
    found: dict[str, list[Order]] = {}
    for order in sorted(orders, key=lambda order: (order.created_at, order.attempt)):
        if order.purpose == "entry" and order.decision_id is not None:
            found.setdefault(order.decision_id, []).append(order)
    return found


def first_vetoes(checks: Sequence[RiskCheck]) -> dict[str, str]:
    """The first veto of each decision."""
    found: dict[str, str] = {}
    for check in sorted(checks, key=lambda check: check.at):
        if check.verdict == "vetoed" and check.decision_id is not None:
            found.setdefault(check.decision_id, check.rule)
    return found


def undecided(scan_type: str | None, buy_types: Collection[str] | None) -> str:
    if buy_types is not None and scan_type is not None and scan_type not in buy_types:
        return f"{scan_type} scans only record"
    return "not decided"


def refusal(decision: Decision, vetoes: dict[str, str]) -> str:
    """Why a BUY became no order: the rule that vetoed it, else what it waits for or how it ended."""
    if decision.id in vetoes:
        return vetoes[decision.id]
    return {"pending": "not entered yet", "waiting": "waits for approval"}.get(decision.status, decision.status)


def _short_scans(scans: Sequence[Scan], candidates: Sequence[Candidate]) -> list[str]:
    """Scans that counted more symbols than there are candidates of them. Where two scans shared their minute a
    candidate of both is kept once, under the first: those cannot be told by counting.
    """
    rows = Counter(candidate.scan_id for candidate in candidates)
    minutes = Counter((scan.strategy, scan.at) for scan in scans)
    alone = [scan for scan in scans if minutes[scan.strategy, scan.at] == 1]
    return [scan.id for scan in alone if scan.counts.get("universe", 0) > rows[scan.id]]
