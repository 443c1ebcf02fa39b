"""decide: candidates -> BUY, WATCH or SKIP, held positions -> CLOSE or HOLD, each stored with its sentence.

approve and skip answer for a human.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches

from msgspec import structs

from tradekit.decide.plan import entry_plan
from tradekit.decide.rules import Verdict, hold_or_close, rules
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.scan import RESCAN
from tradekit.errors import Refused, UsageError
from tradekit.ids import close_id, decision_id, stamp
from tradekit.model import Candidate, Decision, ExitPlan, Mark, Position
from tradekit.scan.rank import rank

BY = ("rules", "human")


@dataclass(frozen=True)
class DecideOptions:
    """`by` None: as desk.yaml says. `ids` None: held positions and the session's undecided candidates; empty: none.

    `type`: only the candidates of scans of this type, and no positions.
    """

    by: str | None = None
    ids: tuple[str, ...] | None = None
    type: str | None = None


def decide(desk: Desk, options: DecideOptions) -> list[Decision]:
    """Decide held positions, then candidates in the order of buys; what is named by ids are candidates only.

    A candidate is decided once, a position once per reversal score: a repeat gives the stored decisions.
    Raises UsageError for a candidate that the store does not hold, before anything is written.
    """
    by = decider(desk, options.by)
    if options.ids is not None:
        return of_candidates(desk, named(desk, options.ids), by, piped=True)
    held = of_positions(desk, by) if options.type is None else []
    wanted = [one for one in undecided(desk) if options.type in (None, scan_type(desk, one))]
    if not held and not wanted:
        return of_this_minute(desk)
    return [*held, *of_candidates(desk, wanted, by, piped=False)]


def of_candidates(desk: Desk, wanted: Sequence[Candidate], by: str, *, piped: bool) -> list[Decision]:
    """The decisions about these candidates, new ones written."""
    kept = [desk.store.decisions.for_candidate(candidate.id) for candidate in wanted]
    new = [candidate for candidate, known in zip(wanted, kept, strict=True) if known is None]
    made = {d.candidate_id: d for d in with_masters(desk, [decided(desk, c, by, piped) for c in new])}
    write(desk, list(made.values()))
    return [known or made[candidate.id] for candidate, known in zip(wanted, kept, strict=True)]


def of_positions(desk: Desk, by: str) -> list[Decision]:
    """New decisions about what is held: CLOSE or HOLD, one for each time that `jobs track` scored the position."""
    marks, found = desk.store.marks.of_open(), []
    for position in desk.store.positions.open():
        mark = marks.get(position.id)
        if mark is None or mark.reversal_score is None or mark.reversal_at is None:
            continue  # never scored, or its bars were missing: the exit rules go on without a decision
        id = close_id(position.id, mark.reversal_at)
        if desk.store.decisions.get(id) is None:
            found.append(held_or_closed(desk, id, position, mark, by))
    write(desk, found)
    return found


def held_or_closed(desk: Desk, id: str, position: Position, mark: Mark, by: str) -> Decision:
    """One decision about a held position. A CLOSE of the rules does not expire: an exit must not get lost."""
    now, score = desk.clock.now(), mark.reversal_score or 0
    check = desk.store.position_checks.get(f"{position.id}-{stamp(mark.reversal_at or now)}")
    verdict = hold_or_close(score, close_score=desk.settings.exits.reversal_close, seen=check.signs if check else None)
    closes = verdict.action == "CLOSE"
    asks = closes and by == "human"
    return Decision(
        id=id,
        candidate_id=None,
        position_id=position.id,
        session=desk.calendar.day(now),
        at=now,
        expires_at=now + timedelta(seconds=desk.settings.decide.human_expires_s) if asks else None,
        symbol=position.symbol,
        action=verdict.action,
        by=by,
        score=float(score),
        conviction=None,
        intent=position.intent,
        stop_price=None,
        target_price=None,
        order_kind="limit",
        because=verdict.because,
        status="waiting" if asks else "pending" if closes else "used",
        strategy=position.strategy,
        cap=position.cap,
        price=mark.last_price,
    )


def decider(desk: Desk, by: str | None) -> str:
    """Who decides. UsageError for somebody that this desk does not have."""
    word = by or desk.settings.decide.by
    if word not in BY:
        near = get_close_matches(word, BY, 1)
        raise UsageError(
            f"decide --by {word}: nobody of that name decides here",
            f"did you mean {near[0]}?" if near else f"one of: {', '.join(BY)}",
        )
    return word


def named(desk: Desk, ids: Sequence[str]) -> list[Candidate]:
    """The stored candidates of these ids, in the order of buys."""
    found = []
    for name in dict.fromkeys(ids):
        candidate = desk.store.candidates.get(name)
        if candidate is None:
            raise UsageError(
                f"{name} is not a candidate of this desk",
                "tradekit candidates lists them; what --dry-run prints is not stored",
            )
        found.append(candidate)
    return sorted(found, key=rank)


def undecided(desk: Desk) -> list[Candidate]:
    """Candidates of today's session that passed and were never decided, in the order of buys."""
    today = desk.calendar.day(desk.clock.now())
    return sorted(desk.store.candidates.undecided(today, None), key=rank)


