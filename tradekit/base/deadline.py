"""One budget of waiting for a whole command: locks, calls to the outside and pauses all draw on it.

Work ends first; the last part is kept for what must not be cut short: an order on the wire, and writing down what
happened. Seconds are the host's. Threads and processes have budgets of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import NamedTuple

from tradekit.clock import SystemClock

KEPT_SHARE, MOST_KEPT_S = 0.1, 10.0  # of a budget, for finishing


class Budget(NamedTuple):
    """Host seconds (monotonic) at which work and finishing end."""

    work: float = inf
    finish: float = inf


_clock = SystemClock()
UNLIMITED = Budget()
_budget: ContextVar[Budget] = ContextVar("budget", default=UNLIMITED)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """A command's budget, `seconds` in all; None: no limit. Inside another one the shorter counts."""
    if seconds is None:
        yield
        return
    outer, now = _budget.get(), _clock.monotonic()
    kept = min(KEPT_SHARE * seconds, MOST_KEPT_S)
    with _set(Budget(min(outer.work, now + seconds - kept), min(outer.finish, now + seconds))):
        yield


@contextmanager
def step(seconds: float) -> Iterator[None]:
    """Work in here is over after `seconds`; what it takes to finish may still use the command's budget."""
    outer = _budget.get()
    with _set(outer._replace(work=min(outer.work, _clock.monotonic() + seconds))):
        yield


@contextmanager
def share(part: float) -> Iterator[None]:
    """Work in here has `part` of the time that is left (a fraction), so that what follows has the rest."""
    with step(left(inf) * part):
        yield


@contextmanager
def finishing() -> Iterator[None]:
    """What was begun and must not stay half done may use the part that is kept for finishing."""
    outer = _budget.get()
    with _set(outer._replace(work=outer.finish)):
        yield


@contextmanager
def last_words(seconds: float) -> Iterator[None]:
    """What has to be written down at the very end has `seconds` of its own, however little of the budget is left."""
    outer, end = _budget.get(), _clock.monotonic() + seconds
    with _set(Budget(max(outer.work, end), max(outer.finish, end))):
        yield


def left(seconds: float) -> float:
    """The shorter of `seconds` and what is left to work, never below 0."""
    end = _budget.get().work
    return seconds if end == inf else max(0.0, min(seconds, end - _clock.monotonic()))


def left_to_finish(seconds: float) -> float:
    """The same with the part that is kept for finishing."""
    end = _budget.get().finish
    return seconds if end == inf else max(0.0, min(seconds, end - _clock.monotonic()))


def over() -> bool:
    """No time is left to begin anything."""
    return left(inf) <= 0.0


@contextmanager
def _set(budget: Budget) -> Iterator[None]:
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)
