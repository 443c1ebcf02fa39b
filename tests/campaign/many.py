"""Many schedules on several cores, and the table of what came of them."""

import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from tests.campaign.checker import Violation
from tests.campaign.runner import Result, run
from tests.campaign.schedule import PROFILES, Schedule, draw
from tests.campaign.shrink import shrink

RULES = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I12", "I15", "I16")


@dataclass
class Totals:
    """The sum over schedules."""

    schedules: int = 0
    commands: int = 0
    kills: int = 0
    turns: int = 0
    orders: int = 0
    fills: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    profiles: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    failed: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one more."""
        self.schedules += 1
        self.commands += result.commands
        self.kills += result.kills
        self.turns += result.turns
        self.orders += result.orders
        self.fills += result.fills
        self.cpu_s += result.cpu_s
        self.profiles[result.profile] += 1
        self.faults += result.faults
        if result.violations:
            self.violations.update({violation.rule for violation in result.violations})
            self.failed.append(result)


def spread(jobs: int, items: Sequence[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
    """`work` over the items in `jobs` forked processes; results come as they are ready, in any order."""
    if jobs <= 1:
        for item in items:
            yield work(item)
        return
    workers: dict[Any, int] = {}
    for job in range(jobs):
        reader, writer = Pipe(duplex=False)
        pid = os.fork()
        if not pid:
            reader.close()
            _serve(writer, items[job::jobs], work)
        writer.close()
        workers[reader] = pid
    try:
        while workers:
            for ready in wait(list(workers)):
                assert isinstance(ready, Connection)
                try:
                    found = ready.recv()
                except EOFError:
                    ready.close()
                    os.waitpid(workers.pop(ready), 0)
                    continue
                yield found
    finally:
        for ready, pid in workers.items():
            ready.close()
            os.kill(pid, 15)
            os.waitpid(pid, 0)


def _serve(writer: "Connection[Any, Any]", items: Sequence[Any], work: Callable[[Any], Any]) -> None:
    code = 0
    try:
        for item in items:
            writer.send(work(item))
    except BrokenPipeError:
        pass
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        import atexit

        atexit._run_exitfuncs()
        os._exit(code)


def campaign(
    seeds: Iterable[int],
    *,
    jobs: int = 1,
    profiles: tuple[str, ...] = PROFILES,
    tell: Callable[[Result], None] = lambda result: None,
) -> Totals:
    """Draw and play the schedule of each seed."""
    totals, began = Totals(), time.monotonic()
    for result in spread(jobs, list(seeds), lambda seed: run(draw(seed, profiles))):
        totals.add(result)
        tell(result)
    totals.wall_s = time.monotonic() - began
    return totals


def table(totals: Totals, title: str = "schedules") -> str:
    """The figures as `scripts/campaign --report` prints them."""
    share = totals.cpu_s / totals.schedules if totals.schedules else 0.0
    lines = [
        f"{title:<28}{totals.schedules:>9}",
        f"{'commands (processes)':<28}{totals.commands:>9}",
        f"{'killed by SIGKILL':<28}{totals.kills:>9}",
        f"{'turns between processes':<28}{totals.turns:>9}",
        f"{'orders that a venue took':<28}{totals.orders:>9}",
        f"{'fills':<28}{totals.fills:>9}",
        f"{'CPU':<28}{totals.cpu_s:>8.0f}s{share:>8.2f} s each",
        f"{'wall time':<28}{totals.wall_s:>8.0f}s",
        "",
        "venue: " + ", ".join(f"{name} {n}" for name, n in totals.profiles.most_common()),
        "",
        f"{'fault':<36}{'injected':>9}",
    ]
    lines += [f"{name:<36}{n:>9}" for name, n in sorted(totals.faults.items())]
    lines += ["", f"{'invariant':<28}{'schedules that broke it':>24}"]
    lines += [f"{rule:<28}{totals.violations.get(rule, 0):>24}" for rule in RULES]
    return "\n".join(lines)


def replay(schedule: Schedule, *, out: Callable[[str], None] = print) -> list[Violation]:
    """Play a schedule and say what happened, line by line."""
    result = run(schedule)
    for line in result.log:
        out(line)
    for violation in result.violations:
        out(f"VIOLATION {violation}")
    return result.violations


def shrunken(schedule: Schedule, rules: set[str], tries: int = 200) -> Schedule:
    """The smallest schedule that still breaks one of these invariants."""

    def fails(candidate: Schedule) -> bool:
        return bool(rules & {violation.rule for violation in run(candidate).violations})

    return shrink(schedule, fails, tries=tries)


def progress(done: int, total: int, failed: int) -> None:
    """One line on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done}/{total} schedules, {failed} failed", end="", file=sys.stderr, flush=True)
