"""What looks wrong with stored bars: gaps, missing sessions, unadjusted splits, bad ticks, bars without volume."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from tradekit.calendar import Calendar
from tradekit.market.bars import COLUMNS, DAY_S, FIELDS, TIMEFRAMES, BarStore
from tradekit.market.market import looks_split
from tradekit.model import Record, Session

SPIKE = 0.30  # away from both neighbours, which agree with each other to BACK
BACK = 0.10
LIQUID = 0.8  # a symbol that trades in this share of the bars of its session has a gap when it pauses
GAP_BARS = 5
ZERO_VOLUME = 0.05
NAMES = {seconds: name for name, seconds in TIMEFRAMES.items()}

Array = NDArray[np.float64]


class Finding(Record, frozen=True, kw_only=True):
    """One thing to look at; `session` is None for what holds for a whole series."""

    kind: str  # gap | missing-session | split | bad-tick | zero-volume
    source: str
    timeframe: str
    symbol: str
    session: date | None
    count: int
    detail: str


def check(store: BarStore, calendar: Calendar, *, session: date | None = None) -> list[Finding]:
    """Findings of all series, or of one session, by source, timeframe, symbol and session."""
    found = [*_daily(store, calendar, session), *_intraday(store, calendar, session)]
    return sorted(found, key=lambda f: (f.source, f.timeframe, f.symbol, f.session or date.min, f.kind))


def _daily(store: BarStore, calendar: Calendar, session: date | None) -> Iterator[Finding]:
    names = {i: symbol for symbol, i in store.axis().items()}
    for source in sorted({s.source for s in store.series(timeframe_s=DAY_S)}):
        known = store.daily_days(source)
        first, last = date.fromisoformat(known[0]), date.fromisoformat(known[-1])
        if session is not None:
            first, last = max(first, session - timedelta(days=10)), min(last, session + timedelta(days=10))
        days = [s.day for s in calendar.between(first, last)]
        if not days:
            continue
        panel = _panel(store, source, days, len(names))
        for i, symbol in names.items():
            for finding in _daily_symbol(source, symbol, days, panel[:, :, i]):
                if session is None or finding.session == session:
                    yield finding


def _panel(store: BarStore, source: str, days: Sequence[date], width: int) -> Array:
    """[field, day, symbol] of one source; NaN where there is no bar."""
    row_of = {day.isoformat(): t for t, day in enumerate(days)}
    panel = np.full((len(FIELDS), len(days), width), np.nan)
    for f, field in enumerate(FIELDS):
        for day, blob in store.daily(source, field, days[0].isoformat(), days[-1].isoformat()):
            if day in row_of:
                values = np.frombuffer(blob, dtype="<f8")
                panel[f, row_of[day], : len(values)] = values
    return panel


def _daily_symbol(source: str, symbol: str, days: Sequence[date], bars: Array) -> Iterator[Finding]:
    def finding(kind: str, t: int | None, detail: str, count: int = 1) -> Finding:
        session = None if t is None else days[t]
        return Finding(
            kind=kind, source=source, timeframe="1d", symbol=symbol, session=session, count=count, detail=detail
        )

    opens, close, volume = bars[0], bars[3], bars[4]
    there = np.flatnonzero(~np.isnan(close))
    if not len(there):
        return
    for t in range(int(there[0]), int(there[-1])):
        if np.isnan(close[t]):
            yield finding("missing-session", t, "no daily bar, but bars before and after")
    c = close[there]
    spikes = _spikes(c)
    for k in spikes:
        yield finding("bad-tick", int(there[k]), f"close {c[k]:g} between {c[k - 1]:g} and {c[k + 1]:g}")
    for k in (np.flatnonzero(np.abs(np.log(c[1:] / c[:-1])) > np.log(1.8)) + 1).tolist():
        t = int(there[k])
        if looks_split(c[k - 1], opens[t]) and not {k, k - 1} & set(spikes):
            yield finding("split", t, f"opens at {opens[t]:g} after a close of {c[k - 1]:g}: an unadjusted split?")
    zero = int((volume[there] == 0).sum())
    if zero > ZERO_VOLUME * len(there):
        yield finding("zero-volume", None, f"{zero} of {len(there)} bars have no volume", zero)


def _spikes(c: Array) -> list[int]:
    """Places where one price lies 30 % off two neighbours that agree."""
    if len(c) < 3:
        return []
    before, here, after = c[:-2], c[1:-1], c[2:]
    off = (np.abs(here / before - 1) > SPIKE) & (np.abs(here / after - 1) > SPIKE) & (np.abs(after / before - 1) < BACK)
    return [int(k) + 1 for k in np.flatnonzero(off)]


def _intraday(store: BarStore, calendar: Calendar, session: date | None) -> Iterator[Finding]:
    names = {i: symbol for symbol, i in store.axis().items()}
    first, last = (str(session),) * 2 if session else ("", "9999-12-31")
    zero: Counter[tuple[str, int, int]] = Counter()
    held: dict[tuple[str, int], dict[str, set[int]]] = {}  # (source, timeframe) -> session -> places
    spans: dict[tuple[str, int, int], tuple[str, str]] = {}
    total: Counter[tuple[str, int, int]] = Counter()
    for day in store.intraday_sessions(first, last):
        keys = store.keys(day)
        hours = calendar.on(date.fromisoformat(day))
        for key, blob in zip(keys, store.blobs(day, keys, 2**40), strict=True):
            series = key.source, key.timeframe_s, key.i
            bars = np.frombuffer(blob, dtype="<f8").reshape(-1, COLUMNS)
            held.setdefault(series[:2], {}).setdefault(day, set()).add(key.i)
            spans[series] = spans.get(series, (day, day))[0], day
            zero[series] += int((bars[:, 5] == 0).sum())
            total[series] += len(bars)
            for kind, count, detail in _session_faults(bars, key.timeframe_s, hours):
                yield _finding(kind, series, names, date.fromisoformat(day), count, detail)
    for series, count in zero.items():
        if count > ZERO_VOLUME * total[series]:
            yield _finding("zero-volume", series, names, session, count, f"{count} of {total[series]} have no volume")
    for (source, timeframe_s), days in held.items():
        for day, places in days.items():
            for i in {i for (s, t, i) in spans if (s, t) == (source, timeframe_s)} - places:
                start, end = spans[source, timeframe_s, i]
                if start < day < end:
                    series, at = (source, timeframe_s, i), date.fromisoformat(day)
                    yield _finding("missing-session", series, names, at, 1, "no bars, but sessions before and after")


def _finding(
    kind: str, series: tuple[str, int, int], names: dict[int, str], session: date | None, count: int, detail: str
) -> Finding:
    source, seconds, i = series
    timeframe = NAMES.get(seconds, f"{seconds}s")
    return Finding(
        kind=kind, source=source, timeframe=timeframe, symbol=names[i], session=session, count=count, detail=detail
    )


def _session_faults(bars: Array, seconds: int, hours: Session | None) -> Iterator[tuple[str, int, str]]:
    """(kind, count, detail) of one symbol and session."""
    start, close = bars[:, 0], bars[:, 4]
    spikes = _spikes(close)
    if spikes:
        k = spikes[0]
        yield "bad-tick", len(spikes), f"{close[k]:g} between {close[k - 1]:g} and {close[k + 1]:g}"
    if hours is None:
        return
    opens, closes = hours.open.timestamp(), hours.close.timestamp()
    regular = start[(start >= opens) & (start < closes)]
    expected = (closes - opens) / seconds
    if len(regular) < LIQUID * expected and len(regular) < expected - GAP_BARS:
        return  # it trades now and then: a pause says nothing
    edges = np.r_[opens - seconds, regular, closes]
    pauses = np.rint(np.diff(edges) / seconds) - 1
    if len(pauses) and pauses.max() >= GAP_BARS:
        k = int(np.argmax(pauses))
        minute = int((edges[k] + seconds - opens) // 60)
        yield "gap", int(pauses[pauses > 0].sum()), f"{int(pauses.max())} bars in a row, from open+{minute}m"
