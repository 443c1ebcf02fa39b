"""Bars from files into the store: each row judged and counted, nothing half written.

A row that cannot be a bar is dropped and counted by its reason; a file with too many of them, with bars that
contradict each other or of another timeframe than it claims is refused as a whole.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tradekit.calendar import Calendar
from tradekit.errors import Findings, UsageError
from tradekit.market.bars import DAY_S, TIMEFRAMES, BarStore, Writer
from tradekit.market.files import NO_TIME, Table, read
from tradekit.model import Record

SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9./^_-]{0,23}")
SOURCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
MAX_DROPPED = 0.05  # share of a file's rows; more than that is a wrong file, not a few bad rows
HARMLESS = frozenset({"duplicate", "unfinished"})
SPACING_BARS = 20  # bars of a symbol before its spacing says anything
PAD_DAYS = 7

Mask = NDArray[np.bool_]


class Imported(Record, frozen=True, kw_only=True):
    """What became of one file. `bars` were stored anew, `known` were there already; `dropped` counts rows by reason."""

    file: str
    source: str
    timeframe: str
    rows: int
    symbols: int
    sessions: int
    bars: int
    known: int
    replaced: int
    disordered: int
    dropped: dict[str, int]
    first: date | None
    last: date | None


@dataclass
class Clean:
    """The good rows of a file, sorted by symbol and time. `days` are ordinals of the sessions."""

    names: list[str]
    codes: NDArray[np.intp]
    seconds: NDArray[np.int64]
    days: NDArray[np.int64]
    values: NDArray[np.float64]
    disordered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def import_files(
    store: BarStore, tables: Sequence[Table], calendar: Calendar, *, timeframe: str, source: str, replace: bool,
    now: datetime, dry_run: bool = False,
) -> list[Imported]:  # fmt: skip
    """Write all tables in one transaction; one record for each. `now` decides which bars are still unfinished.

    Raises Findings for a refused file or a conflict with stored bars; then nothing is written.
    """
    if not SOURCE.fullmatch(source):
        raise UsageError(f"--source {source}: use small letters, digits, dot, dash", "for example --source polygon")
    cleaned = [clean(table, TIMEFRAMES[timeframe], calendar, now) for table in tables]
    rows = []
    with store.writing(replace=replace) as writer:
        for table, good in zip(tables, cleaned, strict=True):
            before = writer.added, writer.known, writer.replaced
            write(writer, good, TIMEFRAMES[timeframe], source)
            rows.append(_report(table, good, timeframe, source, writer, before))
        if dry_run:
            writer.abandon()
    return rows


def _report(
    table: Table, good: Clean, timeframe: str, source: str, writer: Writer, before: tuple[int, int, int]
) -> Imported:
    days = np.unique(good.days)
    return Imported(
        file=table.path.name,
        source=source,
        timeframe=timeframe,
        rows=len(table),
        symbols=len(np.unique(good.codes)),
        sessions=len(days),
        bars=writer.added - before[0],
        known=writer.known - before[1],
        replaced=writer.replaced - before[2],
        disordered=good.disordered,
        dropped=good.dropped,
        first=date.fromordinal(int(days[0])) if len(days) else None,
        last=date.fromordinal(int(days[-1])) if len(days) else None,
    )


def read_files(paths: Sequence[Path], timeframe: str, zone: str | None) -> list[Table]:
    """The files' rows; see files.read for what is refused."""
    return [read(path, zone, daily=timeframe == "1d") for path in paths]


def span(tables: Sequence[Table]) -> tuple[date, date] | None:
    """The first and last UTC date of all readable times, padded by a week; None without any."""
    known = [table.ms[table.ms != NO_TIME] for table in tables]
    known = [ms for ms in known if len(ms)]
    if not known:
        return None
    start = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        first = start + timedelta(milliseconds=int(min(ms.min() for ms in known)))
        last = start + timedelta(milliseconds=int(max(ms.max() for ms in known)))
        pad = timedelta(days=PAD_DAYS)
        return (first - pad).date(), (last + pad).date()
    except OverflowError:
        raise UsageError("ts: times beyond the year 9999", "epoch numbers are seconds or milliseconds") from None


