"""Progress on stderr: a bar on a terminal, a plain line every tenth without one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

WIDTH = 30


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Callable[[int, int, datetime], None]]:
    """Gives a function (done, total, virtual time in UTC) that draws; silent with -q."""
    terminal = sys.stderr.isatty()
    drawn = [-1]

    def draw(done: int, total: int, at: datetime) -> None:
        step = done * (100 if terminal else 10) // max(1, total)
        if quiet or step == drawn[0]:
            return
        drawn[0] = step
        if terminal:
            filled = WIDTH * done // max(1, total)
            bar = "#" * filled + "." * (WIDTH - filled)
            print(
                f"\r{title} [{bar}] {done * 100 // max(1, total):3d} %  {at:%Y-%m-%d %H:%M} UTC",
                end="",
                file=sys.stderr,
            )
        else:
            print(
                f"{title}: {done * 100 // max(1, total)} %, {at:%Y-%m-%d %H:%M} UTC",
                file=sys.stderr,
            )
        sys.stderr.flush()

    try:
        yield draw
    finally:
        if terminal and drawn[0] >= 0 and not quiet:
            print(file=sys.stderr)
