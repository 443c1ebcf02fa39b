"""A short paper day for real processes: a desk in a folder, commands at given times, strace, what must hold after."""

import ctypes
import io
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.desk.world import NO_COSTS, World, decide
from tradekit.base.interrupts import handled
from tradekit.errors import TradekitError

ROOT = Path(__file__).resolve().parents[2]
SYSCALLS = ("pwrite64", "ftruncate", "fdatasync")
PR_SET_PTRACER = 0x59616D61
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")

Step = tuple[str, tuple[str, ...]]
DAY: tuple[Step, ...] = (
    ("09:36:00", ("enter",)),
    ("09:38:00", ("monitor-exits",)),
    ("09:45:00", ("monitor-exits",)),
    ("10:05:00", ("monitor-exits",)),
    ("10:06:00", ("monitor-exits",)),
    ("10:10:00", ("liquidate", "--all")),
    ("10:11:00", ("reconcile",)),
    ("10:15:00", ("jobs", "snapshot")),
)


def clock(text: str, seconds: int = 0) -> str:
    """A New York time of the world's day as TRADEKIT_CLOCK wants it, some seconds later."""
    hours, minutes, at = (int(part) for part in text.split(":"))
    total = (hours + 5) * 3600 + minutes * 60 + at + seconds
    return f"2026-02-13T{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02}Z"


def make_desk(folder: Path) -> Path:
    """Two decisions are pending at 09:35; at 10:00 AAA falls below its plan's stop, not to the venue's; BBB rises."""
    world = World(folder, NO_COSTS)
    world.add("AAA", [100.0] * 30 + [96.0] * 60)
    world.add("BBB", [50.0] * 30 + [50.5] * 60)
    with world.desk("09:35") as desk:
        decide(desk, "AAA", 100.0, stop=0.03)
        decide(desk, "BBB", 50.0, stop=0.03)
    folder.chmod(0o700)
    return folder


def environment(when: str, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRADEKIT_")}
    return {**kept, "PYTHONPATH": str(ROOT), "TRADEKIT_CLOCK": when, **more}


def start(desk: Path, when: str, *words: str, before: Sequence[str] = (), **more: str) -> "subprocess.Popen[str]":
    """A real process of a command, with words before it (strace ...), started and not waited for."""
    line = [*before, sys.executable, "-m", "tradekit", "-C", str(desk), *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=environment(when, **more), cwd=desk.parent)


def call(
    desk: Path, when: str, *words: str, before: Sequence[str] = (), **more: str
) -> "subprocess.CompletedProcess[str]":
    """The same, waited for."""
    child = start(desk, when, *words, before=before, **more)
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


@dataclass(frozen=True)
class Done:
    returncode: int
    stderr: str


def quick(desk: Path, when: str, *words: str, traced: Sequence[str] = ()) -> Done:
    """The same in a forked child of this process: what needs no process of its own is done in a tenth of the time.

    `traced` is an strace line that is attached to the child before it begins.
    """
    run = warm()

    def work() -> int:
        os.environ["TRADEKIT_CLOCK"] = when
        with handled():
            return run(["-C", str(desk), *words])

    return forked(work, traced=traced)


def forked(work: Callable[[], int], *, traced: Sequence[str] = ()) -> Done:
    """Exit code and stderr of a function in a forked child, possibly under strace."""
    (read, write), (wait, go) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            os.close(go)
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, -1, 0, 0, 0)
            os.read(wait, 1)
            err = io.StringIO()
            with redirect_stdout(io.StringIO()), redirect_stderr(err):
                try:
                    code = work()
                except TradekitError as error:
                    code = error.code
                    err.write(error.message)
            os.write(write, err.getvalue().encode()[:60_000])
        finally:
            os._exit(code)
    os.close(write)
    os.close(wait)
    tracer = attached([*traced, "-p", str(child)]) if traced else None
    os.write(go, b".")
    os.close(go)
    with os.fdopen(read) as stream:
        text = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if tracer is not None:
        tracer.communicate(timeout=30)
    return Done(code, text)


@cache
def warm() -> Callable[[list[str]], int]:
    """The command line's own function, with the modules that the day needs loaded before anybody forks."""
    from importlib import import_module

    from tradekit.cli import run

    commands = [f"commands.{name}" for name in ("enter", "monitor_exits", "liquidate", "reconcile", "jobs", "_output")]
    steps = [f"desk.{name}" for name in ("open", "enter", "monitor_exits", "liquidate", "reconcile", "jobs", "protect")]
    for name in [*commands, *steps, "brokers.paper", "market.market", "risk", "exits", "strategies"]:
        import_module(f"tradekit.{name}")
    return run


def attached(line: Sequence[str]) -> "subprocess.Popen[str]":
    """strace, once it says that it holds the process."""
    tracer = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    assert "attached" in said, said
    return tracer


