"""The same campaign with whole processes: `python -m tradekit`, a store that syncs, the host's own scheduler.

Nothing here is deterministic but the schedule: who comes first is up to the machine. TRADEKIT_CLOCK gives each
command its time; a crash point or a timer kills it. The checks are the same, with paper.db in place of the journal.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.campaign import checker, wire
from tests.campaign.checker import Books, Violation
from tests.campaign.exchange import Entry
from tests.campaign.many import Totals, spread, table
from tests.campaign.market import CRASH, START, template
from tests.campaign.runner import PLANS, Result, decide, paper_holdings, paper_journal, scratch
from tests.campaign.schedule import Batch, Schedule, draw
from tests.campaign.stage import Ended
from tradekit.clock import iso
from tradekit.reports.footing import foot
from tradekit.sim.venue import Venue
from tradekit.store import open_store

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from tradekit.base.locks import Lock
lock = Path(sys.argv[1])
lock.parent.mkdir(exist_ok=True)
with Lock(lock, wait_s=30):
    time.sleep(1)
"""


class Day:
    """One schedule in real processes."""

    venue: Venue | None = None  # where it trades over HTTP; else its own paper account

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        import shutil

        self.schedule, self.folder, self.now = schedule, folder, START
        self.warm = template(schedule.protect)
        shutil.copytree(self.warm.folder, folder, dirs_exist_ok=True)
        self.ended: list[Ended] = []
        self.env: dict[str, str] = {}
        self.rng = random.Random(f"processes {schedule.seed}")

    def all(self) -> list[Violation]:
        """The schedule, the quiet end, the crash of every price."""
        for n, batch in enumerate(self.schedule.batches):
            self._batch(n, batch)
        return [*self._always(), *self._quiet(), *self._flat()]

    def journal(self) -> list[Entry]:
        """What the venue did."""
        return wire.journal_of(self.venue.journal.rows) if self.venue is not None else paper_journal(self.folder)

    def _batch(self, n: int, batch: Batch) -> None:
        self.now += timedelta(seconds=max(60.0, batch.after))
        if batch.decide:
            with_store = open_store(self.folder / "desk.db")
            for k, symbol in enumerate(batch.decide):
                quote = self.warm.market.quote(symbol, self.now)
                if quote is not None:
                    decide(
                        with_store, symbol, quote.last, self.now, n, PLANS[(self.schedule.seed + k + n) % len(PLANS)]
                    )
            with_store.close()
        running = []
        for command in batch.commands:
            words = [command.verb, *self._words(command.verb, command.args)]
            timer = self.rng.uniform(0.2, 0.9) if command.kill_at else None
            running.append((command.verb, self._start(words, command.crash), timer, time.monotonic()))
        for verb, process, timer, began in running:
            self.ended.append(self._end(verb, process, None if timer is None else timer - (time.monotonic() - began)))

    def _words(self, verb: str, args: list[str]) -> list[str]:
        if verb == "halt":
            return ["--reason", "a drill", *args]
        if verb == "cancel":
            books = Books(self.folder / "desk.db")
            live = [row["id"] for row in books.orders if row["status"] in checker.LIVE]
            books.close()
            return [live[int(args[0]) % len(live)] if live else "nothing"]
        return args

    def _start(self, words: list[str], crash: str | None = None) -> subprocess.Popen[str]:
        env = {
            **os.environ,
            **self.env,
            "PYTHONPATH": str(ROOT),
            "TRADEKIT_CLOCK": iso(self.now),
            "TRADEKIT_FORMAT": "json",
        }
        if crash:
            env["TRADEKIT_CRASHPOINT"] = crash
        argv = [sys.executable, "-m", "tradekit", "-C", str(self.folder), *words]
        if words[0] == "hold":
            argv = [sys.executable, "-c", HOLD, str(self.folder / "locks" / "submit.lock")]
        return subprocess.Popen(
            argv,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=env,
            cwd=self.folder,
        )  # fmt: skip

    def _end(self, verb: str, process: subprocess.Popen[str], timer: float | None = None) -> Ended:
        try:
            out, err = process.communicate(timeout=60 if timer is None else max(0.01, timer))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            if timer is None:
                return Ended(verb, False, (1, err, "hung for 60 s"), self.now)
        if process.returncode == -signal.SIGKILL:
            return Ended(verb, True, None, self.now, "crash point")
        broken = "" if process.returncode != 1 else err
        if process.returncode == 0 and out and not valid(out):
            broken = f"stdout is not JSON: {out[:200]}"
        return Ended(verb, False, (process.returncode, err, broken), self.now)

    def command(self, *words: str) -> Ended:
        """One command by itself."""
        ended = self._end(words[0], self._start(list(words)))
        self.ended.append(ended)
        return ended

    def _always(self) -> Iterator[Violation]:
        books = Books(self.folder / "desk.db")
        yield from checker.always(books, self.journal(), self.ended)
        books.close()

    def _quiet(self) -> Iterator[Violation]:
        if self.venue is not None:
            self.venue.faults.clear()
        for pause in (60, 61, 121):
            self.now += timedelta(seconds=pause)
            self.command("reconcile")
        last = self.command("reconcile")
        frozen = self._frozen()
        if last.value[0] not in ((0, 7) if frozen else (0,)):
            yield Violation("I2", "reconcile", f"exit code {last.value[0]} on a quiet venue: {last.value[1][-300:]}")
        books = Books(self.folder / "desk.db")
        yield from checker.converged(books, self.journal(), self._holdings(), frozen)
        books.close()
        if self.venue is None and (self.folder / "paper.db").exists():
            for finding in foot(self.folder / "desk.db", self.folder / "paper.db"):
                yield Violation("I9", finding.subject, f"{finding.check}: {finding.found}")

    def _holdings(self) -> dict[str, Decimal]:
        if self.venue is None:
            return paper_holdings(self.folder)
        return {symbol: Decimal(qty) for symbol, qty in self.venue.control("truth")["positions"].items()}

    def _frozen(self) -> set[str]:
        if self.schedule.profile != "none":
            return set()
        books = Books(self.folder / "desk.db")
        found = {event["symbol"] for event in books.events if event["kind"] == "alert.frozen"}
        books.close()
        return found

    def _flat(self) -> Iterator[Violation]:
        self.now = max(CRASH, self.now)
        for _ in range(7):
            self.command("monitor-exits")
            self.now += timedelta(seconds=61)
        self.command("reconcile")
        books = Books(self.folder / "desk.db")
        frozen = self._frozen()
        yield from (v for v in checker.flat(books) if v.subject.split("-")[0] not in frozen)
        yield from checker.always(books, self.journal(), self.ended)
        books.close()


