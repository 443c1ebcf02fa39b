"""The desk's own commands as child processes: words in, records or text out. Nothing goes through a shell."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

PROGRAM = (os.path.abspath(sys.executable), "-P", "-m", "tradekit")
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "TRADEKIT_FORMAT")
WELL = (0, 3, 7)
END_S = 1.0


class Done(NamedTuple):
    """How a command ended; `code` None: it took too long and was stopped."""

    code: int | None
    out: str
    err: str

    @property
    def well(self) -> bool:
        """Done, or nothing to do, or done with findings."""
        return self.code in WELL

    def records(self) -> list[dict[str, Any]]:
        """The records of a `--json` command; one object is a list of one."""
        try:
            found = msgspec.json.decode(self.out) if self.out.strip() else []
        except msgspec.DecodeError:
            return []
        return [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]

    def talk(self) -> list[str]:
        """What it said on stderr, without the error that is also there as JSON."""
        return [line for line in self.err.splitlines() if line.strip() and not line.startswith("{")]


class Children:
    """Runs commands on one desk. `environ` is theirs; the bot's own token is not in it."""

    def __init__(self, desk: Path, environ: Mapping[str, str], *, stop_s: float) -> None:
        self._desk = desk
        self.environ = {name: value for name, value in environ.items() if name not in OURS}
        self._stop_s = stop_s

    async def run(self, words: Sequence[str], *, timeout_s: float, format: str = "json") -> Done:
        """One command, waited for. Cancelled or out of time it is told to end, and killed when it does not."""
        line = [*PROGRAM, "-C", str(self._desk), "--format", format, *words]
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *line, stdin=null, stdout=pipe, stderr=pipe, env=self.environ, cwd=self._desk, start_new_session=True
            )
        )
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # asyncio would kill it at once
            await self._end(await starting)
            raise
        try:
            out, err = await asyncio.wait_for(process.communicate(), timeout_s)
            return Done(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
        except TimeoutError:
            return Done(None, "", f"still at work after {timeout_s:g} s, stopped")
        finally:
            await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        for number, seconds in ((signal.SIGTERM, self._stop_s), (signal.SIGKILL, END_S)):
            if process.returncode is not None:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
