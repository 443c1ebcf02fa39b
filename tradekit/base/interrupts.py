"""SIGINT, SIGTERM, SIGHUP and a time limit end a command between two steps of an order, never inside one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(SystemExit):
    """A signal asked the command to end; the code is 130 for Ctrl-C, else 143."""


class OutOfTime(SystemExit):
    """What was to be done in `limited` time took longer; the code is 5. No step catches it for an error of its own."""


class _State:
    depth = 0
    waiting: int | None = None


def _handle(number: int, _frame: FrameType | None) -> None:
    if _State.depth:
        _State.waiting = number
        return
    if number == signal.SIGALRM:
        raise OutOfTime(5)
    raise Interrupted(130 if number == signal.SIGINT else 143)


@contextmanager
def handled() -> Iterator[None]:
    """Turn the three signals into Interrupted while this lasts; outside the main thread it does nothing."""
    old: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            old[number] = signal.signal(number, _handle)
    except ValueError:
        pass
    try:
        yield
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise OutOfTime in what takes longer, in host seconds; None, or outside the main thread: no limit.

    Inside another one the outer limit goes on counting.
    """
    if seconds is None:
        yield
        return
    from tradekit.clock import SystemClock

    try:
        old = signal.signal(signal.SIGALRM, _handle)
    except ValueError:
        yield
        return
    clock, outer = SystemClock(), signal.getitimer(signal.ITIMER_REAL)[0]
    began = clock.monotonic()
    signal.setitimer(signal.ITIMER_REAL, max(0.001, min(seconds, outer or seconds)))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        if _State.waiting == signal.SIGALRM:
            _State.waiting = None
        if outer:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, outer - (clock.monotonic() - began)))


def signalled() -> bool:
    """Has a signal come while this was `shielded`? Long work in there asks now and then, and stops."""
    return _State.waiting is not None


@contextmanager
def shielded() -> Iterator[None]:
    """What happens in here is finished first; a signal that came meanwhile is raised at the end."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if not _State.depth and _State.waiting is not None:
        waiting, _State.waiting = _State.waiting, None
        _handle(waiting, None)
