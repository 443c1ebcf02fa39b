"""All symbols at once: complete daily rows, and today as it was visible at the anchor.

Blobs are joined into one buffer and cut up by numpy; nothing here loops over bars.
The shapes are those of strategies/base.py.
"""

from collections.abc import Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tradekit.errors import UsageError
from tradekit.market.bars import COLUMNS, DAY_S, FIELDS, ROW_BYTES, Key
from tradekit.market.market import choose_source
from tradekit.model import Session
from tradekit.strategies.base import Array, Panel, Today

if TYPE_CHECKING:
    from tradekit.market.market import Market

USUAL_SESSIONS = 20
USUAL_MIN = 10
NORMAL_MINUTES = 390
SHARE = (  # how much of an average day has traded by the minute, of 390
    (0, 0.0), (1, 0.02), (5, 0.05), (15, 0.10), (30, 0.17), (60, 0.28), (120, 0.44),
    (180, 0.56), (240, 0.66), (300, 0.76), (360, 0.86), (375, 0.90), (390, 1.0),
)  # fmt: skip
EXTENDED_S = 1800  # a pre-market trade older than this is no price
LOOK_BACK = 60  # calendar sessions searched for sessions of the same length
HALF_LOOK_BACK = 2600


def build(market: "Market", symbols: Sequence[str], at: datetime, lookback: int, session: date) -> Panel:
    """`lookback` complete sessions before `session` [time, symbol], and a last row: `session` as seen at `at`.

    The last row of open..volume is NaN: nobody knows that bar yet, `today` says what is visible of it.
    Raises UsageError when `session` is not one.
    """
    hours = market.calendar.on(session)
    if hours is None:
        raise UsageError(f"{session} is not a session of this calendar", "tradekit config session shows them")
    past = market.calendar.before(session, max(lookback, USUAL_SESSIONS))
    feeds = Feeds(market, symbols, session)
    history = feeds.history(past)
    rows = min(lookback, len(past)) + 1
    n = len(symbols)

    def with_today(values: Array) -> Array:
        return np.concatenate([values[len(past) - rows + 1 :], np.full((1, n), np.nan)])

    return Panel(
        symbols=tuple(symbols),
        time=(*(s.day for s in past[len(past) - rows + 1 :]), session),
        open=with_today(history[0]),
        high=with_today(history[1]),
        low=with_today(history[2]),
        close=with_today(history[3]),
        volume=with_today(history[4]),
        today=_last_row(feeds.today(hours, at, past, history[4]), rows),
        at=at,
    )


def surge(market: "Market", symbol: str, session: date, at: datetime) -> float | None:
    """Regular volume so far / usual volume by now (RVOL) of one symbol; None where either is unknown."""
    hours = market.calendar.on(session)
    if hours is None:
        return None
    past = market.calendar.before(session, USUAL_SESSIONS)
    feeds = Feeds(market, [symbol], session)
    today = feeds.today(hours, at, past, feeds.history(past)[4])
    ratio = float(today.volume[0] / today.usual[0])
    return None if np.isnan(ratio) else ratio


def _last_row(row: Today, rows: int) -> Today:
    """One row of today as a panel: the rows before it NaN (False)."""
    filled = {}
    for name in (f.name for f in fields(row)):
        values = getattr(row, name)
        empty = False if values.dtype == np.bool_ else np.nan
        filled[name] = np.full((rows, len(values)), empty, dtype=values.dtype)
        filled[name][-1] = values
    return Today(**filled)


