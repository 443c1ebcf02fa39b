"""Were the picks late, or the entries? What had happened before we bought, and what a wait would have brought."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean, median

from tradekit.analysis.held import Bars, Case, day_of, regular
from tradekit.analysis.statistics import mean_interval
from tradekit.model import Record

WAITS = (0, 1, 5, 15, 30, 60)  # minutes
LATE = 0.5  # share of the day's rise that was over


class EntryLine(Record, frozen=True, kw_only=True):
    """One entry. Fractions of the price they start from; `used` is the share of the rise open -> high that was over."""

    id: str
    symbol: str
    entry_at: datetime
    decided_price: float | None
    entry_price: float
    wait_s: float | None  # from the scan to the fill
    slippage_bp: float | None  # from the scan's price to the fill, + is a cost
    day_open: float | None
    rise_before: float | None  # day's open to the entry
    high_before: float | None  # highest before the entry, from the open
    rise_of_day: float | None  # day's open to the day's high
    used_at_pick: float | None
    used: float | None
    best_after: float | None  # highest of bars after the entry, to the deadline
    worst_after: float | None
    low_in_30m: float | None  # what a patient buyer could have had
    verdict: str


class WaitLine(Record, frozen=True, kw_only=True):
    """The same exits, entered some minutes later at the open of that minute; mean return and its 95 % interval."""

    wait_min: int
    n: int
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    better: float | None  # share of trades that would have been better off
    skipped: int  # the trade was over by then


class EntryTiming(Record, frozen=True, kw_only=True):
    """All entries together."""

    n: int
    known: int  # entries with bars of their day
    late_picks: int
    late_entries: int
    after_the_high: int  # the day's high was before the entry
    average_used: float | None
    average_wait_s: float | None
    average_slippage_bp: float | None
    answer: str


def entry_timing(cases: Sequence[Case], bars: Bars) -> tuple[EntryTiming, list[WaitLine], list[EntryLine]]:
    """The summary, what waiting would have brought, and a line per entry."""
    lines = [entry_line(case, bars) for case in cases]
    known = [line for line in lines if line.used is not None]
    picks = sum(line.verdict == "late pick" for line in lines)
    entries = sum(line.verdict == "late entry" for line in lines)
    after = sum(line.verdict == "after the high" for line in lines)
    waits = [line.wait_s for line in lines if line.wait_s is not None]
    slips = [line.slippage_bp for line in lines if line.slippage_bp is not None]
    summary = EntryTiming(
        n=len(lines),
        known=len(known),
        late_picks=picks,
        late_entries=entries,
        after_the_high=after,
        average_used=fmean(line.used for line in known if line.used is not None) if known else None,
        average_wait_s=fmean(waits) if waits else None,
        average_slippage_bp=fmean(slips) if slips else None,
        answer=_answer(len(known), picks, entries, after),
    )
    return summary, [_wait(minutes, cases, bars) for minutes in WAITS], lines


def entry_line(case: Case, bars: Bars) -> EntryLine:
    """One entry against its day; null where the day has no bars before or after it."""
    day = day_of(bars, case)
    before = [bar for bar in day if bar.end <= case.entry_at]
    after = [bar for bar in day if bar.start >= case.entry_at]
    first = day[0].open if day and day[0].start <= case.session.open else None
    high = max((bar.high for bar in day), default=None)
    rise = None if first is None or high is None else high / first - 1
    picked = case.decided_price
    later = [bar for bar in after if bar.end <= case.deadline]
    soon = [bar for bar in after if bar.end <= case.entry_at + timedelta(minutes=30)]
    used, used_at_pick = _used(case.entry, first, high), _used(picked, first, high)
    top = max((bar.high for bar in before), default=None)
    return EntryLine(
        id=case.id,
        symbol=case.symbol,
        entry_at=case.entry_at,
        decided_price=picked,
        entry_price=case.entry,
        wait_s=(case.entry_at - case.decided_at).total_seconds() if case.decided_at else None,
        slippage_bp=round((case.entry / picked - 1) * 10_000, 4) if picked else None,
        day_open=first,
        rise_before=case.entry / first - 1 if first else None,
        high_before=top / first - 1 if first and top is not None else None,
        rise_of_day=rise,
        used_at_pick=used_at_pick,
        used=used,
        best_after=max(bar.high for bar in later) / case.entry - 1 if later else None,
        worst_after=min(bar.low for bar in later) / case.entry - 1 if later else None,
        low_in_30m=min(bar.low for bar in soon) / case.entry - 1 if soon else None,
        verdict=_verdict(used, used_at_pick, top, high, after=bool(after)),
    )


def _used(price: float | None, first: float | None, high: float | None) -> float | None:
    if price is None or first is None or high is None or high <= first:
        return None
    return max(0.0, (price - first) / (high - first))


def _verdict(used: float | None, at_pick: float | None, top: float | None, high: float | None, *, after: bool) -> str:
    if used is None or high is None:
        return "unknown"
    if after and top is not None and top >= high:
        return "after the high"
    if at_pick is not None and at_pick > LATE:
        return "late pick"
    return "late entry" if used > LATE else "in time"


def _answer(known: int, picks: int, entries: int, after: int) -> str:
    if not known:
        return "no bars of these days: tradekit data import"
    if after + picks > max(entries, (known - after - picks - entries)):
        late = f"{picks} of {known} came after half of the day's rise was over, {after} after the day's high"
        return f"the picks are late: {late}"
    if entries > known / 2:
        return f"the entries are late: {entries} of {known} were picked in time and bought after half of the rise"
    return f"mostly in time: {known - after - picks - entries} of {known} were bought in the first half of the rise"


def _wait(minutes: int, cases: Sequence[Case], bars: Bars) -> WaitLine:
    found, better, skipped, n = [], 0, 0, 0
    for case in cases:
        if case.exit is None or case.exit_at is None:
            continue
        at = case.entry_at + timedelta(minutes=minutes)
        if at >= case.exit_at:
            skipped += 1
            continue
        price = case.entry if minutes == 0 else _open_at(case, bars, at)
        if price is None:
            continue
        sign = 1 if case.side == "long" else -1
        n += 1
        found.append(sign * (case.exit / price - 1))
        better += sign * price < sign * case.entry
    low, high = mean_interval(found) or (None, None)
    return WaitLine(
        wait_min=minutes,
        n=n,
        mean=fmean(found) if found else None,
        low=low,
        high=high,
        median=median(found) if found else None,
        better=better / n if n and minutes else None,
        skipped=skipped,
    )


def _open_at(case: Case, bars: Bars, at: datetime) -> float | None:
    """The open of the first bar that begins at or after `at`, before the exit."""
    found = regular(bars, case.symbol, at, min(case.exit_at or case.seen_to, case.session.close))
    return found[0].open if found else None
