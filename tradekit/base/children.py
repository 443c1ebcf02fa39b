"""Child processes whose output is read line by line while they run; each in a process group of its own."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LONGEST_LINE = 64 * 1024  # a longer one is passed on in pieces
PIECE = 64 * 1024


class Child:
    """A command at work. `say(line, error)` gets each line of its stdout (error False) and stderr (True).

    Ctrl-C at the terminal does not reach it: whoever started it decides how it ends. Raises OSError where the
    process cannot be made.
    """

    def __init__(
        self, words: Sequence[str], *, environ: Mapping[str, str], folder: Path, say: Callable[[str, bool], None]
    ) -> None:
        self.process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            cwd=folder,
            start_new_session=True,
        )
        self._say = say
        self._rest: dict[int, bytes] = {}
        self._error: dict[int, bool] = {}
        for pipe, error in ((self.process.stdout, False), (self.process.stderr, True)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._rest[pipe.fileno()] = b""
            self._error[pipe.fileno()] = error

    @property
    def pid(self) -> int:
        """The process id, also that of its group."""
        return self.process.pid

    @property
    def open_pipes(self) -> list[int]:
        """Descriptors that may still say something."""
        return list(self._rest)

    def read(self, fd: int) -> bool:
        """Pass on what lies in one pipe. False: it has ended and is to be watched no longer."""
        if fd not in self._rest:
            return False
        try:
            piece = os.read(fd, PIECE)
        except BlockingIOError:
            return True
        except OSError:
            piece = b""
        text = self._rest[fd] + piece
        *lines, rest = text.split(b"\n")
        if not piece or len(rest) > LONGEST_LINE:
            lines, rest = [*lines, rest] if rest else lines, b""
        for line in lines:
            self._say(line.decode("utf-8", "replace").rstrip("\r"), self._error[fd])
        self._rest[fd] = rest
        if not piece:
            del self._rest[fd]
        return bool(piece)

    def ended(self) -> int | None:
        """The exit code (negative: the signal that killed it) with all of its output passed on; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        for fd in self.open_pipes:
            while fd in self._rest and self._more(fd):
                pass
        self._close()
        return code

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to it and whatever it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _more(self, fd: int) -> bool:
        """Read on while something lies there: a grandchild may hold the pipe open for ever."""
        import select

        ready, _, _ = select.select([fd], [], [], 0)
        return bool(ready) and self.read(fd)

    def _close(self) -> None:
        for fd in self.open_pipes:  # what was not finished by a newline
            if self._rest[fd]:
                self._say(self._rest[fd].decode("utf-8", "replace"), self._error[fd])
        self._rest.clear()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def how_it_ended(code: int) -> str:
    """`exit code 1`, `killed by SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
