"""Make a failing schedule small: leave things away for as long as the same invariant still breaks."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

from tests.campaign.schedule import Command, Schedule

Fails = Callable[[Schedule], bool]


def shrink(schedule: Schedule, fails: Fails, *, tries: int = 200) -> Schedule:
    """The smallest schedule found in at most `tries` runs for which `fails` is still true."""
    left = tries
    smaller = True
    while smaller:
        smaller = False
        for candidate in candidates(schedule):
            if not left:
                return schedule
            left -= 1
            if fails(candidate):
                schedule, smaller = candidate, True
                break
    return schedule


def candidates(schedule: Schedule) -> Iterator[Schedule]:
    """Every schedule with one thing less, the big things first: batches, faults, commands, deaths, hands, decisions."""
    for n in range(len(schedule.batches)):
        batches = deepcopy(schedule.batches)
        gone = batches.pop(n)
        if n < len(batches):
            batches[n].after += gone.after
        yield replace(schedule, batches=batches)
    if len(schedule.faults) > 1:
        yield replace(schedule, faults={})
    for key in list(schedule.faults):
        yield replace(schedule, faults={k: v for k, v in schedule.faults.items() if k != key})
    for n, batch in enumerate(schedule.batches):
        for k in range(len(batch.commands)):
            if len(batch.commands) > 1:
                yield _with(schedule, n, lambda b, k=k: b.commands.pop(k))  # type: ignore[misc]
    for n, batch in enumerate(schedule.batches):
        for k, command in enumerate(batch.commands):
            if command.crash or command.kill_at or command.kill_write or command.starts:
                yield _with(schedule, n, lambda b, k=k, c=command: _calm(b.commands, k, c))  # type: ignore[misc]
        for k in range(len(batch.hands)):
            yield _with(schedule, n, lambda b, k=k: b.hands.pop(k))  # type: ignore[misc]
        for k in range(len(batch.decide)):
            yield _with(schedule, n, lambda b, k=k: b.decide.pop(k))  # type: ignore[misc]
    if schedule.partial:
        yield replace(schedule, partial=0.0)


def _calm(commands: list[Command], k: int, command: Command) -> None:
    commands[k] = Command(command.verb, list(command.args))


def _with(schedule: Schedule, n: int, change: Callable[..., object]) -> Schedule:
    batches = deepcopy(schedule.batches)
    change(batches[n])
    return replace(schedule, batches=batches)