def valid(text: str) -> bool:
    """stdout is data."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def play(seed: int) -> Result:
    """One schedule in whole processes."""
    over_http = seed % 2 == 1
    schedule = draw(seed, ("paper",))
    schedule.profile = wire.PROFILES[seed // 2 % 3] if over_http else "paper"
    with scratch() as folder:
        day = Day(schedule, folder)
        if over_http:
            with wire.served(folder, schedule.profile) as (venue, env):
                day.venue, day.env = venue, env
                venue.faults.add(*wire.script(seed))
                violations = day.all()
                journal = day.journal()
                struck = Counter(f"{row['method']} {row['fault']}" for row in venue.journal.of("fault"))
        else:
            violations, struck = day.all(), Counter[str]()
            journal = day.journal()
    return Result(
        seed=seed, violations=violations, commands=len(day.ended), kills=sum(one.killed for one in day.ended),
        faults=struck, fills=sum(e.kind == "fill" for e in journal), orders=sum(e.kind == "accept" for e in journal),
        profile=f"python -m tradekit, {'http ' if over_http else ''}{schedule.profile}",
    )  # fmt: skip


def processes(count: int, *, jobs: int = 2, first: int = 1) -> int:
    """`count` schedules; prints the figures."""
    totals, began = Totals(), time.monotonic()
    for result in spread(jobs, range(first, first + count), play):
        totals.add(result)
        for violation in result.violations[:3]:
            print(f"processes {result.seed}: {violation}", flush=True)
    totals.wall_s = time.monotonic() - began
    print(table(totals, "schedules in whole processes"))
    print(f"{totals.schedules} schedules, {len(totals.failed)} broke an invariant")
    return 1 if totals.failed else 0
