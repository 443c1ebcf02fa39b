"""What was known when: quotes, bars and daily history as of a time that the caller passes in.

An intraday bar is known at its start + timeframe, a daily bar at its session's close. There is no clock here.
Each symbol is read on the finest intraday bars it has in a session; a daily bar never stands in for those.
Extended-hours bars count for quotes and bars, never for a day's row. A bar is of regular hours when it ends after the
open and starts before the close: an hourly bar that starts at 09:00 holds the open of 09:30.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from tradekit.calendar import Calendar
from tradekit.market.bars import COLUMNS, DAY_S, FIELDS, BarStore, doubles
from tradekit.model import PriceBar, Quote, Session
from tradekit.money import dec, wire

if TYPE_CHECKING:
    from tradekit.strategies.base import Panel

TURNOVER_SESSIONS = 20
SPLIT_RATIOS = (2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100)
SPLIT_TOLERANCE = 0.05  # a split's first open is also an overnight gap
CACHED_DAYS = 4000  # symbol-sessions kept in memory; 390 bars of one are about 20 kB


class Row(NamedTuple):
    """One symbol's day: regular hours only, volume in the units of its `source`."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str


class Day:
    """The intraday bars of one symbol in one session, as arrays; PriceBars are made when somebody asks."""

    __slots__ = (
        "_bars",
        "data",
        "regular_first",
        "regular_last",
        "seconds",
        "source",
        "starts",
        "symbol",
    )

    def __init__(
        self,
        symbol: str,
        session: Session | None,
        seconds: int,
        source: str,
        blob: bytes,
    ) -> None:
        self.symbol = symbol
        self.seconds = seconds
        self.source = source
        self.data = doubles(blob)
        self.starts: array[float] = self.data[0::COLUMNS]
        self.regular_first = bisect_right(self.starts, session.open.timestamp() - seconds) if session else 0
        self.regular_last = bisect_left(self.starts, session.close.timestamp()) if session else 0
        self._bars: list[PriceBar | None] = [None] * len(self.starts)

    def visible(self, at_s: float) -> int:
        """How many bars have ended by `at_s`."""
        return bisect_right(self.starts, at_s - self.seconds)

    def bar(self, i: int) -> PriceBar:
        """The i-th bar."""
        bar = self._bars[i]
        if bar is None:
            start, first, high, low, close, volume = self.data[i * COLUMNS : (i + 1) * COLUMNS]
            begin = datetime.fromtimestamp(start, UTC)
            end = begin + timedelta(seconds=self.seconds)
            regular = self.regular_first <= i < self.regular_last
            bar = self._bars[i] = PriceBar(self.symbol, begin, end, first, high, low, close, volume, regular)
        return bar

    def bars(self, first: int, last: int) -> list[PriceBar]:
        """Bars first..last-1."""
        return [self._bars[i] or self.bar(i) for i in range(first, last)]

    def regular(self, first: int, last: int) -> list[tuple[float, ...]]:
        """The regular bars among first..last-1 as floats: start, end (epoch seconds), open, high, low, close."""
        first, last = max(first, self.regular_first), min(last, self.regular_last)
        if last <= first:
            return []
        columns = [self.data[first * COLUMNS + k : last * COLUMNS : COLUMNS] for k in range(5)]
        return list(zip(columns[0], [start + self.seconds for start in columns[0]], *columns[1:], strict=True))

    def row(self, until: int | None = None) -> Row | None:
        """The day's row of the regular bars before index `until` (default: all of them)."""
        first, last = (
            self.regular_first,
            self.regular_last if until is None else min(until, self.regular_last),
        )
        if last <= first:
            return None
        cut = self.data[first * COLUMNS : last * COLUMNS]
        return Row(
            cut[1],
            max(cut[2::COLUMNS]),
            min(cut[3::COLUMNS]),
            cut[-2],
            sum(cut[5::COLUMNS]),
            self.source,
        )


