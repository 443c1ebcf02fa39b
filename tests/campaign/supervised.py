"""A recorded day under `tradekit supervise`, sixty times as fast, its children killed at random.

All of it is real: the supervisor, the commands it starts, `tradekit sim venue` behind HTTP, the kills. They share one
scaled clock. Afterwards the campaign's checker judges the books, the venue's journal and what the processes said.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from tests.campaign import checker, wire
from tests.campaign.checker import Books, Violation, parsed
from tests.campaign.market import WITNESS, template
from tests.campaign.runner import PLANS, decide, scratch
from tests.campaign.stage import Ended
from tradekit.clock import ScaledClock, iso
from tradekit.schedule import default_schedule
from tradekit.sim.journal import read_journal
from tradekit.store import open_store

ROOT = Path(__file__).resolve().parents[2]
RATE = 60.0
DAY = "2026-02-13"
HTTP = {"RATE_PER_MINUTE": "100000", "BURST": "1000", "SETTLE_S": "0"}
SUPERVISE = {"BACKOFF_S": "0.1", "EXIT_BACKOFF_S": "0.3", "HEALTH_S": "1", "CRASHES": "1000"}  # each death an alert
PERIODS = 2  # an exit check may be so many periods late (I5) unless an alert says so
MOST_PERIODS = 5  # and never later than this


@dataclass(frozen=True)
class Kill:
    """One child that was alive and is not any more."""

    job: str
    pid: int
    at: datetime
    age_s: float


@dataclass
class Course:
    """What came of a day."""

    violations: list[Violation] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    children: int = 0
    passes: int = 0
    longest_gap_s: float = 0.0  # the desk's seconds between two exit checks that were done
    orders: int = 0
    fills: int = 0
    trades: int = 0
    rss_kb: int = 0
    told: int = 0  # events that reached the listener
    deaf_calls: int = 0  # calls that it let hang
    stop_s: float = 0.0
    said: str = ""


class Listener:
    """Where the notifier's messages go. Until it is well it takes a call and lets it hang."""

    def __init__(self) -> None:
        self.well, self.got, self.calls = False, [], 0
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                listener.calls += 1
                if not listener.well:
                    time.sleep(0.5)
                    self.close_connection = True
                    return
                listener.got.append((self.headers["idempotency-key"], [e["id"] for e in json.loads(body)["events"]]))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/desk"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class FastDay:
    """A desk's folder, from one time of its day to another, with so many kills, `deaf_s` of it without a listener."""

    def __init__(
        self, desk: Path, start: str, end: str, *, kills: int, seed: int, interval_s: int, deaf_s: float = 3600.0
    ) -> None:
        self.desk, self.wanted, self.rng, self.interval_s = desk, kills, random.Random(f"supervised {seed}"), interval_s
        self.end = _at(end)
        self.clock = ScaledClock(_at(start), RATE)
        self.course = Course()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TRADEKIT_")}
        self.env |= {"PYTHONPATH": str(ROOT), "TRADEKIT_CLOCK": self.clock.text(), "TRADEKIT_FORMAT": "json"}
        self.env |= {f"TRADEKIT_SET__HTTP__{name}": value for name, value in HTTP.items()}
        self.env |= {f"TRADEKIT_SET__SUPERVISE__{name}": value for name, value in SUPERVISE.items()}
        self.env["XDG_STATE_HOME"] = str(desk.parent / "state")
        self.log = desk.parent / "supervise.log"
        self.listener, self.deaf_until = Listener(), _at(start) + timedelta(seconds=deaf_s)
        _with_channel(desk, self.listener.url)
        self.spans: dict[str, float] = {}  # how long a job's child lives when nobody kills it

    def run(self) -> Course:
        """The day, its quiet end, and the verdict."""
        with self._venue() as url:
            self.env |= {"TRADEKIT_SET__DESK__BROKER": "http", "TRADEKIT_SET__HTTP__BASE_URL": url}
            began = self.clock.now()
            code = self._supervised()
            ended = self.clock.now()
            last = [self._command("reconcile") for _ in range(3)]
            self.listener.well = True
            for _ in range(20):
                last.insert(0, self._command("notify"))
                if not self._untold():
                    break
                time.sleep(1)
        self.listener.close()
        self.course.violations += self._each_told_once()
        self.course.violations += [*self._judged(last), *self._exits_watched(began, ended), *self._all_told(code)]
        return self.course

    # the processes

    @contextmanager
    def _venue(self) -> Iterator[str]:
        """`tradekit sim venue` over this desk's bars, on the same clock; its URL."""
        words = [sys.executable, "-m", "tradekit", "-C", str(self.desk), "sim", "venue"]
        venue = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.env)
        assert venue.stdout is not None
        try:
            yield venue.stdout.readline().strip()
        finally:
            venue.terminate()
            venue.communicate(timeout=20)

    def _supervised(self) -> int:
        """Kill children until `end`, then stop the supervisor; its exit code."""
        words = [sys.executable, "-m", "tradekit", "-C", str(self.desk), "supervise"]
        with self.log.open("w") as log:
            supervisor = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log, env=self.env)
            try:
                self._kill_until_the_end(supervisor)
                status = Path(f"/proc/{supervisor.pid}/status").read_text()
                self.course.rss_kb = int(status.partition("VmRSS:")[2].split()[0])
            finally:
                supervisor.send_signal(signal.SIGTERM)
                asked = time.monotonic()
                code = supervisor.wait(timeout=30)
                self.course.stop_s = time.monotonic() - asked
                self.course.said = self.log.read_text()
        return code

    def _kill_until_the_end(self, supervisor: "subprocess.Popen[bytes]") -> None:
        seen: set[int] = set()
        rest = self._left_s() / (self.wanted + 1)
        resume = time.monotonic() + self.rng.uniform(0, rest)
        while self._left_s() > 0 or (len(self.course.kills) < self.wanted and self._left_s() > -60):
            assert supervisor.poll() is None, self.log.read_text()
            self.listener.well = self.listener.well or self.clock.now() >= self.deaf_until
            for pid in children(supervisor.pid):
                if pid in seen:
                    continue
                seen.add(pid)
                if len(self.course.kills) < self.wanted and self._watch(pid, resume):
                    rest = max(0.0, self._left_s()) / (self.wanted - len(self.course.kills) + 1)
                    resume = time.monotonic() + self.rng.uniform(0, 1.6 * rest)
            time.sleep(0.002)

    def _watch(self, pid: int, resume: float) -> bool:
        """Kill a child somewhere in its life, if a kill is due or its job is a rare one; True: done."""
        began = time.monotonic()
        while (job := job_of(pid)) == "" and time.monotonic() < began + 1:
            time.sleep(0.001)  # not the command yet, but a fork of the supervisor
        last = self.course.kills[-1].job if self.course.kills else ""
        if time.monotonic() < resume and (job in ("monitor-exits", last) or self.rng.random() < 0.4):
            return False
        wait = self.rng.uniform(0, self.spans.get(job, 0.3))
        while time.monotonic() < began + wait:
            if state_of(pid) in ("", "Z"):
                self.spans[job] = time.monotonic() - began
                return False
            time.sleep(0.002)
        if not struck(pid):
            return False
        self.spans[job] = max(self.spans.get(job, 0.3), 1.5 * wait)  # it lived longer than we knew
        self.course.kills.append(Kill(job, pid, self.clock.now(), time.monotonic() - began))
        return True

    def _left_s(self) -> float:
        """Host seconds until the day's end."""
        return (self.end - self.clock.now()).total_seconds() / RATE

    def _command(self, *words: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "tradekit", "-C", str(self.desk), *words],
            capture_output=True, text=True, timeout=120, env=self.env, check=False,
        )  # fmt: skip
        return Ended(words[0], False, (done.returncode, done.stderr, ""), self.clock.now())

    # the verdict

    def _judged(self, ended: list[Ended]) -> Iterator[Violation]:
        """The campaign's checker over the books and the venue's journal."""
        journal = wire.journal_of(read_journal(self.desk / "venue" / "journal.jsonl"))
        books = Books(self.desk / "desk.db")
        try:
            yield from checker.always(books, journal, ended)
            yield from checker.converged(books, journal, holdings(self.desk / "venue" / "paper.db"))
            if (code := ended[-1].value[0]) != 0:
                yield Violation("I2", "reconcile", f"exit code {code} on a quiet venue: {ended[-1].value[1][-300:]}")
            course = self.course
            course.orders = sum(entry.kind == "accept" for entry in journal)
            course.fills = sum(entry.kind == "fill" for entry in journal)
            course.trades = len(books.trades)
        finally:
            books.close()

    def _exits_watched(self, began: datetime, ended: datetime) -> Iterator[Violation]:
        """I5, I15: no exit check was missed for longer than the rule."""
        books = Books(self.desk / "desk.db")
        opened, closed = sorted(_sessions(books))
        first, last = max(began, opened), min(ended, closed)
        done = [parsed(row["started_at"]) for row in books.runs
                if row["command"] == "monitor-exits" and row["exit_code"] in (0, 7)]  # fmt: skip
        alerts = [parsed(event["at"]) for event in books.events if event["kind"].startswith("alert.")]
        books.close()
        times = [first, *sorted(at for at in done if first <= at <= last), last]
        self.course.passes = len(times) - 2
        for before, after in zip(times, times[1:], strict=False):
            gap = (after - before).total_seconds()
            self.course.longest_gap_s = max(self.course.longest_gap_s, gap)
            told = any(before <= at <= after for at in alerts)
            if gap > MOST_PERIODS * self.interval_s or (gap > PERIODS * self.interval_s and not told):
                yield Violation("I5", "monitor-exits", f"no exit check for {gap:.0f} s from {iso(before)} on")

    def _untold(self) -> list[str]:
        """Alerts that nobody has heard of."""
        heard = {name for _, names in self.listener.got for name in names}
        books = Books(self.desk / "desk.db")
        db = sqlite3.connect(self.desk / "outbox.db")
        began = parsed(db.execute("SELECT value FROM facts WHERE key = 'started'").fetchone()[0])
        db.close()  # what was before the notifier's first look is history
        alerts = [r["id"] for r in books.events if r["kind"].startswith("alert.") and parsed(r["at"]) >= began]
        books.close()
        return [name for name in alerts if name not in heard]

    def _each_told_once(self) -> Iterator[Violation]:
        """Alerts reach the listener once each and in their order, however long it was deaf; its day is not ours."""
        course, messages = self.course, dict(self.listener.got)
        course.deaf_calls, course.told = self.listener.calls - len(self.listener.got), sum(map(len, messages.values()))
        for name, n in Counter(name for names in messages.values() for name in names).items():
            if n > 1:
                yield Violation("I15", name, f"told in {n} messages with keys of their own")
        for name in self._untold():
            yield Violation("I15", name, "an alert that nobody was told")
        books = Books(self.desk / "desk.db")
        at = {row["id"]: parsed(row["at"]) for row in books.events}
        books.close()
        times = [at[name] for names in messages.values() for name in names]
        for before, after in zip(times, times[1:], strict=False):
            if before - after > timedelta(seconds=2 * RATE):  # written by two processes at once: two of our seconds
                yield Violation("I15", "notify", f"told of {iso(before)} before {iso(after)}")

    def _all_told(self, code: int) -> Iterator[Violation]:
        """I15: every restart is in the supervisor's run row and an alert; nothing else went wrong with children."""
        books, kills = Books(self.desk / "desk.db"), self.course.kills
        rows = [row for row in books.runs if row["command"] == "supervise"]
        counts = msgspec.json.decode(rows[-1]["counts"])
        self.course.children = counts.get("children", 0)
        died = [event for event in books.events if event["kind"] == "alert.child-died"]
        other = [event for event in books.events if event["kind"] in ("alert.child-failed", "alert.slot-failed")]
        running = {row["id"] for row in books.runs if row["ended_at"] is None}
        books.close()
        if code != 143 or rows[-1]["exit_code"] != 143:
            yield Violation(
                "I15", "supervise", f"ended with {code} after SIGTERM, its row says {rows[-1]['exit_code']}"
            )
        if counts.get("restarts", 0) != len(kills):
            yield Violation("I15", "supervise", f"{len(kills)} were killed, its row counts {counts}")
        wanted, told = Counter(kill.job for kill in kills), Counter(str(event["ref"]) for event in died)
        if wanted != told:
            yield Violation("I15", "supervise", f"killed {dict(wanted)}, alerts say {dict(told)}")
        for event in [event for event in died if "SIGKILL" not in event["data"]] + other:
            yield Violation("I15", str(event["ref"]), f"{event['kind']}: {event['data']}")
        for run in running:
            yield Violation("I15", run, "never ended")
        if "Traceback" in self.course.said:
            yield Violation("I15", "supervise", self.course.said[-2000:])