def inject(what: str) -> list[str]:
    """An strace line with one injection: `pwrite64:signal=SIGKILL:when=7`."""
    assert STRACE is not None  # --seccomp-bpf would be quicker, and does not send signals
    return [STRACE, "-f", "-o", os.devnull, "-e", f"trace={what.partition(':')[0]}", "-e", f"inject={what}"]


def count_of(desk: Path, when: str, *words: str) -> Counter[str]:
    """How often a command makes each of the SYSCALLS; the desk is changed by it."""
    return _counted(lambda line: quick(desk, when, *words, traced=line), desk.parent)


def count_calls(work: Callable[[], int], folder: Path) -> Counter[str]:
    """How often a function makes each of the SYSCALLS, in a forked child."""
    return _counted(lambda line: forked(work, traced=line), folder)


def _counted(run: Callable[[list[str]], Done], folder: Path) -> Counter[str]:
    assert STRACE is not None
    out = folder / "count.txt"
    done = run([STRACE, "-f", "-o", str(out), "-e", f"trace={','.join(SYSCALLS)}"])
    assert done.returncode == 0, done.stderr
    found = Counter(re.findall(r"^\d+ +(\w+)\(", out.read_text(), re.M))
    return Counter({name: found[name] for name in SYSCALLS})


def restore(copy: Path, desk: Path) -> Path:
    """Put a desk back as it was copied."""
    shutil.rmtree(desk, ignore_errors=True)
    shutil.copytree(copy, desk)
    return desk


def rows(path: Path, sql: str) -> list[tuple]:
    """Rows of a database, read with plain sqlite3, which also rolls back what a killed writer left."""
    db = sqlite3.connect(path)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def whole(desk: Path) -> list[str]:
    """What is wrong inside the two files: damage, broken keys, a doubled or unwritten order; [] when all is well."""
    wrong = []
    for name in ("desk.db", "paper.db"):
        path = desk / name
        if not path.exists():
            continue
        if (found := rows(path, "PRAGMA integrity_check(1)")[0][0]) != "ok":
            wrong.append(f"{name}: {found}")
        if keys := rows(path, "PRAGMA foreign_key_check"):
            wrong.append(f"{name}: foreign keys {keys}")
    if not (desk / "paper.db").exists() or not rows(desk / "paper.db", "PRAGMA user_version")[0][0]:
        return wrong
    intents = {row[0] for row in rows(desk / "desk.db", "SELECT client_order_id FROM orders")}
    for client, symbol, side in rows(desk / "paper.db", "SELECT client_order_id, symbol, side FROM orders"):
        if client not in intents:
            wrong.append(f"{side} {symbol} {client} was sent and is not written down")
    doubled = "SELECT symbol, count(*) FROM orders WHERE side = 'buy' GROUP BY symbol HAVING count(*) > 1"
    wrong += [f"{symbol} was bought {n} times" for symbol, n in rows(desk / "paper.db", doubled)]
    live = """SELECT symbol, sum(qty - filled_qty) AS asked FROM orders
              WHERE side = 'sell' AND status IN ('open', 'partially_filled') GROUP BY symbol"""
    held = dict(rows(desk / "paper.db", "SELECT symbol, qty FROM holdings"))
    wrong += [f"{asked} {symbol} for sale, {held.get(symbol, 0)} held"
              for symbol, asked in rows(desk / "paper.db", live) if asked > held.get(symbol, 0)]  # fmt: skip
    return wrong


def finished(desk: Path) -> list[str]:
    """What is wrong at the end of a day: all of `whole`, books that do not foot, shares or orders left over."""
    from tradekit.reports.footing import foot

    wrong = whole(desk)
    wrong += [f"{f.check} {f.subject}: {f.found}" for f in foot(desk / "desk.db", desk / "paper.db")]
    wrong += [f"left: {row}" for row in rows(desk / "paper.db", "SELECT symbol, qty FROM holdings")]
    wrong += [
        f"still open: {row}" for row in rows(desk / "desk.db", "SELECT id FROM positions WHERE closed_at IS NULL")
    ]
    live = "SELECT id, status FROM orders WHERE status NOT IN ('filled', 'cancelled', 'rejected', 'expired')"
    wrong += [f"still live: {row}" for row in rows(desk / "desk.db", live)]
    wrong += [
        f"run never closed: {row}" for row in rows(desk / "desk.db", "SELECT id FROM runs WHERE ended_at IS NULL")
    ]
    return wrong


def finish(desk: Path, steps: Sequence[Step]) -> list[str]:
    """Run the rest of a day and what an operator would do at its end; what is wrong then."""
    wrong = []
    last = [("10:20:00", ("liquidate", "--all")), ("10:22:00", ("liquidate", "--all")), ("10:24:00", ("reconcile",)),
            ("10:25:00", ("reconcile",))]  # fmt: skip
    for when, words in [*steps, *last]:
        done = quick(desk, clock(when), *words)
        if done.returncode not in (0, 7):
            wrong.append(f"{when} {' '.join(words)}: {done.returncode} {done.stderr}")
    return wrong + finished(desk)
