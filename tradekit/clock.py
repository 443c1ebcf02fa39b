"""The only module that asks what time it is; everything else is handed a Clock."""

import time
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Protocol

import msgspec

from tradekit.errors import UsageError


class Clock(Protocol):
    """What a desk needs to know of time. `name` is for run rows and people: system, virtual or scaled."""

    @property
    def name(self) -> str: ...

    @property
    def passes(self) -> bool:
        """Time goes by of itself, with the host's: slots fall due, logins age. False: somebody has to move it."""
        ...

    @property
    def host_limits(self) -> bool:
        """A step takes time here, so that seconds of the host may cut it short; False: it ends when it ends."""
        ...

    @property
    def stands_at_records(self) -> bool:
        """What is piped in is worked on at its own time, whatever was looked at since; False: now is now."""
        ...

    @property
    def leads_venue(self) -> bool:
        """A simulated venue has no time but this one and is told it with each call."""
        ...

    def now(self) -> datetime:
        """The present, an aware UTC time."""
        ...

    def sleep(self, seconds: float) -> None: ...

    def monotonic(self) -> float:
        """Seconds that only go forward, for durations and deadlines."""
        ...


class SystemClock:
    """The host's own clock."""

    name = "system"
    passes = host_limits = True
    stands_at_records = leads_venue = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """Stands still until somebody moves it: replays and tests. Never goes backwards."""

    name = "virtual"
    passes = host_limits = False
    stands_at_records = leads_venue = True

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def set(self, at: datetime) -> None:
        """Move to `at`; an earlier time is ignored."""
        self._at = max(self._at, at)

    def sleep(self, seconds: float) -> None:
        self._at += timedelta(seconds=max(0.0, seconds))

    def monotonic(self) -> float:
        return self._at.timestamp()


class ScaledClock:
    """Starts at `at` and runs `rate` times as fast as the host.

    `start` is the host's monotonic second at which it showed `at`: processes that share the three share the time.
    """

    name = "scaled"
    passes = host_limits = True
    stands_at_records = leads_venue = False

    def __init__(self, at: datetime, rate: float, start: float | None = None) -> None:
        self._at, self._rate, self._start = at, rate, time.monotonic() if start is None else start

    @property
    def rate(self) -> float:
        """Its seconds in one of the host's."""
        return self._rate

    def text(self) -> str:
        """What TRADEKIT_CLOCK has to say for another process to have this very time."""
        return f"{iso(self._at)}@{self._rate:g}@{self._start!r}"

    def now(self) -> datetime:
        return self._at + timedelta(seconds=(time.monotonic() - self._start) * self._rate)

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) / self._rate)

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self._rate


def clock_from(text: str | None) -> Clock:
    """The clock that TRADEKIT_CLOCK asks for: empty, `ISO` (stands still) or `ISO@rate`.

    `ISO@rate@start` (see ScaledClock) is what a supervisor tells its children. Raises UsageError for other texts.
    """
    if not text:
        return SystemClock()
    shown, _, rate = text.partition("@")
    rate, _, start = rate.partition("@")
    try:
        at = parse_time(shown)
        speed = float(rate) if rate else None
        since = float(start) if start else None
    except ValueError:
        raise UsageError(
            f"TRADEKIT_CLOCK={text} is not a time",
            "write TRADEKIT_CLOCK=2026-02-13T14:35:00Z or, sixty times as fast, ...Z@60",
        ) from None
    if speed is None:
        return ManualClock(at)
    if not 0 < speed < inf:
        raise UsageError(f"TRADEKIT_CLOCK={text}: the rate must be a number above 0", "leave @rate away")
    return ScaledClock(at, speed, since)


def was_the_hosts(name: str) -> bool:
    """Whether a run row's times are the host's own; rows keep the name of their clock and no more of it."""
    return name == SystemClock.name


def awake_and_asleep() -> tuple[float, float]:
    """Seconds since the host started, without and with the time it was suspended."""
    return time.monotonic(), time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def parse_time(text: str) -> datetime:
    """An aware UTC time from ISO-8601 text; no zone means UTC. Raises ValueError."""
    at = datetime.fromisoformat(text.strip())
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def iso(at: datetime) -> str:
    """`2026-02-13T14:35:00Z`, with as many fraction digits as the time has."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return msgspec.json.encode(at).decode()[1:-1]  # six times as fast as isoformat
