"""Every crash point and every turn of each command that trades; then a second death while the next one mends it."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.campaign.many import Totals, shrunken, spread, table
from tests.campaign.runner import Result, run
from tests.campaign.schedule import POINTS, Batch, Command, Schedule

VERBS = ("enter", "monitor-exits", "liquidate", "reconcile", "first monitor-exits")
PROFILES = ("unique", "open-only", "none", "paper")
TURNS = 48


@dataclass(frozen=True)
class Case:
    """One cell: which command dies where, and where the one that recovers dies."""

    verb: str
    crash: str | None
    kill_at: int | None
    second: str | None
    profile: str
    schedule: Schedule

    def died(self, result: Result) -> bool:
        """Did the command reach the place of its death? It is the third batch from the end."""
        name = f"{len(self.schedule.batches) - 3}.0 {self.verb.split()[-1]} killed"
        return any(name in line for line in result.log)

    @property
    def name(self) -> str:
        place = self.crash or f"turn {self.kill_at}"
        return f"{self.verb} at {place}, then {self.second or 'none'}, {self.profile}"


def cases(profiles: tuple[str, ...] = PROFILES, seconds: tuple[str | None, ...] | None = None) -> Iterator[Case]:
    """The whole matrix; `seconds` are the points of the second death (None: there is none)."""
    wanted = (None, *POINTS) if seconds is None else seconds
    for profile in profiles:
        for verb in VERBS:
            for point in POINTS:
                for second in wanted:
                    for nth in (1, 2) if second is None else (1,):
                        crash = f"{point}:{nth}"
                        schedule = _schedule(verb, Command(verb.split()[-1], _args(verb), crash=crash), second, profile)
                        yield Case(verb, crash, None, second, profile, schedule)
            for turn in range(1, TURNS, 1 if seconds is None else 4):
                schedule = _schedule(verb, Command(verb.split()[-1], _args(verb), kill_at=turn), None, profile)
                yield Case(verb, None, turn, None, profile, schedule)


def _args(verb: str) -> list[str]:
    return ["--all"] if verb == "liquidate" else []


def _schedule(verb: str, dies: Command, second: str | None, profile: str) -> Schedule:
    """Two positions with their stops, then the command at a moment when it has work to do."""
    first = Batch(60.0, [Command("enter")], decide=["AAA", "BBB"])
    watch = Batch(61.0, [Command("monitor-exits")])
    batches = [first, watch]
    if verb == "enter":
        batches.append(Batch(30.0, [dies], decide=["DDD", "EEE"]))
    elif verb == "monitor-exits":
        batches.append(Batch(1500.0, [dies]))  # BBB has fallen by then: its stop is to be sold
    elif verb == "first monitor-exits":  # nothing of the entries is booked or protected yet
        batches = [first, Batch(9.0, [dies])]
    elif verb == "liquidate":
        batches.append(Batch(30.0, [dies]))
    else:  # something to reconcile: an entry whose writer died, fills that nobody has booked
        batches.append(Batch(30.0, [Command("enter", crash="request_sent:1")], decide=["DDD", "EEE"]))
        batches.append(Batch(12.0, [Command("enter", crash="intent_committed:1")], decide=["CCC"]))
        batches.append(Batch(21.0, [dies]))
    recovery = Command(
        "monitor-exits" if verb != "liquidate" else "liquidate", _args(verb), crash=second and f"{second}:1"
    )
    batches.append(Batch(15.0, [recovery]))
    batches.append(Batch(15.0, [Command("reconcile")]))
    return Schedule(seed=7, profile=profile, protect="disaster", strict=True, partial=0.3, batches=batches, faults={})


def matrix(*, jobs: int = 2) -> int:
    """Run it all and print the figures; 1 where anything broke."""
    totals, reached, places = Totals(), 0, set[tuple[str, str]]()
    found = list(cases())
    names = {}
    for case, result in spread(jobs, found, play):
        totals.add(result)
        reached += case.died(result)
        if case.died(result):
            places.add((case.verb, case.crash or f"turn {case.kill_at}"))
        for violation in result.violations[:2]:
            print(f"{case.name}: {violation}", flush=True)
        if result.violations and len(names) < 3:
            names[case.name] = shrunken(case.schedule, {v.rule for v in result.violations}, 60).to_json()
    for name, small in names.items():
        print(f"{name}, smallest found: {small}")
    print(table(totals, "cells of the crash matrix"))
    never = sorted({(c.verb, c.crash) for c in found if c.crash} - places)
    print("places that a command never comes by: " + ", ".join(f"{verb} {place}" for verb, place in never))
    print(f"{reached} of {len(found)} reached the place of their death; {len(totals.failed)} broke an invariant")
    return 1 if totals.failed else 0


def play(case: Case) -> tuple[Case, Result]:
    """One cell."""
    return case, run(case.schedule)
