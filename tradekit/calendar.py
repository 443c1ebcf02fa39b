"""Sessions of one exchange, from the table that `init` wrote; never from an import of a calendar library."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tradekit.model import Session

ASKED = 256  # moments whose day is remembered


class Calendar(Protocol):
    """Which sessions there are. Days are the exchange's dates, times are aware UTC."""

    @property
    def around_the_clock(self) -> bool: ...

    @property
    def zone(self) -> ZoneInfo: ...

    def day(self, at: datetime) -> date:
        """The exchange's date at `at`."""
        ...

    def on(self, day: date) -> Session | None: ...

    def at(self, at: datetime) -> Session | None:
        """The session that is open at `at` (open <= at < close)."""
        ...

    def previous(self, day: date, n: int = 1) -> Session | None:
        """The n-th session before `day`."""
        ...

    def next(self, day: date) -> Session | None: ...

    def before(self, day: date, n: int) -> list[Session]:
        """Up to n sessions before `day`, oldest first."""
        ...

    def between(self, first: date, last: date) -> list[Session]:
        """Sessions from `first` to `last`, both included."""
        ...


def last_moment(session: Session, *, around_the_clock: bool) -> datetime:
    """The last moment whose fills are the session's: its close, where auctions fill; 24/7 the one before midnight,
    when the first fills of the next session come.
    """
    return session.close - timedelta(microseconds=1) if around_the_clock else session.close


class ExchangeCalendar:
    """A calendar over a sorted table of sessions."""

    around_the_clock = False

    def __init__(self, sessions: Sequence[Session], zone: str) -> None:
        self._sessions = sorted(sessions)
        self._days = [session.day for session in self._sessions]
        self._zone = ZoneInfo(zone)
        self._asked: dict[datetime, date] = {}  # a pass asks for the same few moments thousands of times

    @property
    def zone(self) -> ZoneInfo:
        return self._zone

    def day(self, at: datetime) -> date:
        found = self._asked.get(at)
        if found is None:
            if len(self._asked) >= ASKED:
                self._asked.clear()
            found = self._asked[at] = at.astimezone(self._zone).date()
        return found

    def on(self, day: date) -> Session | None:
        i = bisect_left(self._days, day)
        return self._sessions[i] if i < len(self._days) and self._days[i] == day else None

    def at(self, at: datetime) -> Session | None:
        session = self.on(self.day(at))
        return session if session and session.open <= at < session.close else None

    def previous(self, day: date, n: int = 1) -> Session | None:
        i = bisect_left(self._days, day) - n
        return self._sessions[i] if 0 <= i < len(self._days) else None

    def next(self, day: date) -> Session | None:
        i = bisect_right(self._days, day)
        return self._sessions[i] if i < len(self._days) else None

    def before(self, day: date, n: int) -> list[Session]:
        i = bisect_left(self._days, day)
        return self._sessions[max(0, i - n) : i]

    def between(self, first: date, last: date) -> list[Session]:
        return self._sessions[bisect_left(self._days, first) : bisect_right(self._days, last)]


class AllDayCalendar:
    """24/7: every UTC date is a session from midnight to midnight; no table, no holidays."""

    around_the_clock = True
    zone = ZoneInfo("UTC")

    def day(self, at: datetime) -> date:
        return at.astimezone(UTC).date()

    def on(self, day: date) -> Session | None:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return Session(day, start, start + timedelta(days=1), False)

    def at(self, at: datetime) -> Session | None:
        return self.on(self.day(at))

    def previous(self, day: date, n: int = 1) -> Session | None:
        return self.on(day - timedelta(days=n))

    def next(self, day: date) -> Session | None:
        return self.on(day + timedelta(days=1))

    def before(self, day: date, n: int) -> list[Session]:
        return self.between(day - timedelta(days=n), day - timedelta(days=1))

    def between(self, first: date, last: date) -> list[Session]:
        span = (last - first).days + 1
        return [s for i in range(span) if (s := self.on(first + timedelta(days=i)))]