class Market:
    """A desk's eyes. Every answer is what could be known at `at`; nothing here asks the time."""

    def __init__(
        self,
        bars: BarStore,
        calendar: Calendar,
        *,
        source: str | None = None,
        tick: Decimal = Decimal("0.01"),
        ticks: Mapping[str, Decimal] | None = None,
        half_spread: float = 0.0002,
        half_spread_of: Callable[[str], float] | None = None,
    ) -> None:
        self.store = bars
        self.calendar = calendar
        self.source = source
        self._tick, self._ticks = tick, ticks or {}
        self._half_spread = half_spread_of or (lambda symbol: half_spread)
        self._stamp: tuple[int, int] | None = None
        self._seen: datetime | None = None
        self._forget()

    # --- what is in memory

    def _forget(self) -> None:
        self._days: dict[tuple[str, date], Day | None] = {}
        self._sessions: dict[str, list[str]] = {}
        self._spans: dict[str, list[tuple[str, str, str]]] = {}
        self._columns: dict[tuple[str, str, str], array[float]] = {}
        self._quotes: dict[str, Quote | None] = {}  # of the last look
        self.cache: dict[Any, Any] = {}  # for panel.py: what it read of complete sessions

    def refresh(self) -> None:
        """Drop what is in memory if the bar file has changed since it was read."""
        stamp = self.store.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self._forget()

    def _look(self, at: datetime) -> None:
        """A new `at` is a new look: bars may have come in."""
        if at != self._seen:
            self._seen = at
            self._quotes.clear()
            self.refresh()

    def _day(self, symbol: str, day: date) -> Day | None:
        key = (symbol, day)
        try:
            return self._days[key]
        except KeyError:
            if len(self._days) >= CACHED_DAYS:
                self._days.clear()
            found = self._days[key] = self._read_day(symbol, day)
            return found

    def _read_day(self, symbol: str, day: date) -> Day | None:
        iso = day.isoformat()
        rows = self.store.intraday(symbol, iso)
        if self.source is not None:
            rows = [row for row in rows if row[1] == self.source]
        if not rows:
            return None
        seconds, source, blob = rows[0]  # finest first, then by the source's name
        return Day(symbol, self.calendar.on(day), seconds, source, blob)

    def _daily_spans(self, symbol: str) -> list[tuple[str, str, str]]:
        found = self._spans.get(symbol)
        if found is None:
            found = [(s.source, s.first, s.last) for s in self.store.series(symbol, DAY_S)]
            self._spans[symbol] = found
        return found

    def daily_source(self, symbol: str, before: date) -> str | None:
        """Whose daily bars a symbol is read from for sessions before `before`; None without daily bars.

        The settings' source, else the one with the most recent bar in those sessions, else the first by name:
        bars of `before` and later change nothing.
        """
        key = ("daily source", symbol, before)
        if key not in self.cache:
            self.cache[key] = choose_source(self._daily_spans(symbol), self._cut(before), self.source)
        source: str | None = self.cache[key]
        return source

    def _cut(self, before: date) -> str:
        """The last session before a day, as text."""
        past = self.calendar.previous(before)
        return past.day.isoformat() if past else ""

    def _sessions_of(self, symbol: str) -> list[str]:
        found = self._sessions.get(symbol)
        if found is None:
            found = self._sessions[symbol] = self.store.sessions(symbol)
        return found

    # --- intraday

    def symbols(self, at: datetime) -> list[str]:
        """All symbols with a bar in a session up to that of `at`, sorted."""
        self._look(at)
        return self.store.symbols(self.calendar.day(at).isoformat(), self.source)

    def has_intraday(self, first: date, last: date) -> bool:
        """Is there any intraday bar in the sessions from `first` to `last`?"""
        return self.store.has_intraday(first.isoformat(), last.isoformat(), self.source)

    def played(self, symbol: str, since: datetime, until: datetime) -> list[PriceBar]:
        """Bars of the symbol's finest series, any hours, with start >= since and end <= until, in order."""
        found: list[PriceBar] = []
        for day, first, last in self._between(symbol, since, until):
            found += day.bars(first, last)
        return found

    def regular(self, symbol: str, since: datetime, until: datetime) -> list[tuple[float, ...]]:
        """The regular ones of `bars` as floats: start and end in epoch seconds, open, high, low, close."""
        found: list[tuple[float, ...]] = []
        for day, first, last in self._between(symbol, since, until):
            found += day.regular(first, last)
        return found

    def _between(self, symbol: str, since: datetime, until: datetime) -> list[tuple[Day, int, int]]:
        """Each session's bars with the places of those that start at or after `since` and end by `until`."""
        self._look(until)
        since_s, until_s = since.timestamp(), until.timestamp()
        first, last = self.calendar.day(since), self.calendar.day(until)
        if first == last:
            days: Sequence[date] = (first,)
        else:
            known = self._sessions_of(symbol)
            span = known[bisect_left(known, first.isoformat()) : bisect_right(known, last.isoformat())]
            days = [date.fromisoformat(day) for day in span]
        found = [bars for day in days if (bars := self._day(symbol, day))]
        return [(bars, bisect_left(bars.starts, since_s), bars.visible(until_s)) for bars in found]

    def bars(self, symbol: str, since: datetime, until: datetime) -> list[PriceBar]:
        """Complete bars of the finest series, any hours, that start at or after `since` and end by `until`."""
        return self.played(symbol, since, until)

    def last(self, symbol: str, at: datetime) -> PriceBar | None:
        """The last bar of any hours whose end is at or before `at`; a daily one only of a later session."""
        found = self._last(symbol, at)
        return found[0] if found else None

    def _last(self, symbol: str, at: datetime) -> tuple[PriceBar, str | None] | None:
        """The last bar, and its source."""
        self._look(at)
        at_s, today = at.timestamp(), self.calendar.day(at)
        bars = self._day(symbol, today)
        n = bars.visible(at_s) if bars else 0
        if bars and n:
            return bars.bar(n - 1), bars.source
        daily = self._last_daily(symbol, at)
        known = self._sessions_of(symbol)
        for day in reversed(known[: bisect_left(known, today.isoformat())]):
            if daily and day < daily[0].isoformat():
                break
            bars = self._day(symbol, date.fromisoformat(day))
            n = bars.visible(at_s) if bars else 0
            if bars and n:
                return bars.bar(n - 1), bars.source
        return (daily[1], self.daily_source(symbol, daily[0] + timedelta(days=1))) if daily else None

    def at_close(self, symbol: str, session: Session) -> PriceBar | None:
        """`last` at the close of a session that is over; remembered while the bar file stays as it is."""
        key = ("at close", symbol, session.day)
        if key not in self.cache:
            bar = self.last(symbol, session.close)
            self.cache[key] = bar  # after the look, which may have dropped the cache
        found: PriceBar | None = self.cache[key]
        return found

    def _last_daily(self, symbol: str, at: datetime) -> tuple[date, PriceBar] | None:
        today = self.calendar.day(at)
        session = self.calendar.on(today)
        before = today + timedelta(days=1) if session and session.close <= at else today
        source = self.daily_source(symbol, before)
        if source is None:
            return None
        days = self._daily_days(source)
        for day in reversed(days[: bisect_left(days, before.isoformat())]):
            session = self.calendar.on(date.fromisoformat(day))
            if session and (row := self._stored_row(symbol, source, day)):
                return session.day, daily_bar(symbol, session, row)
        return None

    def bar_seconds(self, symbol: str, session: date) -> int | None:
        """Length of the symbol's finest bars in that session; None without intraday bars."""
        bars = self._day(symbol, session)
        return bars.seconds if bars else None

    def timeframe_s(self, symbol: str, session: date) -> int | None:
        """The same as `bar_seconds`."""
        return self.bar_seconds(symbol, session)

    def day_bars(self, symbol: str, session: date, at: datetime) -> list[PriceBar]:
        """The visible regular bars of a session, in order."""
        self._look(at)
        bars = self._day(symbol, session)
        return bars.bars(bars.regular_first, min(bars.regular_last, bars.visible(at.timestamp()))) if bars else []

    def first_open(self, symbol: str, session: date, at: datetime | None = None) -> float | None:
        """The open of the session's first regular bar, if it is visible at `at`; None without one."""
        if at is not None:
            self._look(at)
        bars = self._day(symbol, session)
        if not bars:
            return None
        last = bars.regular_last if at is None else min(bars.regular_last, bars.visible(at.timestamp()))
        return bars.data[bars.regular_first * COLUMNS + 1] if last > bars.regular_first else None

    def today(self, symbol: str, session: date, at: datetime) -> Row | None:
        """The session's row as far as it is visible; None before its first regular bar."""
        self._look(at)
        bars = self._day(symbol, session)
        return bars.row(bars.visible(at.timestamp())) if bars else None

    def recent_volume(self, symbol: str, at: datetime, seconds: int) -> float | None:
        """Volume of the last complete bars that together span `seconds`, up to `at`; None without bars today."""
        self._look(at)
        bars = self._day(symbol, self.calendar.day(at))
        n = bars.visible(at.timestamp()) if bars else 0
        if not bars or not n:
            return None
        end = at.timestamp() // bars.seconds * bars.seconds
        first = bisect_left(bars.starts, end - -(-seconds // bars.seconds) * bars.seconds)
        return float(sum(bars.data[first * COLUMNS : n * COLUMNS][5::COLUMNS]))

    def quote(self, symbol: str, at: datetime) -> Quote | None:
        """Close of the last visible bar with the assumed half spread on each side; None without a bar.

        Half a spread is the larger of half a tick and the symbol's fraction; `at` is the end of that bar.
        """
        self._look(at)
        try:
            return self._quotes[symbol]
        except KeyError:
            found = self._quotes[symbol] = self._quote(symbol, at)
            return found

    def _quote(self, symbol: str, at: datetime) -> Quote | None:
        bar, source = self._last(symbol, at) or (None, None)
        if bar is None or not bar.close > 0:
            return None
        last = dec(bar.close)
        half = min(max(self._ticks.get(symbol, self._tick) / 2, last * dec(self._half_spread(symbol))), last / 2)
        return Quote(
            symbol=symbol,
            at=bar.end,
            bid=wire(last - half),
            ask=wire(last + half),
            last=wire(last),
            last_at=bar.end,
            source=source or "file",
            assumed=True,
            age_s=(at - bar.end).total_seconds(),
        )

    # --- daily

    def _daily_days(self, source: str) -> list[str]:
        key = ("days", source)
        if key not in self.cache:
            self.cache[key] = self.store.daily_days(source)
        days: list[str] = self.cache[key]
        return days

    def _stored_row(self, symbol: str, source: str, day: str) -> Row | None:
        """One symbol's stored daily bar, whatever the time is."""
        i = self.store_axis().get(symbol)
        columns = [self._column(source, field, day) for field in FIELDS]
        if i is None or any(i >= len(column) or column[i] != column[i] for column in columns):
            return None
        first, high, low, close, volume = (column[i] for column in columns)
        return Row(first, high, low, close, volume, source)

    def _column(self, source: str, field: str, day: str) -> "array[float]":
        """One field of one day over the axis; empty where the source has no such day."""
        column = self._columns.get((source, field, day))
        if column is None:
            if len(self._columns) >= CACHED_DAYS:
                self._columns.clear()
            blobs = self.store.daily(source, field, day, day)
            column = self._columns[source, field, day] = doubles(blobs[0][1]) if blobs else array("d")
        return column

    def store_axis(self) -> dict[str, int]:
        """Symbol -> place, read once per state of the file."""
        if "axis" not in self.cache:
            self.cache["axis"] = self.store.axis()
        axis: dict[str, int] = self.cache["axis"]
        return axis

    def row(self, symbol: str, session: date, before: date) -> Row | None:
        """A complete session's row: the stored daily bar, else built from its regular intraday bars of the same feed.

        `before` is the session that is looked at from: it settles which feed is meant.
        """
        source = self.daily_source(symbol, before)
        if source is not None and (row := self._stored_row(symbol, source, session.isoformat())):
            return row
        key = ("row", symbol, session)
        if key not in self.cache:
            bars = self._day(symbol, session)
            self.cache[key] = bars.row() if bars else None
        built: Row | None = self.cache[key]
        return built if built and source in (None, built.source) else None

    def daily(self, symbol: str, session: date, n: int) -> list[PriceBar]:
        """The daily bars of the last n sessions before `session`, oldest first; sessions without one are left out."""
        found = []
        for past in self.calendar.before(session, n):
            if row := self.row(symbol, past.day, session):
                found.append(daily_bar(symbol, past, row))
        return found

    def closes(self, symbol: str, session: date, n: int) -> list[float]:
        """Closes of the last n sessions before `session`, oldest first; sessions without one are left out."""
        return [bar.close for bar in self.daily(symbol, session, n)]

    def last_close_before(self, symbol: str, session: date) -> float | None:
        """The close of the newest daily row in the ten sessions before `session`."""
        key = ("close before", symbol, session)
        if key not in self.cache:
            rows = (self.row(symbol, past.day, session) for past in reversed(self.calendar.before(session, 10)))
            self.cache[key] = next((row.close for row in rows if row), None)
        found: float | None = self.cache[key]
        return found

    def turnover(self, symbols: Sequence[str], session: date, least: int = 1) -> dict[str, float]:
        """Median close x volume of the last 20 sessions before `session`, quote currency a day.

        A symbol with fewer than `least` daily bars among them is left out: its usual turnover is not known.
        """
        found = {}
        for symbol in symbols:
            amounts = [bar.close * bar.volume for bar in self.daily(symbol, session, TURNOVER_SESSIONS)]
            if len(amounts) >= max(1, least):
                found[symbol] = float(median(amounts))
        return found

    def split_today(self, symbol: str, session: date, at: datetime | None = None) -> float | None:
        """The last close / the session's open where that is near a whole number or one over it, as of an unadjusted
        split, else 1.0; None where either is unknown. With `at` only a visible first bar counts.
        """
        yesterday = self.last_close_before(symbol, session)
        opened = self.first_open(symbol, session, at)
        if not yesterday or not opened:
            return None
        return yesterday / opened if looks_split(yesterday, opened) else 1.0

    # --- numpy from here on, in panel.py

    def panel(self, symbols: Sequence[str], at: datetime, lookback: int, session: date) -> "Panel":
        """`lookback` complete sessions and `session` as seen at `at`, for all `symbols`; see panel.build."""
        from tradekit.market.panel import build

        self._look(at)
        return build(self, symbols, at, lookback, session)

    def surge(self, symbol: str, session: date, at: datetime) -> float | None:
        """RVOL: regular volume so far / usual volume by now; None where either is unknown."""
        from tradekit.market.panel import surge

        self._look(at)
        return surge(self, symbol, session, at)

    def context(self, benchmark: str | None, symbols: Sequence[str], at: datetime, session: date,
                panel: "Panel | None" = None, *, band: float = 0.01) -> dict[str, Any]:  # fmt: skip
        """The benchmark's state and the breadth of `symbols` (from `panel`, where there is one); see context.py."""
        from tradekit.market.context import context

        self._look(at)
        return context(self, benchmark, symbols, at, session, panel, band)

    def half_hour_range(self, symbol: str, session: date, at: datetime) -> tuple[float, float] | None:
        """(range of the last complete half hour, mean of that half hour in earlier sessions); see context.py."""
        from tradekit.market.context import half_hour_range

        self._look(at)
        return half_hour_range(self, symbol, session, at)


def choose_source(spans: Sequence[tuple[str, str, str]], cut: str, wanted: str | None) -> str | None:
    """The source of daily bars up to the day `cut`: `wanted`, or the most recent one, or the first by name.

    `spans` are (source, first day, last day), sorted by source.
    """
    best, newest = None, ""
    for source, first, last in spans:
        if first <= cut and wanted in (None, source) and min(last, cut) > newest:
            best, newest = source, min(last, cut)
    return best


def daily_bar(symbol: str, session: Session, row: Row) -> PriceBar:
    """A day's row as a bar from the session's open to its close."""
    return PriceBar(
        symbol,
        session.open,
        session.close,
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        True,
    )


def looks_split(before: float, after: float) -> bool:
    """Is one price close to a whole multiple of the other, as around an unadjusted split?"""
    ratio = max(before, after) / min(before, after)
    if ratio < SPLIT_RATIOS[0] * (1 - SPLIT_TOLERANCE):
        return False
    return any(abs(ratio / whole - 1) <= SPLIT_TOLERANCE for whole in SPLIT_RATIOS)