def _sessions(books: Books) -> tuple[datetime, datetime]:
    (row,) = books.db.execute("SELECT open, close FROM sessions WHERE day = ?", [DAY])
    return parsed(row[0]), parsed(row[1])


def _at(text: str) -> datetime:
    """`09:33`, New York's winter time on the day."""
    hours, minutes = (int(part) for part in text.split(":"))
    return datetime.fromisoformat(f"{DAY}T00:00:00+00:00") + timedelta(hours=hours + 5, minutes=minutes)


def children(pid: int) -> list[int]:
    """The children that a process has at the moment."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state_of(pid: int) -> str:
    """One letter: R, S, T (stopped), Z (ended) ...; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def job_of(pid: int) -> str:
    """The slot, or the command, that a child was started for; empty: none yet."""
    with suppress(OSError):
        _, _, words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().partition("\0--jsonl\0")
        first, _, rest = words.partition("\0")
        return rest.rstrip("\0") if first == "run-slot" else {"reconcile": "catch-up"}.get(first, first)
    return ""


def struck(pid: int) -> bool:
    """Kill a child for sure: it is stopped first, so that one which has ended meanwhile does not count."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while (state := state_of(pid)) not in ("T", "t", "Z", "") and time.monotonic() < deadline:
            time.sleep(0.0005)
        os.kill(pid, signal.SIGKILL)
        return state in ("T", "t")
    return False


def holdings(path: Path) -> dict[str, Decimal]:
    """What the venue's books say the account holds."""
    db = sqlite3.connect(path)
    try:
        return {symbol: Decimal(str(qty)) for symbol, qty in db.execute("SELECT symbol, qty FROM holdings")}
    finally:
        db.close()


