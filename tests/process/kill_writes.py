"""Kill a command of the paper day at its n-th write, look at what is left, and finish the day."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.process.day import DAY, clock, count_of, finish, inject, make_desk, quick, restore, whole


class Place(NamedTuple):
    """The n-th call of `syscall` in the step of that number."""

    step: int
    n: int
    syscall: str = "pwrite64"

    def __str__(self) -> str:
        when, words = DAY[self.step]
        return f"{when} {' '.join(words)}, {self.syscall} {self.n}"


class Campaign:
    """A desk before each step of the day is kept in `folder`, so that a case need not play what came before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[tuple[int, str], int] = {}
        desk = make_desk(folder / "desk")
        for i, (when, words) in enumerate(DAY):
            shutil.copytree(desk, folder / f"before-{i}")
            for syscall, count in count_of(desk, clock(when), *words).items():
                self.counts[i, syscall] = count

    def places(self, syscalls: tuple[str, ...] = ("pwrite64", "ftruncate")) -> Iterator[Place]:
        """Every place at which the day can be cut."""
        for (step, syscall), count in sorted(self.counts.items()):
            if syscall in syscalls:
                yield from (Place(step, n, syscall) for n in range(1, count + 1))

    def sample(self, many: int, seed: int) -> list[Place]:
        """So many places, spread over the day."""
        every = list(self.places())
        return sorted(random.Random(seed).sample(every, min(many, len(every))))

    def kill_at(self, place: Place) -> list[str]:
        """What is wrong after the kill, or after the day was finished; [] when nothing is."""
        if wrong := self.cut(place):
            return wrong
        when, words = DAY[place.step]
        again = [(when, words), (f"{when[:-2]}30", words)]
        return finish(self.folder / "desk", [*again, *DAY[place.step + 1 :]])

    def cut(self, place: Place) -> list[str]:
        """What is wrong right after the kill."""
        when, words = DAY[place.step]
        desk = restore(self.folder / f"before-{place.step}", self.folder / "desk")
        done = quick(desk, clock(when), *words, traced=inject(f"{place.syscall}:signal=SIGKILL:when={place.n}"))
        if done.returncode != -9:
            return [f"it was not killed: {done.returncode} {done.stderr}"]
        return whole(desk)
