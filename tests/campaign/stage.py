"""Real processes on a stage: forked from a warm parent, one moving at a time, in an order that a seed decides.

A child stops at every call to the venue, before and after every transaction, where it would wait for a lock and where
it would sleep, and tells the stage so over a socket. The stage picks who goes on, keeps the one virtual clock, answers
for the venue and kills with SIGKILL where the schedule says so. Locks, files and deaths are real; only time and turn
are not, so the same seed gives the same run.
"""

import gc
import os
import pickle
import random
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tradekit.base import crashpoint, interrupts, locks
from tradekit.store import Store
from tradekit.store.connection import Db

STUCK = 20_000  # turns of one batch: more is an endless loop


class Link:
    """A child's line to the stage. `now` is the stage's time at the last turn."""

    def __init__(self, line: socket.socket, now: datetime) -> None:
        self._line, self.now = line, now

    def ask(self, kind: str, *words: Any) -> Any:
        """Say what this process is about to do and wait for its turn; raises what the stage answers with."""
        self.tell(kind, *words)
        return self.hear()

    def tell(self, kind: str, *words: Any) -> None:
        self._line.send(pickle.dumps((kind, words)))

    def hear(self) -> Any:
        data = self._line.recv(1 << 22)
        if not data:
            os._exit(99)  # the stage is gone
        self.now, answer = pickle.loads(data)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Inline:
    """The same line for a command inside the stage's own process."""

    def __init__(self, stage: "Stage") -> None:
        self._stage, self._answer = stage, None

    @property
    def now(self) -> datetime:
        return self._stage.now

    def ask(self, kind: str, *words: Any) -> Any:
        self.tell(kind, *words)
        return self.hear()

    def tell(self, kind: str, *words: Any) -> None:
        delay, self._answer = self._stage.answer(kind, words)
        if delay:
            self._stage.move_to(self._stage.now + timedelta(seconds=delay))

    def hear(self) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


class StageClock:
    """The stage's time; sleeping lets the others go on."""

    name = "virtual"
    passes = host_limits = False
    stands_at_records = leads_venue = True

    def __init__(self, link: Any) -> None:
        self._link = link

    def now(self) -> datetime:
        now: datetime = self._link.now
        return now

    def sleep(self, seconds: float) -> None:
        self._link.ask("sleep", max(0.0, seconds))

    def monotonic(self) -> float:
        return self.now().timestamp()


class HostClock(StageClock):
    """What a lock waits by: each of its naps lasts until somebody else has moved."""

    def sleep(self, seconds: float) -> None:
        self._link.ask("nap")


@dataclass
class Act:
    """One process to be: `play(link)` gives its exit code and what it said. `kill_at`: the turn at which it dies."""

    name: str
    play: Callable[[Link], Any]
    crash: str | None = None  # name[:n] for TRADEKIT_CRASHPOINT
    kill_at: int | None = None
    starts: float = 0.0  # seconds after the batch
    kill_write: int | None = None  # the statement that writes at which it dies


@dataclass
class Ended:
    """How a process ended: killed, or what it gave back."""

    name: str
    killed: bool
    value: Any
    at: datetime
    where: str = ""  # what a killed one was about to do


@dataclass
class _Actor:
    act: Act
    pid: int
    line: socket.socket
    wake: datetime
    turns: int = 0
    answer: Any = None
    naps_since: int | None = None  # waits for a lock since this much had moved
    last: str = "start"