def morning(folder: Path, interval_s: int) -> Path:
    """The campaign's little market at 09:33 with two decisions to enter."""
    desk = folder / "desk"
    shutil.copytree(template("disaster").folder, desk)
    text = (desk / "desk.yaml").read_text().partition("\nschedule:")[0]
    entries = [
        {"name": "open-enter", "at": "open+5m", "late": "15m", "run": "enter"},
        {"every": interval_s, "from": "open", "to": "close+2m", "run": "monitor-exits"},
        {"name": "books", "every": "10m", "from": "open", "to": "close", "run": "reconcile"},
    ]
    _with_schedule(desk, text.replace("exits: {", f"exits: {{interval_s: {interval_s}, "), entries)
    store = open_store(desk / "desk.db", synchronous="OFF")
    for n, symbol in enumerate(("AAA", "BBB")):
        last = template("disaster").market.quote(symbol, _at("09:33"))
        assert last is not None
        decide(store, symbol, last.last, _at("09:33"), n, PLANS[0])
    store.close()
    db = sqlite3.connect(desk / "desk.db")
    db.execute("UPDATE decisions SET expires_at = ?", [iso(_at("09:55"))])  # a killed `enter` may come late
    db.commit()
    db.close()
    return desk


def whole_day(folder: Path, interval_s: int, symbols: int = 200) -> Path:
    """A desk of the day preset over a made-up market, with its own schedule, exits each `interval_s`."""
    desk = folder / "desk"
    for words in (
        ["-q", "init", str(desk), "--preset", "day"],
        ["-q", "-C", str(desk), "data", "synthetic", "--seed", "1", "--symbols", str(symbols), "--session", DAY],
    ):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TRADEKIT_")}
        env |= {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        subprocess.run([sys.executable, "-m", "tradekit", *words], check=True, capture_output=True, env=env)
    entries = [entry for entry in default_schedule() if entry["run"] != "monitor-exits"]
    entries.append({"every": interval_s, "from": "open", "to": "close+2m", "run": "monitor-exits"})
    text = (desk / "desk.yaml").read_text().partition("\nschedule:")[0]
    found = next(line for line in text.splitlines() if line.strip().startswith("interval_s:"))
    _with_schedule(desk, text.replace(found, f"  interval_s: {interval_s}"), entries)
    store = open_store(desk / "desk.db", synchronous="OFF")
    store.db.script(WITNESS)
    store.meta.set("created_at", iso(_at("09:00")))
    store.close()
    return desk


def _with_channel(desk: Path, url: str) -> None:
    """Everything that is told goes to one webhook, which is looked after each minute of the desk's time."""
    said = f"{{channels: {{hook: {{kind: webhook, url: '{url}'}}}}, every_s: 60, retry_s: 30, longest_retry_s: 120}}"
    text = (desk / "desk.yaml").read_text()
    if "\nnotify:" in text:
        before, _, rest = text.partition("\nnotify:")
        kept = rest.split("\n")[1:]
        while kept and kept[0].startswith(" "):
            kept.pop(0)
        text = "\n".join([before, *kept])
    (desk / "desk.yaml").write_text(f"{text}\nnotify: {said}\n")


def _with_schedule(desk: Path, text: str, entries: list[dict[str, object]]) -> None:
    (desk / "desk.yaml").write_text(f"{text}\nschedule: {msgspec.json.encode(entries).decode()}\n")
    desk.chmod(0o700)


def supervised(kills: int, *, seed: int = 1, interval_s: int = 300) -> int:
    """The whole day with so many kills; prints the figures. 1 where anything broke."""
    with scratch() as folder:
        day = FastDay(whole_day(folder, interval_s), "09:24", "16:25", kills=kills, seed=seed, interval_s=interval_s)
        course = day.run()
    for violation in course.violations:
        print(f"supervised {seed}: {violation}", flush=True)
    by_job = Counter(kill.job for kill in course.kills)
    print(f"a day at {RATE:g} x: {course.children} children, {len(course.kills)} killed "
          f"({', '.join(f'{job} {n}' for job, n in by_job.most_common())})")  # fmt: skip
    print(f"{course.passes} exit checks, the longest gap {course.longest_gap_s:.0f} s of the desk's time "
          f"(period {interval_s} s)")  # fmt: skip
    print(f"{course.orders} orders taken, {course.fills} fills, {course.trades} trades; supervisor {course.rss_kb} KB, "
          f"stopped in {course.stop_s:.1f} s; {course.told} events told, {course.deaf_calls} calls during an hour in "
          f"which nobody listened; {len(course.violations)} violations")  # fmt: skip
    return 1 if course.violations or len(course.kills) < kills else 0
