"""What became of every candidate, traded or not: returns after 1, 3, 5 and 10 sessions, best and worst price."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from tradekit.desk.desk import Desk
from tradekit.errors import UsageError
from tradekit.model import Candidate, PoorSignal, Session, Trade

if TYPE_CHECKING:
    from tradekit.market.market import Row

SPANS = (1, 3, 5, 10)
LOOK_BACK = 16  # sessions: those whose ten sessions may have become complete since the last run


@dataclass(frozen=True)
class OutcomesOptions:
    """`session`: the candidates of that session only; default: those that are not complete yet."""

    session: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the job wrote down for one session."""

    session: date
    candidates: int
    updated: int
    without_prices: int
    complete: int  # all ten sessions are over
    poor_signals: int


def outcomes(desk: Desk, options: OutcomesOptions | None = None) -> list[Outcome]:
    """Fill in what happened after the candidates of each session; safe to run at any time, again too.

    Returns are closes over the candidate's price; highs and lows count from the scan on, up to ten sessions later.
    """
    found = []
    for session in _sessions(desk, options or OutcomesOptions()):
        candidates = desk.store.candidates.found(rejected=True, session=session.day)
        poor = _poor_signals(desk, session.day)
        if not candidates and not poor:
            continue
        later = _later(desk, session)
        done = [_after(desk, each, session, later) for each in candidates if each.return_10d is None]
        changed = [new for new, old in zip(done, (c for c in candidates if c.return_10d is None), strict=True)
                   if new != old]  # fmt: skip
        desk.store.candidates.set_outcomes(changed)
        new = {each.id: each for each in done}
        now = [new.get(each.id, each) for each in candidates]
        found.append(
            Outcome(
                session=session.day,
                candidates=len(candidates),
                updated=len(changed),
                without_prices=sum(each.max_gain is None for each in now),
                complete=sum(each.return_10d is not None for each in now),
                poor_signals=poor,
            )
        )
        desk.count("updated", len(changed))
    return found


def _sessions(desk: Desk, options: OutcomesOptions) -> list[Session]:
    now = desk.clock.now()
    if options.session:
        try:
            day = date.fromisoformat(options.session)
        except ValueError:
            raise UsageError(f"--session {options.session} is not a date", "--session 2026-02-13") from None
        session = desk.calendar.on(day)
        if session is None:
            raise UsageError(f"{day} is no session of this exchange", "tradekit schedule show")
        return [session]
    today = desk.calendar.day(now)
    found = desk.calendar.before(today, LOOK_BACK)
    session = desk.calendar.on(today)
    return [*found, session] if session and session.close <= now else found


def _later(desk: Desk, session: Session) -> list[Session]:
    """The sessions after it that are over, at most ten."""
    now, day = desk.clock.now(), session.day
    found: list[Session] = []
    while len(found) < max(SPANS):
        following = desk.calendar.next(day)
        if following is None or following.close > now:
            break
        found.append(following)
        day = following.day
    return found


def _after(desk: Desk, candidate: Candidate, session: Session, later: list[Session]) -> Candidate:
    """The candidate with what is known by now; unchanged where it has no price or its symbol no bars."""
    if not candidate.price:
        return candidate
    price, symbol = float(candidate.price), candidate.symbol
    rows = _rows(desk, symbol, session, later)
    highs, lows = _rest_of_day(desk, candidate, session)
    highs += [row.high for row in rows if row]
    lows += [row.low for row in rows if row]
    returns = {}
    for span in SPANS:
        row = rows[span - 1] if span <= len(rows) else None
        returns[f"return_{span}d"] = round(row.close / price - 1, 12) if row else None
    return msgspec.structs.replace(
        candidate,
        **returns,
        max_gain=round(max(highs) / price - 1, 12) if highs else None,
        max_drawdown=round(min(lows) / price - 1, 12) if lows else None,
    )


def _rows(desk: Desk, symbol: str, session: Session, later: list[Session]) -> "list[Row | None]":
    """A row a session; from an unadjusted split on there is nothing to compare with."""
    from tradekit.market.market import looks_split

    found: list[Row | None] = []
    before = desk.market.row(symbol, session.day, session.day + timedelta(days=1))
    close = before.close if before else None
    for each in later:
        row = desk.market.row(symbol, each.day, each.day + timedelta(days=1))
        if row and close and looks_split(close, row.open):
            return found + [None] * (len(later) - len(found))
        found.append(row)
        close = row.close if row else close
    return found


def _rest_of_day(desk: Desk, candidate: Candidate, session: Session) -> tuple[list[float], list[float]]:
    """Highs and lows of the bars of that session that began at or after the scan."""
    until: datetime = min(session.close, desk.clock.now())
    if candidate.at >= until:
        return [], []
    bars = [bar for bar in desk.market.bars(candidate.symbol, candidate.at, until) if bar.regular]
    return [bar.high for bar in bars], [bar.low for bar in bars]


def _poor_signals(desk: Desk, day: date) -> int:
    """Write down the trades of a session that a reversal ended; how many were new."""
    rows = [poor_signal(desk, t) for t in desk.store.trades.all(session=day) if t.exit_reason == "reversal"]
    with desk.store.transaction(low=True):
        return desk.store.poor_signals.add_many(rows)


def poor_signal(desk: Desk, trade: Trade) -> PoorSignal:
    """What spoke for the trade, and what ended it."""
    decision = desk.store.decisions.get(trade.decision_id) if trade.decision_id else None
    candidate = desk.store.candidates.get(decision.candidate_id) if decision and decision.candidate_id else None
    mark = desk.store.marks.get(trade.id)
    checks = [check for check in desk.store.position_checks.of(trade.id) if check.signs]
    note = (mark.note if mark else None) or "reversal"
    return PoorSignal(
        id=trade.id,
        symbol=trade.symbol,
        strategy=trade.strategy,
        session=trade.session,
        at=trade.exit_at,
        entry_because=candidate.because if candidate else trade.because,
        exit_because=note,
        score=candidate.score if candidate else (decision.score if decision else None),
        reversal_score=mark.reversal_score if mark else None,
        hold_s=trade.hold_s,
        net=trade.net,
        return_pct=trade.return_pct,
        features=candidate.features if candidate else {},
        pattern=checks[-1].signs or "" if checks else pattern_of(note),
    )


def pattern_of(because: str) -> str:
    """A reversal's sentence without its numbers, so that equal ones can be counted."""
    return re.sub(r"\s+", " ", re.sub(r"[-+]?\d[\d.,]*", "", because.partition(":")[2])).strip()