class Feeds:
    """Which series each symbol of a panel is read from, and the reading; arrays are [symbol] or [time, symbol]."""

    def __init__(self, market: "Market", symbols: Sequence[str], session: date) -> None:
        self.market = market
        self.store = market.store
        self.symbols = symbols
        axis = market.store_axis()
        self.places = np.array([axis.get(symbol, -1) for symbol in symbols], dtype=np.intp)
        self.column = {int(place): k for k, place in enumerate(self.places) if place >= 0}
        self.daily = self._daily_sources(session)

    def _daily_sources(self, session: date) -> list[str | None]:
        past = self.market.calendar.previous(session)
        cut = past.day.isoformat() if past else ""
        if len(self.symbols) < 50:
            return [self.market.daily_source(symbol, session) for symbol in self.symbols]
        found = self.store.daily_spans()
        if len({source for _, source, _, _ in found}) == 1 and self.market.source in (None, found[0][1]):
            known = {place for place, _, first, _ in found if first <= cut}  # one feed, as most desks have
            return [found[0][1] if place in known else None for place in self.places.tolist()]
        spans: dict[int, list[tuple[str, str, str]]] = {}
        for place, source, first, last in found:
            spans.setdefault(place, []).append((source, first, last))
        nothing: list[tuple[str, str, str]] = []
        return [choose_source(spans.get(place, nothing), cut, self.market.source) for place in self.places.tolist()]

    def history(self, past: list[Session]) -> Array:
        """[5, time, symbol]: stored daily rows; where one is missing, built from regular intraday bars of the feed."""
        found = np.full((len(FIELDS), len(past), len(self.symbols)), np.nan)
        if not past or not self.symbols:
            return found
        for source in sorted({s for s in self.daily if s}):
            columns = np.array([k for k, s in enumerate(self.daily) if s == source], dtype=np.intp)
            self._read_daily(found, source, columns, [s.day.isoformat() for s in past])
        for t in np.flatnonzero(np.isnan(found[3]).any(axis=1)):
            holes = np.isnan(found[3, t])
            keys = [key for key in self._finest(past[t], self.daily) if holes[self.column[key.i]]]
            if keys:
                columns = np.array([self.column[key.i] for key in keys])
                found[:, t, columns] = self._rows(past[t], keys, past[t].close.timestamp() + DAY_S)[:5]
        return found

    def _read_daily(self, found: Array, source: str, columns: NDArray[np.intp], days: list[str]) -> None:
        """Fill the columns of one source's symbols from its daily blobs."""
        row_of = {day: t for t, day in enumerate(days)}
        everybody = len(columns) == len(self.symbols)
        for f, field in enumerate(FIELDS):
            blobs = [b for b in self.store.daily(source, field, days[0], days[-1]) if b[0] in row_of]
            if not blobs:
                continue
            wide = max(max(len(data) for _, data in blobs) // 8, int(self.places.max()) + 1)
            nan = np.array([np.nan], dtype="<f8").tobytes()
            buffer = b"".join(data + nan * (wide - len(data) // 8) for _, data in blobs)
            values = np.frombuffer(buffer, dtype="<f8").reshape(len(blobs), wide)[:, self.places[columns]]
            rows = np.array([row_of[day] for day, _ in blobs], dtype=np.intp)
            if everybody:
                found[f, rows] = values
            else:
                found[f, rows[:, None], columns[None, :]] = values

    def _keys(self, session: Session) -> list[Key]:
        name = ("keys", session.day)
        if name not in self.market.cache:
            self.market.cache[name] = self.store.keys(session.day.isoformat())
        keys: list[Key] = self.market.cache[name]
        return keys

    def _finest(self, session: Session, wanted: Sequence[str | None]) -> list[Key]:
        """Each symbol's finest blob of a session, from its `wanted` source where that is named."""
        found: dict[int, Key] = {}
        for key in self._keys(session):
            k = self.column.get(key.i)
            if k is not None and key.i not in found and key.source == (wanted[k] or self.market.source or key.source):
                found[key.i] = key
        return list(found.values())

    def _bars(self, session: Session, keys: list[Key], until_s: float) -> tuple[Array, NDArray[np.intp], Array]:
        """Bars [n, 6] of `keys` one after the other, the index of each bar's key, and each bar's end.

        Some may end after `until_s`.
        """
        blobs = self.store.blobs(session.day.isoformat(), keys, int(until_s))
        bars = np.frombuffer(b"".join(blobs), dtype="<f8").reshape(-1, COLUMNS)
        counts = np.array([len(blob) // ROW_BYTES for blob in blobs], dtype=np.intp)
        owner = np.repeat(np.arange(len(keys)), counts)
        seconds = np.array([key.timeframe_s for key in keys], dtype=float)
        return bars, owner, bars[:, 0] + seconds[owner]

    def _rows(self, session: Session, keys: list[Key], until_s: float) -> Array:
        """[5, key]: open, high, low, close, volume of the regular bars that ended by `until_s`; NaN without any."""
        bars, owner, ends = self._bars(session, keys, until_s)
        start = bars[:, 0]
        seen = (ends > session.open.timestamp()) & (start < session.close.timestamp()) & (ends <= until_s)
        bars, owner = bars[seen], owner[seen]
        rows = np.full((5, len(keys)), np.nan)
        if not len(bars):
            return rows
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
        there = owner[first]
        rows[0, there] = bars[first, 1]
        rows[1, there] = np.maximum.reduceat(bars[:, 2], first)
        rows[2, there] = np.minimum.reduceat(bars[:, 3], first)
        rows[3, there] = bars[np.r_[first[1:], len(bars)] - 1, 4]
        rows[4, there] = np.add.reduceat(bars[:, 5], first)
        return rows

    def _volumes(self, session: Session, keys: list[Key], elapsed_s: Array) -> Array:
        """[key]: regular volume in the first `elapsed_s` [key] seconds; a bar that spans the cut counts by its part."""
        cut = session.open.timestamp() + elapsed_s
        bars, owner, ends = self._bars(session, keys, float(cut.max()) + max(key.timeframe_s for key in keys))
        start = bars[:, 0]
        part = np.clip((cut[owner] - start) / (ends - start), 0.0, 1.0)
        regular = (ends > session.open.timestamp()) & (start < session.close.timestamp())
        volumes: Array = np.bincount(owner, weights=bars[:, 5] * part * regular, minlength=len(keys)).astype(np.float64)
        return volumes

    def today(self, session: Session, at: datetime, past: list[Session], volume: Array) -> Today:
        """One row [symbol] of what is visible of `session` at `at`; `volume` is the history's [time, symbol]."""
        n = len(self.symbols)
        rows = np.full((5, n), np.nan)
        seconds = np.full(n, np.nan)
        source: list[str | None] = [None] * n
        phase = np.zeros(n)  # hourly bars may start at :00 or at :30
        keys = self._finest(session, [None] * n)
        if keys:
            columns = np.array([self.column[key.i] for key in keys])
            rows[:, columns] = self._rows(session, keys, at.timestamp())
            seconds[columns] = [key.timeframe_s for key in keys]
            phase[columns] = [key.first_s % key.timeframe_s for key in keys]
            for key, k in zip(keys, columns, strict=True):
                source[k] = key.source
        now = min(at, session.close).timestamp() - phase
        elapsed_s = (
            np.floor(now / seconds) * seconds + phase - session.open.timestamp()
        )  # what own bars can have covered
        if session.close <= at:
            self._from_daily(session, rows, elapsed_s, source)
        usual, cross = self._usual(session, past, volume, elapsed_s, np.isnan(seconds), source)
        return Today(
            open=rows[0], high=rows[1], low=rows[2], price=rows[3], volume=rows[4], usual=usual,
            last_extended=self._extended(at), cross_feed=cross,
        )  # fmt: skip

    def _from_daily(self, session: Session, rows: Array, elapsed_s: Array, source: list[str | None]) -> None:
        """After the close a symbol without intraday bars is seen through its daily bar."""
        daily = self.history([session])[:, 0]
        for k in np.flatnonzero(np.isnan(rows[3]) & ~np.isnan(daily[3])):
            rows[:, k] = daily[:, k]
            elapsed_s[k] = (session.close - session.open).total_seconds()
            source[k] = self.daily[k]

    def _usual(
        self, session: Session, past: list[Session], volume: Array, elapsed_s: Array,
        daily_only: NDArray[np.bool_], source: list[str | None],
    ) -> tuple[Array, NDArray[np.bool_]]:  # fmt: skip
        """[symbol] usual regular volume by now, and where the feeds of daily and intraday volume cannot be compared."""
        wanted = np.nan_to_num(elapsed_s) > 0
        usual = np.full(len(self.symbols), np.nan)
        own = wanted & ~daily_only
        if own.any():
            usual[own] = self._own_usual(session, elapsed_s, source, own)[own]
        rest = wanted & np.isnan(usual)
        cross = np.zeros(len(self.symbols), dtype=bool)
        if not rest.any():
            return usual, cross
        recent = volume[-USUAL_SESSIONS:]
        known = (~np.isnan(recent)).sum(axis=0)
        average = np.where(known >= USUAL_MIN, np.nansum(recent, axis=0) / np.maximum(known, 1), np.nan)
        typical = median(s.minutes for s in past[-USUAL_SESSIONS:]) if past else session.minutes
        minute = elapsed_s[rest] / 60 * NORMAL_MINUTES / session.minutes
        share = np.interp(minute, [m for m, _ in SHARE], [s for _, s in SHARE])
        usual[rest] = share * average[rest] * session.minutes / typical
        other = [k for k in np.flatnonzero(rest).tolist() if source[k] and self.daily[k] and source[k] != self.daily[k]]
        if other:
            scale = self._scale(session, other, source)
            usual[other] *= scale
            cross[other] = np.isnan(scale)
        usual[~(usual > 0)] = np.nan  # nothing usually trades by now: no ratio
        return usual, cross

    def _own_usual(self, session: Session, elapsed_s: Array, source: list[str | None], own: NDArray[np.bool_]) -> Array:
        """Mean of the symbol's own volume by now over the last 20 (at least 10) sessions of the same length."""
        span = LOOK_BACK if not session.half else HALF_LOOK_BACK
        same = [s for s in self.market.calendar.before(session.day, span) if s.minutes == session.minutes]
        total, count = np.zeros(len(own)), np.zeros(len(own), dtype=int)
        for past in same[-USUAL_SESSIONS:]:
            keys = [key for key in self._finest(past, source) if own[self.column[key.i]]]
            if keys:
                columns = np.array([self.column[key.i] for key in keys])
                total[columns] += self._volumes(past, keys, elapsed_s[columns])
                count[columns] += 1
        return np.where(count >= USUAL_MIN, total / np.maximum(count, 1), np.nan)

    def _scale(self, session: Session, other: list[int], source: list[str | None]) -> Array:
        """Median of summed minutes / daily volume over up to 20 sessions that both feeds have; NaN with none."""
        ratios: list[list[float]] = [[] for _ in other]
        days = self.store.intraday_sessions("", (session.day - timedelta(days=1)).isoformat())
        for day in reversed(days[-2 * USUAL_SESSIONS :]):
            past = self.market.calendar.on(date.fromisoformat(day))
            keys = {self.column[key.i]: key for key in self._finest(past, source)} if past else {}
            both = [k for k in other if k in keys]
            if past is None or not both:
                continue
            summed = self._rows(past, [keys[k] for k in both], past.close.timestamp() + DAY_S)[4]
            official = self.history([past])[4, 0, both]
            for k, ratio in zip(both, summed / np.where(official > 0, official, np.nan), strict=True):
                if not np.isnan(ratio) and len(ratios[other.index(k)]) < USUAL_SESSIONS:
                    ratios[other.index(k)].append(float(ratio))
        return np.array([median(found) if found else np.nan for found in ratios])

    def _extended(self, at: datetime) -> Array:
        """[symbol] the last price outside regular hours whose bar ended within 30 minutes of `at`; NaN while open."""
        found = np.full(len(self.symbols), np.nan)
        day = self.market.calendar.on(self.market.calendar.day(at))
        if day is None or self.market.calendar.at(at) is not None:
            return found
        keys = self._finest(day, [None] * len(self.symbols))
        if not keys:
            return found
        bars, owner, ends = self._bars(day, keys, at.timestamp())
        outside = (ends <= day.open.timestamp()) | (bars[:, 0] >= day.close.timestamp())
        seen = outside & (ends <= at.timestamp()) & (ends > at.timestamp() - EXTENDED_S)
        columns = np.array([self.column[key.i] for key in keys])
        found[columns[owner[seen]]] = bars[seen, 4]  # the last bar of a symbol is written last
        return found
