"""What the price did after our entries, minute by minute, and after our exits."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import fmean, median

from tradekit.analysis.held import Bars, Case, after_entry, regular
from tradekit.analysis.statistics import mean_interval
from tradekit.metrics import interval
from tradekit.model import PriceBar, Record

HORIZONS = (5, 15, 30, 60, 120)  # minutes


class MoveLine(Record, frozen=True, kw_only=True):
    """One trade, fractions of the entry price (shorts turned round); `left` is what came after our exit that day."""

    id: str
    symbol: str
    entry_at: datetime
    entry_price: float
    after_5m: float | None
    after_15m: float | None
    after_30m: float | None
    after_60m: float | None
    after_120m: float | None
    at_close: float | None
    mfe: float | None  # best of bars that began after the entry, to the exit
    mfe_min: float | None  # minutes from the entry to the end of its bar
    mae: float | None
    mae_min: float | None
    worst_first: bool | None  # the worst came before the best
    got: float | None  # return of the trade, fees left out
    captured: float | None  # got / mfe
    left: float | None  # best after our exit, to the close, against the exit price
    exit_reason: str | None


class Horizon(Record, frozen=True, kw_only=True):
    """All trades that long after their entry, sold or not: mean, 95 % interval, share that was up with its interval."""

    after: str
    n: int
    mean: float | None
    low: float | None
    high: float | None
    median: float | None
    up: float | None
    up_low: float | None
    up_high: float | None


def price_movement(cases: Sequence[Case], bars: Bars) -> tuple[list[Horizon], list[MoveLine]]:
    """A line per horizon and one per trade."""
    lines = [move_line(case, bars) for case in cases]
    names = [*(f"after_{m}m" for m in HORIZONS), "at_close", "mfe", "mae", "got", "left"]
    return [_horizon(name, [getattr(line, name) for line in lines]) for name in names], lines


def move_line(case: Case, bars: Bars) -> MoveLine:
    """One trade; null where no bar says."""
    until = min(case.session.close, case.seen_to)
    path = after_entry(bars, case, max(until, case.exit_at or until))
    day = [bar for bar in path if bar.end <= until]
    sign = 1 if case.side == "long" else -1
    held = [bar for bar in path if case.exit_at is None or bar.end <= case.exit_at]
    best, worst = _extreme(held, case, sign, up=True), _extreme(held, case, sign, up=False)
    got = sign * (case.exit / case.entry - 1) if case.exit is not None else None
    rest = regular(bars, case.symbol, case.exit_at, until) if case.exit_at and case.exit_at < until else []
    left = (
        max(sign * ((bar.high if sign > 0 else bar.low) / case.exit - 1) for bar in rest)
        if rest and case.exit
        else None
    )
    moves = {f"after_{m}m": _after(day, case, sign, m) for m in HORIZONS}
    return MoveLine(
        id=case.id,
        symbol=case.symbol,
        entry_at=case.entry_at,
        entry_price=case.entry,
        **moves,
        at_close=sign * (day[-1].close / case.entry - 1) if day and until >= case.session.close else None,
        mfe=best[0],
        mfe_min=best[1],
        mae=worst[0],
        mae_min=worst[1],
        worst_first=None if best[1] is None or worst[1] is None or best[1] == worst[1] else worst[1] < best[1],
        got=got,
        captured=got / best[0] if got is not None and best[0] and best[0] > 0 else None,
        left=left,
        exit_reason=case.exit_reason,
    )


def _after(day: Sequence[PriceBar], case: Case, sign: int, minutes: int) -> float | None:
    """The close of the last bar that ended by then; None where that is more than a bar away."""
    at = case.entry_at + timedelta(minutes=minutes)
    found = [bar for bar in day if bar.end <= at]
    if not found or at - found[-1].end > (found[-1].end - found[-1].start):
        return None
    return sign * (found[-1].close / case.entry - 1)


def _extreme(held: Sequence[PriceBar], case: Case, sign: int, *, up: bool) -> tuple[float | None, float | None]:
    """Best (or worst) price as a fraction, and minutes from the entry to the end of its bar."""
    if not held:
        return None, None

    def value(bar: PriceBar) -> float:
        price = bar.high if (sign > 0) == up else bar.low
        return sign * (price / case.entry - 1)

    bar = max(held, key=value) if up else min(held, key=value)
    return value(bar), (bar.end - case.entry_at).total_seconds() / 60


def _horizon(name: str, values: Sequence[float | None]) -> Horizon:
    known = [value for value in values if value is not None]
    low, high = mean_interval(known) or (None, None)
    ups = sum(value > 0 for value in known)
    up_low, up_high = interval(ups, len(known)) or (None, None)
    return Horizon(
        after=name,
        n=len(known),
        mean=fmean(known) if known else None,
        low=low,
        high=high,
        median=median(known) if known else None,
        up=ups / len(known) if known else None,
        up_low=up_low,
        up_high=up_high,
    )
