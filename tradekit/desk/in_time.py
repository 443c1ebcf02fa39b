"""A command ends within the time that desk.yaml gives it, and says what it did not get to."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Protocol, TypeVar

from tradekit.base import deadline
from tradekit.base.deadline import over, within
from tradekit.base.interrupts import OutOfTime, limited
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert_once
from tradekit.errors import Busy, StoreError, TimeIsOver, UpstreamError, UsageError
from tradekit.store.orders import IllegalTransition

CLASSES = {"monitor-exits": "exits", "cancel": "exits", "liquidate": "liquidate", "enter": "entries"}
BEFORE_THE_ALARM = 0.95  # share of a command's time after which all waits are over
UNBOUNDED = frozenset({"supervise", "notify", "data import", "data synthetic"})  # loops, and work as long as its input


class HasSymbol(Protocol):
    @property
    def symbol(self) -> str: ...


Item = TypeVar("Item", bound=HasSymbol)


def class_of(command: str) -> str | None:
    """The key of `deadlines:` that a command goes by; None: it has no deadline."""
    return None if command in UNBOUNDED else CLASSES.get(command, "other")


def budget(desk: Desk, command: str) -> AbstractContextManager[None]:
    """The time that everything in here draws on; nothing for a command without a deadline."""
    name = class_of(command)
    return within(None if name is None else BEFORE_THE_ALARM * float(getattr(desk.settings.deadlines, name)))


def last_words(desk: Desk, command: str) -> AbstractContextManager[None]:
    """The time after all waits are over that writing down how the command ended may still take."""
    name = class_of(command)
    share = 1 - BEFORE_THE_ALARM
    return nullcontext() if name is None else deadline.last_words(share * getattr(desk.settings.deadlines, name))


@contextmanager
def bounded(desk: Desk, command: str, *, alarm: bool = True) -> Iterator[None]:
    """Give a command, or a pass of a loop, its time. Raises TimeIsOver (5) naming what is left, after an alert.

    Waits end by themselves and steps stop between two positions; `alarm` is for what does neither (a name server that
    is silent): it interrupts between two steps of an order, and is not for loops that go on afterwards.
    """
    name = class_of(command)
    if name is None:
        yield
        return
    seconds = float(getattr(desk.settings.deadlines, name))
    desk.left.clear()
    with budget(desk, command):
        try:
            with limited(seconds) if alarm else nullcontext():
                yield
        except (OutOfTime, TimeIsOver) as end:
            if isinstance(end, OutOfTime) and not alarm:
                raise  # somebody else's alarm
            if isinstance(end, OutOfTime) and name in ("exits", "liquidate"):
                _all_that_is_held(desk)  # interrupted anywhere: nobody counted what was reached
            raise _ran_out(desk, command, name, seconds) from end
        except (UpstreamError, Busy) as problem:
            if desk.left or (isinstance(problem, Busy) and problem.no_time):
                raise _ran_out(desk, command, name, seconds) from problem
            raise
        if desk.left:
            raise _ran_out(desk, command, name, seconds)


def in_time(desk: Desk, items: Iterable[Item]) -> Iterator[Item]:
    """The items one by one for as long as there is time; the symbols of the others go into desk.left."""
    for item in items:
        if over():
            _note_left(desk, item.symbol)
        else:
            yield item


@contextmanager
def one_symbol(desk: Desk, symbol: str) -> Iterator[None]:
    """What goes wrong with one position stops no other; a store, a lock or a desk that cannot be used stops all."""
    try:
        yield
    except IllegalTransition as problem:
        _say(desk, symbol, problem)
    except TimeIsOver:
        _note_left(desk, symbol)
    except Busy as busy:
        if not busy.no_time:
            raise
        _note_left(desk, symbol)
    except (StoreError, UsageError):
        raise
    except Exception as problem:
        _say(desk, symbol, problem)


def _say(desk: Desk, symbol: str, problem: Exception) -> None:
    desk.count("failed")
    message = f"{symbol}: its exits could not be worked on: {type(problem).__name__}: {problem}"
    alert_once(desk, "exits-failing", message, symbol=symbol, every_s=300)


def _all_that_is_held(desk: Desk) -> None:
    with suppress(StoreError, Busy):
        for position in desk.store.positions.open():
            _note_left(desk, position.symbol)


@contextmanager
def unless_over(desk: Desk, symbol: str) -> Iterator[None]:
    """Where the time is over in the middle of this symbol it is noted as left, and the caller goes on."""
    try:
        yield
    except TimeIsOver:
        _note_left(desk, symbol)


def _note_left(desk: Desk, symbol: str) -> None:
    if symbol not in desk.left:
        desk.left.append(symbol)


def _ran_out(desk: Desk, command: str, name: str, seconds: float) -> TimeIsOver:
    found = [f"not reached: {', '.join(desk.left)}"] if desk.left else []
    with suppress(StoreError, Busy):
        doubtful = [order.id for order in desk.store.orders.live() if order.status in ("intended", "unknown")]
        found += [f"nobody knows yet what became of {', '.join(doubtful)}"] if doubtful else []
    message = f"{command} had {seconds:g} s and has used them; {'; '.join(found) or 'no order is in doubt'}"
    desk.counts["left"] = len(desk.left)
    with suppress(StoreError, Busy):
        alert_once(desk, "out-of-time", message, every_s=300)
    return TimeIsOver(message, f"the next run goes on from here; tradekit config set deadlines.{name} SECONDS")
