"""Kernel locks on small files: who holds one can be read in it, and a dead holder lets go by itself.

Lock files are never deleted: a process that still has the deleted file open would hold a lock that nobody else sees.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

import msgspec

from tradekit.base.deadline import left, left_to_finish
from tradekit.clock import SystemClock
from tradekit.errors import Busy, StoreError

LEASE_BYTES = 256  # one write: a reader never sees half a lease
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.01
_open_locks: "WeakSet[Lock]" = WeakSet()


class Lock:
    """An exclusive lock on `path`, held inside `with`; not re-entrant.

    Waits up to `wait_s` seconds, then raises Busy (8) with the pid and command of the holder. `what` names the
    work in that message. StoreError where the file cannot be made or opened. No wait is longer than what the command
    has left to work (base/deadline.py), with `to_write` also the part of it that is kept for finishing.
    """

    def __init__(self, path: Path, *, wait_s: float = 0.0, what: str = "", to_write: bool = False) -> None:
        self.path = path
        self.wait_s = wait_s
        self.what = what or path.stem
        self._left = left_to_finish if to_write else left
        self._fd = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock or raise Busy; the file stays open between uses, so a second time is two system calls."""
        if not _try(self._open()):
            self._wait(_try)
        self._sign()

    def release(self) -> None:
        """Let go; the file and its last lease stay."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go and close the file."""
        self.release()  # said aloud: a copy of the descriptor in a child would keep the lock
        self.forget()

    def forget(self) -> None:
        """Close this process's copy of the file, and leave the lock to whoever has another."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        self.forget()

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = _open(self.path)
            _open_locks.add(self)
        return self._fd

    def _sign(self) -> None:
        with suppress(OSError):  # a full disk: the lock holds without the name of its holder
            os.pwrite(self._fd, _lease(self.what), 0)

    def _wait(self, attempt: Callable[[int], bool]) -> None:
        clock = SystemClock()  # other processes live in the host's time, also during a replay
        wait_s = self._left(self.wait_s)
        deadline, pause = clock.monotonic() + wait_s, _FIRST_PAUSE_S
        while clock.monotonic() < deadline:
            clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            if attempt(self._fd):
                return
        pid, command = holder(self.path)
        who = f"pid {pid} ({command})" if pid else "another process"
        after = f" after {wait_s:.3g} s" if wait_s else ""
        busy = Busy(f"{self.what}: {who} holds {self.path.name}{after}", "wait until it is done, or stop it")
        busy.no_time = not wait_s and self.wait_s > 0
        raise busy


class TwoQueues(Lock):
    """A lock that serves its first queue first: who comes `politely` stands back while anybody else waits.

    Whoever waits in the first queue shares a second file, the gate, which the polite find taken.
    """

    def __init__(self, path: Path, *, wait_s: float = 0.0, what: str = "", to_write: bool = False) -> None:
        super().__init__(path, wait_s=wait_s, what=what, to_write=to_write)
        self._gate = Lock(path.with_name(f"{path.stem}-first.lock"))
        self._at_gate = False

    @contextmanager
    def held(self, *, politely: bool = False) -> Iterator[None]:
        """The lock inside `with`; raises as Lock does."""
        if politely:
            self._take(self._politely)
        else:
            self._take(_try)
        try:
            yield
        finally:
            self.release()

    def close(self) -> None:
        super().close()
        self._gate.close()

    def _take(self, attempt: Callable[[int], bool]) -> None:
        self._open()
        if not attempt(self._fd):
            try:
                self._wait(attempt if attempt is not _try else self._first)
            finally:
                self._leave_gate()
        self._sign()

    def _first(self, fd: int) -> bool:
        if not self._at_gate:  # refused for an instant while a polite one looks: the next round has it
            self._at_gate = _try(self._gate._open(), shared=True)
        return _try(fd)

    def _politely(self, fd: int) -> bool:
        gate = self._gate._open()
        if not _try(gate):
            return False
        self._gate.release()
        return _try(fd)

    def _leave_gate(self) -> None:
        if self._at_gate:
            self._gate.release()
            self._at_gate = False


def holder(path: Path) -> tuple[int | None, str]:
    """Pid and command of the last process that took the lock; (None, '') where the file does not say."""
    try:
        lease = msgspec.json.decode(path.read_bytes()[:LEASE_BYTES])
        return int(lease["pid"]), str(lease["command"])
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError):
        return None, ""


def _leave_to_parent() -> None:
    """A forked child closes its copies: a kernel lock lives as long as any copy of the descriptor that took it."""
    for lock in list(_open_locks):
        lock.forget()


os.register_at_fork(after_in_child=_leave_to_parent)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: cannot be locked: {error.strerror}", f"make {path.parent} writable") from None


def _try(fd: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lease(what: str) -> bytes:
    options = ["", *sys.argv[1:]]  # the command's name: neither an option nor -C's folder
    verb = (w for before, w in pairwise(options) if not w.startswith("-") and before != "-C")
    words = [os.path.basename(sys.argv[0]) if sys.argv else "python", next(verb, "")]
    lease = {"pid": os.getpid(), "command": " ".join(words)[:80], "what": what[:60]}
    return msgspec.json.encode(lease)[: LEASE_BYTES - 1].ljust(LEASE_BYTES - 1) + b"\n"
