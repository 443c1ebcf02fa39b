"""Which targets could have been reached: the high AFTER our entry and before our deadline, never the day's high."""

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean

from tradekit.analysis.held import Bars, Case, after_entry
from tradekit.metrics import interval
from tradekit.model import Record


class TargetLine(Record, frozen=True, kw_only=True):
    """One target. `reachable` null: only daily bars or none, so the order of high and entry is unknown."""

    id: str
    symbol: str
    entry_at: datetime
    entry_price: float
    target: float
    target_pct: float
    status: str  # filled, armed (it started the trail), not filled
    reachable: bool | None
    reached_at: datetime | None  # end of the first bar that touched it
    in_time: bool | None  # touched before we left
    high_after: float | None  # of bars after the entry, to the deadline
    high_after_at: datetime | None
    best_possible: float | None  # high_after against the entry
    missing: float | None  # how far the price stayed below the target; <= 0: reached
    high_of_day: float | None  # for contrast: it may have been before the entry
    deadline: datetime
    exit_reason: str | None
    why: str


class Targets(Record, frozen=True, kw_only=True):
    """All targets together."""

    placed: int
    filled: int
    armed: int
    not_filled: int
    cancelled: int  # not filled, and the trade is over
    reachable: int
    unreachable: int
    unknown: int
    left_before: int  # reachable, but we were out by then
    filled_share: float | None
    filled_low: float | None  # 95 % interval
    filled_high: float | None
    average_target_pct: float | None
    average_best_possible: float | None
    answer: str


def targets(cases: Sequence[Case], bars: Bars) -> tuple[Targets, list[TargetLine]]:
    """The summary and a line per trade whose plan had a target."""
    lines = [line for case in cases if (line := target_line(case, bars)) is not None]
    filled, armed = (sum(line.status == word for line in lines) for word in ("filled", "armed"))
    known = [line for line in lines if line.reachable is not None]
    reachable = sum(bool(line.reachable) for line in known)
    low, high = interval(filled + armed, len(lines)) or (None, None)
    best = [line.best_possible for line in lines if line.best_possible is not None]
    out = [line for line in lines if line.reachable and line.status == "not filled"]
    found = Targets(
        placed=len(lines),
        filled=filled,
        armed=armed,
        not_filled=len(lines) - filled - armed,
        cancelled=sum(line.status == "not filled" and line.exit_reason is not None for line in lines),
        reachable=reachable,
        unreachable=len(known) - reachable,
        unknown=len(lines) - len(known),
        left_before=len(out),
        filled_share=(filled + armed) / len(lines) if lines else None,
        filled_low=low,
        filled_high=high,
        average_target_pct=fmean(line.target_pct for line in lines) if lines else None,
        average_best_possible=fmean(best) if best else None,
        answer=_answer(lines, filled + armed, len(known) - reachable, len(out)),
    )
    return found, lines


def target_line(case: Case, bars: Bars) -> TargetLine | None:
    """One trade's target against the bars after its entry; None for a short or a plan without one."""
    if case.target is None or case.side != "long":
        return None
    path = after_entry(bars, case, min(case.deadline, case.seen_to))
    touched = next((bar for bar in path if bar.high >= case.target), None)
    top = max(path, key=lambda bar: bar.high, default=None)
    day = [bar for bar in bars(case.symbol, case.session.open, case.session.close) if bar.regular]
    status = "not filled"
    if case.target_hit:
        status = "filled" if case.exit_reason == "target" else "armed"
    reachable = None if not path else touched is not None or case.target_hit
    in_time = None if touched is None or case.exit_at is None else touched.start < case.exit_at
    return TargetLine(
        id=case.id,
        symbol=case.symbol,
        entry_at=case.entry_at,
        entry_price=case.entry,
        target=round(case.target, 10),
        target_pct=case.target / case.entry - 1,
        status=status,
        reachable=reachable,
        reached_at=touched.end if touched else None,
        in_time=in_time,
        high_after=top.high if top else None,
        high_after_at=top.end if top else None,
        best_possible=top.high / case.entry - 1 if top else None,
        missing=case.target / top.high - 1 if top else None,
        high_of_day=max((bar.high for bar in day), default=None),
        deadline=case.deadline,
        exit_reason=case.exit_reason,
        why=_why(status, reachable, in_time, case),
    )


def _why(status: str, reachable: bool | None, in_time: bool | None, case: Case) -> str:
    if status != "not filled":
        return status
    if reachable is None:
        return "order unknown: no intraday bars after the entry"
    if not reachable:
        return "never got there before the deadline"
    if in_time:
        return f"touched while held; left by {case.exit_reason}"
    return f"got there after {case.exit_reason} had sold" if case.exit_reason else "touched"


def _answer(lines: Sequence[TargetLine], filled: int, unreachable: int, out: int) -> str:
    if not lines:
        return "no plan had a target"
    text = f"{filled} of {len(lines)} targets were reached while we held"
    missed = len(lines) - filled
    if missed and unreachable >= missed / 2:
        return f"{text}; {unreachable} never got there before the deadline: they are too far, or the entries too late"
    if missed and out >= missed / 2:
        return f"{text}; {out} got there after we were out: the stops are too close"
    return text