def clean(table: Table, timeframe_s: int, calendar: Calendar, now: datetime) -> Clean:
    """Drop and count what is no bar, sort the rest. Raises Findings where the whole file is to be refused."""
    dropped: dict[str, int] = {}
    keep = np.ones(len(table), dtype=bool)

    def drop(reason: str, bad: Mask) -> None:
        nonlocal keep
        count = int((keep & bad).sum())
        if count:
            dropped[reason] = count
            keep &= ~bad

    good_names = np.array([bool(SYMBOL.fullmatch(name)) for name in table.names] + [False])  # code -1: no symbol
    drop("symbol", ~good_names[table.codes])
    drop("time", (table.ms == NO_TIME) | (table.ms % 1000 != 0))
    for reason, bad in _impossible(table.values).items():
        drop(reason, bad)
    seconds = np.where(table.ms == NO_TIME, 0, table.ms) // 1000
    days = np.zeros(len(table), dtype=np.int64)
    if keep.any():
        days, faults = _placed(seconds, keep, table, timeframe_s, calendar, now)
        for reason, bad in faults.items():
            drop(reason, bad)
    _refuse_bad_file(table, dropped, keep)
    codes, seconds, days, values = table.codes[keep], seconds[keep], days[keep], table.values[:, keep]
    order = np.lexsort((seconds, codes))
    disordered = int(((np.diff(seconds) < 0) & (np.diff(codes) == 0)).sum())
    codes, seconds, days, values = codes[order], seconds[order], days[order], values[:, order]
    values[1] = values[:4].max(axis=0)  # what is out by less than the tolerance
    values[2] = values[:4].min(axis=0)
    when = days if timeframe_s == DAY_S else seconds
    again = np.r_[False, (np.diff(codes) == 0) & (np.diff(when) == 0)]
    _refuse_contradictions(table, codes, days, values, again)
    if again.any():
        dropped["duplicate"] = int(again.sum())
    result = Clean(
        table.names, codes[~again], seconds[~again], days[~again], values[:, ~again], disordered, dropped,
    )  # fmt: skip
    if timeframe_s < DAY_S:
        _refuse_wrong_spacing(table, result, timeframe_s)
    return result


def _impossible(values: NDArray[np.float64]) -> dict[str, Mask]:
    prices, volume = values[:4], values[4]
    with np.errstate(invalid="ignore"):
        slack = 1e-9 * np.abs(values[3])
        return {
            "price": ~(np.isfinite(prices) & (prices > 0)).all(axis=0),
            "volume": ~(np.isfinite(volume) & (volume >= 0)),
            "high-low": (values[1] < prices.max(axis=0) - slack) | (values[2] > prices.min(axis=0) + slack),
        }