def of_this_minute(desk: Desk) -> list[Decision]:
    """What a run of the same minute decided: there is nothing new, so it is shown again."""
    now = desk.clock.now()
    found = desk.store.decisions.all(session=desk.calendar.day(now))
    made = [d for d in found if stamp(d.at) == stamp(now) and (d.candidate_id or d.position_id)]
    return [d for d in made if d.position_id] + [d for d in made if not d.position_id]


def decided(desk: Desk, candidate: Candidate, by: str, piped: bool) -> Decision:
    """One decision. Where the clock stands at records, a piped candidate is decided at its own time."""
    at = candidate.at if piped and desk.clock.stands_at_records else desk.clock.now()
    strategy = desk.strategies[candidate.strategy]
    moo = getattr(strategy, "order_kind", "limit") == "moo"
    rescanned = scan_type(desk, candidate) == RESCAN
    verdict = judged(desk, candidate, at, moo)
    if rescanned and verdict.action == "BUY" and (known := bought_today(desk, candidate)) is not None:
        verdict = verdict._replace(action="SKIP", because=f"decided today: {known.id} is {known.status}")
    if rescanned and verdict.action == "BUY":
        by = "human"
    plan = entry_plan(
        exits_of(strategy, verdict.conviction), desk.settings.exits.plans.get(candidate.strategy), candidate
    )
    waits = by == "human" and verdict.action == "BUY"
    return Decision(
        id=decision_id(candidate.id),
        candidate_id=candidate.id,
        position_id=None,
        session=desk.calendar.day(at),
        at=at,
        expires_at=expiry(desk, at, moo, by) if verdict.action == "BUY" else None,
        symbol=candidate.symbol,
        action=verdict.action,
        by=by,
        score=candidate.score,
        conviction=verdict.conviction,
        intent=plan["intent"],
        stop_price=candidate.stop_price,
        target_price=candidate.target_price,
        order_kind="moo" if moo else "limit",
        because=verdict.because,
        status="waiting" if waits else "pending" if verdict.action == "BUY" else "used",
        strategy=candidate.strategy,
        cap=candidate.cap,
        price=candidate.price,
        rvol=candidate.features.get("surge"),
        plan=plan,
    )


def scan_type(desk: Desk, candidate: Candidate) -> str | None:
    """Which scan of the day found it; None: its scan is not in the store."""
    scan = desk.store.scans.get(candidate.scan_id)
    return None if scan is None else scan.type


def bought_today(desk: Desk, candidate: Candidate) -> Decision | None:
    """The session's BUY of the same symbol, whatever became of it: nobody is asked twice a day."""
    made = desk.store.decisions.all(session=candidate.session)
    return next((d for d in made if d.symbol == candidate.symbol and d.action == "BUY"), None)


def exits_of(strategy: object, conviction: float | None) -> ExitPlan:
    """A strategy's exit plan; some aim higher where conviction is high."""
    exits_at = getattr(strategy, "exits_at", None)
    found: ExitPlan = exits_at(conviction or 0.0) if exits_at else strategy.exits  # type: ignore[attr-defined]
    return found


def judged(desk: Desk, candidate: Candidate, at: datetime, moo: bool) -> Verdict:
    """The rules' verdict, and what the desk's clock and settings say against a BUY."""
    settings = desk.settings.decide
    verdict = rules(
        candidate,
        buy_score=settings.buy_score,
        watch_score=settings.watch_score,
        base=settings.conviction_base,
        step=settings.conviction_step,
    )
    if verdict.action != "BUY":
        return verdict
    kind = scan_type(desk, candidate)
    age = at - candidate.at
    if kind is not None and kind not in (RESCAN, *desk.settings.scan.buy_types):
        return verdict._replace(action="WATCH", because=f"a {kind} scan only records; {verdict.because}")
    if desk.calendar.day(at) != candidate.session:
        return verdict._replace(action="SKIP", because=f"it is of the session {candidate.session}: scan again")
    if moo:
        return judged_for_the_open(desk, verdict, at)
    if age > timedelta(seconds=settings.stale_s):
        minutes = age.total_seconds() // 60
        return verdict._replace(action="SKIP", because=f"scanned {minutes:.0f} minutes ago: scan again")
    return verdict


