"""A trade with what was planned and the bars around it: what the analyses of entries and exits start from."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tradekit.model import Candidate, Decision, ExitPlan, PriceBar, Session, Trade

Bars = Callable[[str, datetime, datetime], Sequence[PriceBar]]  # complete bars with start >= since and end <= until
Numbers = Callable[[str, datetime, datetime], Sequence[Sequence[float]]]  # of those the regular ones, as floats


class Case(NamedTuple):
    """One trade, or an open position, in long terms: `entry` and `exit` are prices, times aware UTC."""

    id: str
    symbol: str
    strategy: str | None
    side: str
    entry_at: datetime
    entry: float
    exit_at: datetime | None  # None: still open
    exit: float | None
    exit_reason: str | None
    net: float | None
    return_pct: float | None
    plan: ExitPlan
    target: float | None  # price; None: the plan has none
    target_hit: bool
    session: Session  # of the entry
    deadline: datetime  # after which the plan would have left whatever the price
    decided_at: datetime | None
    decided_price: float | None
    seen_to: datetime  # bars after it are not known yet
    opening: Session | None = None  # whose open is the first that an order after the pick could have met


def deadline_of(plan: ExitPlan, entry_at: datetime, session: Session, last: datetime) -> datetime:
    """When the plan leaves at the latest: end of day for day trades, the longest hold, else `last`."""
    found = [last]
    if plan.intent == "day":
        found.append(session.close - timedelta(seconds=plan.flat_before_close_s or 0))
    if plan.max_hold_s is not None:
        found.append(entry_at + timedelta(seconds=plan.max_hold_s))
    return max(entry_at, min(found))


def case_of(
    trade: Trade,
    plan: ExitPlan,
    session: Session,
    *,
    last: datetime,
    target: float | None = None,
    target_hit: bool = False,
    decision: Decision | None = None,
    candidate: Candidate | None = None,
    following: Session | None = None,
) -> Case:
    """A closed trade as a Case; `last` is how far bars are known, `following` the session after the entry's."""
    entry = float(trade.entry_price)
    picked_at = candidate.at if candidate else (decision.at if decision else trade.entry_at)
    if target is None:
        target = (
            plan.target_price if plan.target_price is not None else entry * (1 + plan.target) if plan.target else None
        )
    return Case(
        id=trade.id,
        symbol=trade.symbol,
        strategy=trade.strategy,
        side=trade.side,
        entry_at=trade.entry_at,
        entry=entry,
        exit_at=trade.exit_at,
        exit=float(trade.exit_price),
        exit_reason=trade.exit_reason,
        net=float(trade.net),
        return_pct=trade.return_pct,
        plan=plan,
        target=target,
        target_hit=target_hit or trade.exit_reason == "target",
        session=session,
        deadline=deadline_of(plan, trade.entry_at, session, last),
        decided_at=candidate.at if candidate else (decision.at if decision else None),
        decided_price=float(candidate.price) if candidate and candidate.price else
        (float(decision.price) if decision and decision.price else None),
        seen_to=last,
        opening=session if picked_at <= session.open else following,
    )  # fmt: skip


def regular(bars: Bars, symbol: str, since: datetime, until: datetime) -> list[PriceBar]:
    """Regular-hours bars that began at or after `since` and ended by `until`, oldest first."""
    return [bar for bar in bars(symbol, since, until) if bar.regular]


def day_of(bars: Bars, case: Case) -> list[PriceBar]:
    """All regular bars of the entry's session."""
    return regular(bars, case.symbol, case.session.open, min(case.session.close, case.seen_to))


def after_entry(bars: Bars, case: Case, until: datetime) -> list[PriceBar]:
    """Bars that began after the entry: of the bar of the entry nobody knows what came first."""
    return regular(bars, case.symbol, case.entry_at, until)