class Stage:
    """Plays batches of acts. `venue(op, args)` answers calls: (seconds until the answer, answer or exception)."""

    def __init__(self, now: datetime, seed: object, venue: Callable[..., tuple[float, Any]]) -> None:
        self.now = now
        self._rng = random.Random(str(seed))
        self._venue = venue
        self.tick: Callable[[datetime], None] = lambda now: None  # told whenever time has moved
        self.turns = 0

    def play(self, acts: list[Act]) -> list[Ended]:
        """Run these processes at once, to the end of the last one."""
        actors = [self._fork(act) for act in acts]
        ended: list[Ended] = []
        progress = 0
        try:
            for _ in range(STUCK):
                if not actors:
                    return ended
                ready = [
                    a for a in actors
                    if a.wake <= self.now and (a.naps_since is None or a.naps_since < progress)
                ]  # fmt: skip
                if not ready:
                    asleep = [a.wake for a in actors if a.naps_since is None]
                    self.move_to(min(asleep, default=self.now + timedelta(seconds=1)))
                    progress += 1  # whoever waits for a lock looks at the time
                    continue
                actor = self._rng.choice(ready)
                actor.turns += 1
                self.turns += 1
                if actor.act.kill_at is not None and actor.turns >= actor.act.kill_at:
                    os.kill(actor.pid, signal.SIGKILL)
                    self._bury(actor)
                    actors.remove(actor)
                    ended.append(Ended(actor.act.name, True, None, self.now, actor.last))
                    progress += 1
                    continue
                napping = actor.naps_since is not None
                over = self._turn(actor, progress)
                if over is not None:
                    actors.remove(actor)
                    ended.append(over)
                if not (napping and actor.naps_since is not None):
                    progress += 1
            raise RuntimeError(f"endless: {[(a.act.name, a.last) for a in actors]} after {STUCK} turns")
        finally:
            for actor in actors:
                os.kill(actor.pid, signal.SIGKILL)
                self._bury(actor)

    def move_to(self, now: datetime) -> None:
        """Let time pass."""
        self.now = max(self.now, now)
        self.tick(self.now)

    def _fork(self, act: Act) -> _Actor:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (here, there):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        pid = os.fork()
        if not pid:
            here.close()
            _live(act, Link(there, self.now))
        there.close()
        return _Actor(act, pid, here, self.now + timedelta(seconds=act.starts))

    def _turn(self, actor: _Actor, progress: int) -> Ended | None:
        """Let one process go on to its next stop."""
        try:
            actor.line.send(pickle.dumps((self.now, actor.answer)))
            data = actor.line.recv(1 << 22)
        except (BrokenPipeError, ConnectionResetError):
            data = b""
        actor.answer = None
        if not data:
            self._bury(actor)
            return Ended(actor.act.name, True, None, self.now, actor.act.crash or actor.last)
        kind, words = pickle.loads(data)
        actor.last = f"{kind} {words[0] if words else ''}".strip()
        actor.naps_since = progress if kind == "nap" else None
        if kind == "done":
            actor.line.send(pickle.dumps((self.now, None)))
            self._bury(actor)
            return Ended(actor.act.name, False, words[0], self.now)
        delay, actor.answer = self.answer(kind, words)
        actor.wake = self.now + timedelta(seconds=delay)
        return None

    def answer(self, kind: str, words: tuple[Any, ...]) -> tuple[float, Any]:
        """How long something takes, and what comes back."""
        if kind == "call":
            return self._venue(*words)
        return (float(words[0]) if kind == "sleep" else 0.0), None

    @staticmethod
    def _bury(actor: _Actor) -> None:
        actor.line.close()
        os.waitpid(actor.pid, 0)


def _live(act: Act, link: Link) -> None:
    """The child's whole life."""
    code = 0
    try:
        gc.disable()
        link.hear()
        if act.crash:
            os.environ[crashpoint.VARIABLE] = act.crash
        with turns(link), dies_writing(act.kill_write):
            value = act.play(link)
        link.ask("done", value)
    except BaseException:
        traceback.print_exc()
        code = 98
    finally:
        os._exit(code)


@contextmanager
def turns(link: Link) -> Iterator[None]:
    """Stop at transactions and locks while this lasts."""
    whole, clock = Store.transaction, locks.SystemClock

    @contextmanager
    def transaction(store: Store, low: bool = False) -> Iterator[None]:
        if store._depth:
            with whole(store, low):
                yield
            return
        link.ask("turn", "begin")
        with whole(store, low):
            yield
            link.ask("turn", "commit")  # who dies here leaves half a transaction for SQLite to undo
        link.ask("turn", "committed")

    Store.transaction = transaction  # type: ignore[method-assign]
    locks.SystemClock = lambda: HostClock(link)  # type: ignore[assignment,misc]
    crashpoint._passed.clear()
    interrupts._State.depth = 0
    try:
        yield
    finally:
        Store.transaction, locks.SystemClock = whole, clock  # type: ignore[method-assign,misc]


@contextmanager
def dies_writing(nth: int | None) -> Iterator[None]:
    """SIGKILL just before the n-th statement that writes; in the middle of a transaction as a rule."""
    if nth is None:
        yield
        return
    run, seen = Db.run, [0]

    def count(db: Db, sql: str, values: Sequence[Any] = ()) -> int:
        seen[0] += 1
        if seen[0] == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(db, sql, values)

    Db.run = count  # type: ignore[method-assign]
    try:
        yield
    finally:
        Db.run = run  # type: ignore[method-assign]