def _placed(
    seconds: NDArray[np.int64], keep: Mask, table: Table, timeframe_s: int, calendar: Calendar, now: datetime
) -> tuple[NDArray[np.int64], dict[str, Mask]]:
    """Each row's session (an ordinal), and the rows that fit none or are not over yet."""
    first, last = seconds[keep].min(), seconds[keep].max()
    start = datetime(1970, 1, 1, tzinfo=UTC)
    from_day = (start + timedelta(seconds=int(first))).date() - timedelta(days=2)
    to_day = (start + timedelta(seconds=int(last))).date() + timedelta(days=2)
    midnights = _midnights(from_day, to_day, calendar)
    sessions = {s.day.toordinal(): s for s in calendar.between(from_day, to_day)}
    is_session = np.array([from_day.toordinal() + k in sessions for k in range(len(midnights))])
    local = np.clip(np.searchsorted(midnights, seconds, side="right") - 1, 0, len(midnights) - 1)
    if timeframe_s < DAY_S:
        days = from_day.toordinal() + local
        return days, {
            "off-grid": seconds % min(timeframe_s, 1800) != 0,  # hourly bars may start at half past
            "no-session": ~is_session[local],
            "unfinished": seconds + timeframe_s > now.timestamp(),
        }
    label = seconds % DAY_S == 0
    at_midnight = ~label & (midnights[local] == seconds) & (not table.labels)
    days = np.where(at_midnight, from_day.toordinal() + local, seconds // DAY_S + start.toordinal())
    offset = np.clip(days - from_day.toordinal(), 0, len(midnights) - 1)
    closes = np.full(len(midnights), np.inf)
    for ordinal, session in sessions.items():
        closes[ordinal - from_day.toordinal()] = session.close.timestamp()
    return days, {
        "not-a-date": ~(label | at_midnight),
        "no-session": ~is_session[offset],
        "unfinished": closes[offset] > now.timestamp(),
    }


def _midnights(first: date, last: date, calendar: Calendar) -> NDArray[np.float64]:
    """The exchange's midnights of each day as epoch seconds."""
    days = (first + timedelta(days=k) for k in range((last - first).days + 1))
    return np.array([datetime.combine(day, time(0), tzinfo=calendar.zone).timestamp() for day in days])


def _refuse_bad_file(table: Table, dropped: dict[str, int], keep: Mask) -> None:
    bad = sum(count for reason, count in dropped.items() if reason not in HARMLESS)
    if len(table) == 0 or (bad > MAX_DROPPED * len(table)):
        worst = max(dropped, key=lambda reason: dropped[reason], default="")
        found = ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "no rows"
        raise Findings(f"{table.path.name}: {bad} of {len(table)} rows are no bars ({found})", _HINTS.get(worst, ""))
    if not keep.any():
        raise Findings(f"{table.path.name}: no finished bar in it", "the host's clock says that they lie in the future")


_HINTS = {
    "symbol": "symbols are capital letters, digits and . / - _ ^",
    "time": "times are ISO-8601 with a zone, or epoch seconds or milliseconds",
    "off-grid": "is --timeframe right?",
    "not-a-date": "daily bars carry their session's date; is --timeframe right?",
    "no-session": "is desk.calendar right, and the times' zone?",
}


def _refuse_contradictions(
    table: Table, codes: NDArray[np.intp], days: NDArray[np.int64], values: NDArray[np.float64], again: Mask
) -> None:
    differs = again & np.r_[False, (np.diff(values, axis=1) != 0).any(axis=0)]
    if differs.any():
        k = int(np.flatnonzero(differs)[0])
        day = date.fromordinal(int(days[k]))
        raise Findings(
            f"{table.path.name}: {int(differs.sum())} bars are there twice with different values,"
            f" the first is {table.names[codes[k]]} of {day}",
            "keep one of them in the file",
        )


def _refuse_wrong_spacing(table: Table, good: Clean, timeframe_s: int) -> None:
    """5-minute bars that are called 1-minute ones, and the reverse: by the usual step and by each symbol's own."""
    steps = np.diff(good.seconds)[np.diff(good.codes) == 0]
    if (steps < timeframe_s).any():
        raise Findings(f"{table.path.name}: bars {int(steps.min())} s apart in a series of {timeframe_s} s", _SPACING)
    if len(steps) >= SPACING_BARS:
        values, counts = np.unique(steps, return_counts=True)
        usual = int(values[np.argmax(counts)])
        if usual != timeframe_s and counts.max() > len(steps) / 2:
            raise Findings(f"{table.path.name}: bars are {usual} s apart, not {timeframe_s} s", _SPACING)
    edges = np.flatnonzero(np.r_[True, np.diff(good.codes) != 0, True])
    for a, b in zip(edges, edges[1:], strict=False):
        if b - a > SPACING_BARS:
            step = int(np.gcd.reduce(np.diff(good.seconds[a:b])))
            if step > timeframe_s:
                name = table.names[good.codes[a]]
                raise Findings(f"{table.path.name}: {name}: bars are {step} s apart, not {timeframe_s} s", _SPACING)


_SPACING = "import them with the --timeframe that they have"


def write(writer: Writer, good: Clean, timeframe_s: int, source: str) -> None:
    """Hand the rows to an open transaction, by session and symbol or by day."""
    if timeframe_s < DAY_S:
        _write_intraday(writer, good, timeframe_s, source)
    else:
        _write_daily(writer, good, source)


def _write_intraday(writer: Writer, good: Clean, timeframe_s: int, source: str) -> None:
    rows = np.empty((len(good.seconds), 6))
    rows[:, 0] = good.seconds
    rows[:, 1:] = good.values.T
    edges = np.flatnonzero(np.r_[True, (np.diff(good.codes) != 0) | (np.diff(good.days) != 0), True])
    iso = {int(day): date.fromordinal(int(day)).isoformat() for day in np.unique(good.days)}
    for a, b in zip(edges.tolist(), edges[1:].tolist(), strict=False):
        writer.intraday(source, timeframe_s, good.names[good.codes[a]], iso[int(good.days[a])], rows[a:b])


def _write_daily(writer: Writer, good: Clean, source: str) -> None:
    order = np.lexsort((good.codes, good.days))
    codes, days, values = good.codes[order], good.days[order], good.values[:, order]
    edges = np.flatnonzero(np.r_[True, np.diff(days) != 0, True])
    for a, b in zip(edges.tolist(), edges[1:].tolist(), strict=False):
        names = [good.names[code] for code in codes[a:b]]
        writer.daily(source, date.fromordinal(int(days[a])).isoformat(), names, values[:, a:b])