def judged_for_the_open(desk: Desk, verdict: Verdict, at: datetime) -> Verdict:
    """Market-on-open: no entry below the floor of conviction, and none once the session is open."""
    floor = desk.settings.decide.conviction_floor
    session = desk.calendar.on(desk.calendar.day(at))
    if session is None or at >= session.open:
        return verdict._replace(action="SKIP", because=f"the session is open already; {verdict.because}")
    if (verdict.conviction or 0.0) < floor:
        return verdict._replace(action="WATCH", because=f"conviction is below {floor:g}; {verdict.because}")
    return verdict


def expiry(desk: Desk, at: datetime, moo: bool, by: str) -> datetime:
    """5 minutes after the decision, 15 where a human is asked; market-on-open: with the session's open."""
    session = desk.calendar.on(desk.calendar.day(at))
    if moo and session is not None:
        return session.open
    settings = desk.settings.decide
    return at + timedelta(seconds=settings.human_expires_s if by == "human" else settings.expires_s)


def with_masters(desk: Desk, decisions: Sequence[Decision]) -> list[Decision]:
    """Market-on-open: the highest scores of the session that are bought are its masters."""
    found = []
    taken: dict[str, int] = {}
    for decision in decisions:
        if decision.order_kind == "moo" and decision.action == "BUY":
            day = decision.session.isoformat()
            if day not in taken:
                taken[day] = sum(d.master for d in desk.store.decisions.all(session=decision.session))
            if taken[day] < desk.settings.decide.masters:
                taken[day] += 1
                decision = structs.replace(decision, master=True)
        found.append(decision)
    return found


def write(desk: Desk, decisions: Sequence[Decision]) -> None:
    """Store the new decisions, and close the questions that nobody answered in time."""
    late = [d for d in desk.store.decisions.waiting() if is_over(desk, d)]
    if not decisions and not late:
        return
    with desk.store.transaction(low=True):
        for decision in late:
            desk.store.decisions.set_status(decision.id, "expired")
        desk.store.decisions.add_many(decisions)
        for decision in decisions:
            if decision.status == "waiting":
                event(
                    desk, "decision.waiting", symbol=decision.symbol, ref=decision.id, message=question(desk, decision)
                )
    for decision in decisions:
        desk.count(decision.action.lower())


def question(desk: Desk, decision: Decision) -> str:
    """What a human is asked, and how to answer."""
    until = "" if decision.expires_at is None else f" by {decision.expires_at.astimezone(desk.calendar.zone):%H:%M}"
    price = "" if decision.price is None else f" at {decision.price}"
    answer = f"tradekit approve (or skip) {decision.id}{until}"
    return f"{decision.action} {decision.symbol}{price}? {decision.because}. {answer}"


def is_over(desk: Desk, decision: Decision) -> bool:
    """Has its time run out?"""
    return decision.expires_at is not None and desk.clock.now() >= decision.expires_at


def approve(desk: Desk, id: str) -> Decision:
    """Say yes to a waiting decision: `enter` may act on it until it expires. A repeat gives the stored one.

    Raises UsageError for an id that the store does not hold, Refused where it is too late or was answered.
    """
    decision = asked(desk, id)
    if decision.status == "pending":
        return decision
    if decision.status == "waiting" and not is_over(desk, decision):
        return answered(desk, decision, "pending")
    if decision.status == "waiting":
        answered(desk, decision, "expired")
        raise Refused(f"{id} expired at {decision.expires_at:%H:%M:%S}Z", "tradekit scan, then decide again")
    raise Refused(f"{id} is {decision.status}: {decision.action}, nothing to approve", "tradekit decisions lists them")


def skip(desk: Desk, id: str) -> Decision:
    """Say no to a decision that waits or was not acted on yet. A repeat gives the stored one.

    Raises UsageError for an id that the store does not hold, Refused where an order was made of it already.
    """
    decision = asked(desk, id)
    if decision.status == "refused":
        return decision
    if decision.status in ("waiting", "pending"):
        return answered(desk, decision, "refused")
    raise Refused(f"{id} is {decision.status}: nothing to skip", "tradekit why shows what became of it")


def asked(desk: Desk, id: str) -> Decision:
    """The decision of that id; UsageError where there is none."""
    found = desk.store.decisions.get(id)
    if found is None:
        raise UsageError(f"{id} is not a decision of this desk", "tradekit decisions lists them")
    return found


def answered(desk: Desk, decision: Decision, status: str) -> Decision:
    """Write an answer down, with its event."""
    with desk.store.transaction(low=True):
        desk.store.decisions.set_status(decision.id, status)
        event(desk, f"decision.{status}", symbol=decision.symbol, ref=decision.id)
    found = desk.store.decisions.get(decision.id)
    return found or decision
