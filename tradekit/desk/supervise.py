"""One process that runs a desk's schedule: it starts the commands as children, and starts them again when they die.

It trades nothing itself and remembers nothing that matters: what is due follows from the schedule and the slot rows, as
for cron, so that a second start goes on where the first one was killed.
"""

import os
import re
import selectors
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from tradekit.base.children import Child, how_it_ended
from tradekit.base.interrupts import Interrupted
from tradekit.base.logs import redact
from tradekit.base.settings_file import load_settings, load_universe
from tradekit.base.systemd import notify, watchdog_s
from tradekit.clock import ScaledClock, awake_and_asleep, iso
from tradekit.desk.desk import Desk, print_stderr
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.halts import masters_left
from tradekit.desk.open import check_fits, load_calendar, store_mode
from tradekit.desk.slots import desk_schedule, note_overdue, out_of_time, slots_done, timeout_s
from tradekit.errors import ConfigError, StoreError, TradekitError, UsageError
from tradekit.schedule import SlotSpec, check, resolve_day
from tradekit.store import open_store

HEALTH = "supervisor"  # the row in meta
LONGEST_WAIT_S = 15.0  # a host that was asleep is noticed this soon after it woke up
ANSWERS = frozenset({2, 4, 6, 9})  # a child that ends so would end so again: its next slot tries
LANES = {"monitor-exits": "exits", "liquidate": "exits", "reconcile": "exits", "refresh-token": "logins"}
CATCH_UP = "catch-up"  # reconcile, before anything else, after a start and after a sleep

Say = Callable[[str, bool], None]  # a line, and whether it belongs on stderr
Ended = Literal["flat", "again"]


@dataclass(frozen=True)
class SuperviseOptions:
    until_flat: bool = False


@dataclass
class Job:
    """Something that children do: a slot, or a service that never ends by itself."""

    name: str
    words: tuple[str, ...]
    lane: str
    timeout_s: float | None
    service: bool = False
    crashes: int = 0  # in a row
    retry_at: float | None = None  # host seconds
    last_ok: datetime | None = None


@dataclass
class Running:
    """A job's child, since when, and until when it may run (host seconds)."""

    job: Job
    child: Child
    due_at: datetime | None
    deadline: float | None
    asked: int = 0  # how often it was told to end


@dataclass
class Lane:
    """Jobs that wait for one another; each lane has one child at a time."""

    waiting: deque[str] = field(default_factory=deque)
    running: Running | None = None


def supervise(
    desk: Desk,
    options: SuperviseOptions = SuperviseOptions(),
    *,
    say: Say | None = None,
    times: Callable[[], tuple[float, float]] = awake_and_asleep,
    program: Sequence[str] = (sys.executable, "-P", "-m", "tradekit"),
) -> Ended:
    """Run the desk's schedule until the day is won (`flat`) or new code wants a new process (`again`).

    Raises Interrupted after SIGTERM or Ctrl-C, UsageError on a desk whose clock stands still.
    """
    if not desk.clock.passes:
        raise UsageError("a clock that stands still makes nothing due", "TRADEKIT_CLOCK=ISO@rate, or leave it away")
    return Supervisor(desk, options, say or _print, times, program).run()


def health(text: str | None) -> dict[str, Any]:
    """What the supervisor wrote down of itself last; {} where none ever ran."""
    return dict(msgspec.json.decode(text)) if text else {}


class Supervisor:
    """The loop and what it knows: jobs, lanes, the plan of the days."""

    def __init__(
        self,
        desk: Desk,
        options: SuperviseOptions,
        say: Say,
        times: Callable[[], tuple[float, float]],
        program: Sequence[str],
    ) -> None:
        self.desk, self.options, self.say, self.times = desk, options, say, times
        self.program = [*program, "-C", str(desk.path.resolve()), "--jsonl"]  # children work in the desk's folder
        self.rate = desk.clock.rate if isinstance(desk.clock, ScaledClock) else 1.0
        self.specs: list[SlotSpec] = []
        self.jobs: dict[str, Job] = {}
        self.lanes: dict[str, Lane] = {}
        self.plan: list[tuple[datetime, str]] = []  # what is to come, of slots that wait for none
        self.selector = selectors.DefaultSelector()
        self.stopping = 0  # the signal
        self.reloading = False
        self.catching_up = False  # no entry before the exits had their turn
        self.leaving: Ended | None = None
        self.seen = (desk.clock.now(), 0.0, 0.0)
        self.planned_wait = 0.0
        self.next_health = self.next_feed = 0.0
        self.lost_store = False  # after a failed write, or with its file gone, a store takes no more
        self.calm = False  # True: the last look at the books went well, and so did all work on them since
        self.started_at = desk.clock.now()
        self.restarts = 0

    # the loop

    def run(self) -> Ended:
        """Go on until told to stop; children are gone when it returns."""
        with self._signals():
            self.seen = (self.desk.clock.now(), *self.times())
            self._read_schedule()
            self._catch_up()
            notify("READY=1")
            try:
                while True:
                    if self.stopping:
                        raise Interrupted(130 if self.stopping == signal.SIGINT else 143)
                    self._round()
                    if self.leaving is not None:
                        return self.leaving
                    self._wait()
            finally:
                self._stop_children()
                with self._told():
                    self._write_health("stopped")
                notify("STOPPING=1")

    def _round(self) -> None:
        """Everything once: what ended, what is due, what is late, what is to be told."""
        with self._told():
            self._reap()
            self._watch_clock()
            if self.reloading:
                self._reload()
            self._take_due()
        self._retry()
        self._limit()
        self._start()
        with self._told():
            self._look_around()
        self._feed_watchdog()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Trouble with the books is said and stops nothing: the children have to go on."""
        try:
            yield
        except TradekitError as error:
            self.calm = False
            self.lost_store = self.lost_store or isinstance(error, StoreError)
            self.say(f"supervise: {error.message}", True)

    def _wait(self) -> None:
        """Until a child says something, a signal comes, or the next time that matters."""
        awake = self.times()[0]
        moments = [awake + LONGEST_WAIT_S, self.next_health]
        if (every := watchdog_s()) is not None:
            moments.append(awake + every / 3)
        if self.plan:
            moments.append(awake + (self.plan[0][0] - self.desk.clock.now()).total_seconds() / self.rate)
        moments += [job.retry_at for job in self.jobs.values() if job.retry_at is not None]
        moments += [one.deadline for one in self._running() if one.deadline is not None]
        self.planned_wait = max(0.0, min(moments) - awake)
        self._listen(self.planned_wait)

    def _listen(self, seconds: float) -> None:
        """Pass on what children say; a signal ends the wait too."""
        for key, _ in self.selector.select(seconds):
            if key.data is None:
                _drain(key.fileobj)
            elif not key.data.read(key.fd):
                self.selector.unregister(key.fd)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop, SIGHUP reloads, SIGCHLD wakes; what was there before comes back."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self.selector.register(ours, selectors.EVENT_READ, None)
        old_fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        old = {number: signal.signal(number, self._signalled) for number in wanted}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_fd)
            self.selector.close()
            ours.close()
            theirs.close()

    def _signalled(self, number: int, _frame: Any) -> None:
        if number == signal.SIGHUP:
            self.reloading = True
        elif number != signal.SIGCHLD:
            self.stopping = number

    # what is due

    def _read_schedule(self) -> None:
        """Slots, jobs and the plan from the settings in force."""
        self.specs = desk_schedule(self.desk)
        known, self.jobs = self.jobs, {}
        for spec in self.specs:
            lane = LANES.get(spec.verb, "rest")
            limit = timeout_s(self.desk, spec)
            self.jobs[spec.name] = Job(spec.name, ("run-slot", spec.name), lane, limit)
        self.jobs[CATCH_UP] = Job(CATCH_UP, ("reconcile",), "exits", self.desk.settings.supervise.exit_timeout_s)
        if self.desk.settings.notify.channels:
            every = f"{self.desk.settings.notify.every_s:g}s"
            self.jobs["notify"] = Job("notify", ("notify", "--every", every), "notify", None, service=True)
        if self.desk.settings.bot.enabled:
            self.jobs["bot"] = Job("bot", ("bot",), "bot", None, service=True)
        for name, job in self.jobs.items():
            self.lanes.setdefault(job.lane, Lane())
            if name in known and known[name].words == job.words:
                self.jobs[name] = known[name]
                self._follow(known[name], job)
        self._make_plan()

    def _follow(self, job: Job, new: Job) -> None:
        """A job that is known keeps its crashes and pauses, and has the time and the lane that its slot has now."""
        waiting = self.lanes[job.lane].waiting
        moves = job.lane != new.lane and job.name in waiting
        job.lane, job.timeout_s = new.lane, new.timeout_s
        if moves:
            waiting.remove(job.name)
            self._queue(job.name)

    def _make_plan(self) -> None:
        """The times to come, today's and those of the next day that has any."""
        calendar, now = self.desk.calendar, self.desk.clock.now()
        day = calendar.day(now)
        self.plan = []
        for i in range(15):
            dues = resolve_day(self.specs, day + timedelta(days=i), calendar.on(day + timedelta(days=i)), calendar.zone)
            self.plan += [(due.at, due.name) for due in dues if due.spec.after is None and due.at > now]
            if i and self.plan:
                return

    def _catch_up(self) -> None:
        """After a start or a sleep: reconcile, the exits, then whatever is not too late; the rest is written down."""
        self._make_plan()
        self.catching_up = True
        now, calendar = self.desk.clock.now(), self.desk.calendar
        session = calendar.on(calendar.day(now))
        if session is not None:
            note_overdue(self.desk, self.specs, session)
        done = self._slot_rows()
        stale = {key: state for key, state in done.items() if state != "running"}  # none of ours runs yet
        due = [spec for spec in self.specs if check(spec.name, now, self.specs, calendar, stale).verdict == "due"]
        if session is not None and session.open <= now < session.close:
            self._queue(CATCH_UP)
        for spec in sorted(due, key=lambda spec: LANES.get(spec.verb) != "exits"):
            self._queue(spec.name)
        for name, job in self.jobs.items():
            if job.service:
                self._queue(name)
        self.next_health = 0.0

    def _slot_rows(self) -> dict[tuple[str, datetime], str]:
        calendar = self.desk.calendar
        today = calendar.day(self.desk.clock.now())
        before = calendar.previous(today)
        days = [one.day for one in (before, calendar.on(today)) if one] or [today]
        return dict(slots_done(self.desk, days if today in days else [*days, today]))

    def _take_due(self) -> None:
        """Queue what has become due since the last round."""
        now = self.desk.clock.now()
        while self.plan and self.plan[0][0] <= now:
            _, name = self.plan.pop(0)
            self._queue(name)
        if not self.plan:
            self._make_plan()

    def _queue(self, name: str) -> None:
        """Have a job wait in its lane, once; one that is at work already is not doubled."""
        job = self.jobs[name]
        lane = self.lanes[job.lane]
        if name in lane.waiting:
            return
        if lane.running is not None and lane.running.job.name == name:
            if not job.service:
                self.say(f"[{name}] its last run is still at work", True)
            return
        lane.waiting.append(name)

    def _retry(self) -> None:
        awake = self.times()[0]
        for job in self.jobs.values():
            if job.retry_at is not None and job.retry_at <= awake:
                job.retry_at = None
                self._queue(job.name)

    # children

    def _running(self) -> list[Running]:
        return [lane.running for lane in self.lanes.values() if lane.running is not None]

    def _start(self) -> None:
        """Start the next job of every free lane. After a start or a sleep the exits come before the entries."""
        exits = self.lanes["exits"]
        self.catching_up = self.catching_up and bool(exits.waiting or exits.running)
        for name, lane in self.lanes.items():
            if lane.running is not None or not lane.waiting or (self.catching_up and name == "rest"):
                continue
            self._launch(lane, self.jobs[lane.waiting.popleft()])

    def _launch(self, lane: Lane, job: Job) -> None:
        job.retry_at = None
        environ = dict(os.environ)
        for mine in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environ.pop(mine, None)
        if isinstance(self.desk.clock, ScaledClock):
            environ["TRADEKIT_CLOCK"] = self.desk.clock.text()
        try:
            child = Child(
                [*self.program, *job.words],
                environ=environ,
                folder=self.desk.path,
                say=lambda line, error: self.say(f"[{job.name}] {line}", error),
            )
        except OSError as error:  # no memory, no processes: the machine may have some again soon
            self.say(f"[{job.name}] cannot be started: {error.strerror}", True)
            self._died(job, f"could not be started: {error.strerror}")
            return
        deadline = None if job.timeout_s is None else self.times()[0] + job.timeout_s + self._grace_s
        lane.running = Running(job, child, self.desk.clock.now(), deadline)
        for fd in child.open_pipes:
            self.selector.register(fd, selectors.EVENT_READ, child)
        self.desk.count("children")

    def _reap(self) -> None:
        """See who has ended, and what that means for it."""
        for lane in self.lanes.values():
            one, code = lane.running, self._finished(lane)
            if one is not None and code is not None:
                self._ended(one, code)

    def _finished(self, lane: Lane) -> int | None:
        """The exit code of a lane's child, which is then forgotten; None: there is none, or it runs."""
        if lane.running is None:
            return None
        fds = lane.running.child.open_pipes
        code = lane.running.child.ended()
        if code is not None:
            lane.running = None
            for fd in fds:
                with suppress(KeyError):
                    self.selector.unregister(fd)
        return code

    def _ended(self, one: Running, code: int) -> None:
        job = one.job
        if one.asked and job.service:  # by a reload; what has other words now is started with them
            if self.jobs.get(job.name, job) is not job:  # one that is off and on again is another one, and equal
                self._queue(job.name)
        elif one.asked:
            self._stopped(one)
        elif code == 8:  # another copy is at work: cron, a terminal, the one that a killed supervisor left
            job.retry_at = self.times()[0] + self.desk.settings.supervise.busy_again_s
        elif code in (0, 3, 7) and not job.service:
            job.crashes, job.last_ok = 0, self.desk.clock.now()
            for spec in self.specs:
                if spec.after == job.name:
                    self._queue(spec.name)
            if self.options.until_flat and job.lane == "exits" and self._won():
                self.leaving = "flat"
        elif code in ANSWERS:
            alert_once(self.desk, "child-failed", f"{job.name}: {how_it_ended(code)}", ref=job.name)
            if job.service:
                job.retry_at = self.times()[0] + self.desk.settings.supervise.longest_backoff_s
        elif self.jobs.get(job.name) is job:
            self._died(job, how_it_ended(code))

    def _stopped(self, one: Running) -> None:
        """It took too long and was told to end: its slot has failed, unless it wrote down so itself."""
        what = f"still at work after {one.job.timeout_s:g} s"
        found = self._slot_of(one.job.name)
        if found is not None and found[1] == "running":
            spec = next(spec for spec in self.specs if spec.name == one.job.name)
            due = check(spec.name, self.desk.clock.now(), self.specs, self.desk.calendar, {}).due
            if due is not None and due.at == found[0]:
                out_of_time(self.desk, due, self.desk.calendar.day(due.at), what)
                return
        alert(self.desk, "slot-timeout", f"{one.job.name}: {what}, stopped", ref=one.job.name)

    def _slot_of(self, name: str) -> tuple[datetime, str] | None:
        rows = [(at, state) for (slot, at), state in self._slot_rows().items() if slot == name]
        return max(rows) if rows else None

    def _died(self, job: Job, how: str) -> None:
        """Start it again after a pause that doubles; the exits' pause has a short end. The fifth death is an alarm."""
        said = self.desk.settings.supervise
        job.crashes += 1
        self.restarts += 1
        longest = said.exit_backoff_s if job.lane == "exits" else said.longest_backoff_s
        pause = min(longest, said.backoff_s * 2.0 ** min(job.crashes - 1, 30))
        job.retry_at = self.times()[0] + pause
        self.desk.count("restarts")
        with self._told():
            said_so, message = (alert if job.crashes <= said.crashes else alert_once), f"{job.name}: {how}"
            said_so(self.desk, "child-died", f"{message}; again in {pause:g} s", ref=job.name, crashes=job.crashes)
            if job.crashes == said.crashes:
                message = f"{job.name} died {job.crashes} times in a row, the last time {how}"
                alert(self.desk, "child-broken", message, ref=job.name)

    @property
    def _grace_s(self) -> float:
        """A child's own time limit comes first, then SIGTERM, then SIGKILL."""
        return self.desk.settings.supervise.grace_s

    def _limit(self) -> None:
        """End children that are out of time: asked first, killed after that."""
        awake = self.times()[0]
        for one in self._running():
            if one.deadline is not None and awake >= one.deadline:
                one.child.end(signal.SIGTERM if not one.asked else signal.SIGKILL)
                one.asked += 1
                one.deadline = awake + self._grace_s

    def _stop_children(self) -> None:
        """SIGTERM to all, SIGKILL to those that are there after `stop_s`."""
        for one in self._running():
            one.asked += 1
            one.child.end(signal.SIGTERM)
        deadline = self.times()[0] + self.desk.settings.supervise.stop_s
        while self._running() and self.times()[0] < deadline:
            self._collect(0.1)
        for one in self._running():
            self.say(f"[{one.job.name}] did not end, killed", True)
            one.child.end(signal.SIGKILL)
        for _ in range(10):
            if self._running():
                self._collect(0.1)

    def _collect(self, seconds: float) -> None:
        """Listen to the last words of children that end, for a while."""
        self._listen(seconds)
        for lane in self.lanes.values():
            self._finished(lane)

    # looking around

    def _watch_clock(self) -> None:
        """Tell a sleep, a stall and a moved clock; after each of them everything is looked at afresh."""
        (was, awake_was, up_was), now = self.seen, self.desk.clock.now()
        awake, up = self.times()
        self.seen = (now, awake, up)
        limit = self.desk.settings.supervise.jump_s
        passed, slept = awake - awake_was, (up - up_was) - (awake - awake_was)
        moved = (now - was).total_seconds() / self.rate - passed - slept
        stalled = passed - self.planned_wait
        if slept > limit:
            alert(self.desk, "host-slept", f"the host was suspended for {slept:.0f} s until {iso(now)}", seconds=slept)
        elif abs(moved) > limit:
            message = f"the clock moved by {moved:+.0f} s, to {iso(now)}"
            alert(self.desk, "clock-moved", message, seconds=moved)
        elif stalled > limit:
            alert(self.desk, "supervisor-stalled", f"nothing was looked at for {stalled:.0f} s", seconds=stalled)
        else:
            return
        self._load_calendar()
        self._catch_up()

    def _look_around(self) -> None:
        """Every now and then: the health row, the sessions, the files on disk."""
        awake = self.times()[0]
        if awake < self.next_health:
            return
        if self.lost_store:
            self._open_again()
        said = self.desk.settings.supervise
        asleep = self._asleep()
        self.next_health = awake + (said.asleep_health_s if asleep else said.health_s)
        self._write_health("asleep" if asleep else "awake")
        self._load_calendar()
        self._look_at_disk()
        calendar = self.desk.calendar
        session = calendar.on(calendar.day(self.desk.clock.now()))
        if session is not None and not asleep:
            note_overdue(self.desk, self.specs, session)
        self.calm = True

    def _open_again(self) -> None:
        """The books through a new handle, once they can be written: there is space again, or they were restored.

        Raises StoreError until then; children open them by themselves all the time.
        """
        self.next_health = self.times()[0] + self.desk.settings.supervise.health_s
        fresh = open_store(self.desk.path / "desk.db", synchronous=store_mode(self.desk.path))
        try:
            fresh.meta.set(HEALTH, fresh.meta.get(HEALTH) or "{}")
        except TradekitError:
            fresh.close()
            raise
        self.desk.store, self.lost_store = fresh, False  # whoever opened the old handle closes it
        alert(self.desk, "books-back", "the books could not be written for a while, and can be again")

    def _asleep(self) -> bool:
        """Nothing runs, the market is closed and the next slot is far away."""
        now, calendar = self.desk.clock.now(), self.desk.calendar
        session = calendar.on(calendar.day(now))
        if session is not None and session.open <= now < session.close:
            return False
        soon = now + timedelta(seconds=self.desk.settings.supervise.wake_before_s)
        return not [one for one in self._running() if not one.job.service] and not (
            self.plan and self.plan[0][0] <= soon
        )

    def _write_health(self, state: str) -> None:
        now = self.desk.clock.now()
        row = {
            "state": state,
            "pid": os.getpid(),
            "since": iso(self.started_at),
            "at": iso(now),
            "next": {"name": self.plan[0][1], "at": iso(self.plan[0][0])} if self.plan else None,
            "running": [one.job.name for one in self._running()],
            "broken": [job.name for job in self.jobs.values() if job.crashes >= self.desk.settings.supervise.crashes],
            "restarts": self.restarts,
            "code_version": self.desk.code_version,
            "settings_hash": self.desk.settings_hash,
            "every_s": self.desk.settings.supervise.asleep_health_s
            if state == "asleep"
            else self.desk.settings.supervise.health_s,
        }
        self.desk.store.meta.set(HEALTH, msgspec.json.encode(row).decode())
        notify(f"STATUS={state}, next: {row['next']}")

    def _load_calendar(self) -> None:
        """A closure that was entered meanwhile counts from now on."""
        desk = self.desk
        now = desk.clock.now()
        before = [desk.calendar.on(desk.calendar.day(now) + timedelta(days=i)) for i in range(8)]
        desk.calendar = load_calendar(desk.settings, desk.store, now)
        if before != [desk.calendar.on(desk.calendar.day(now) + timedelta(days=i)) for i in range(8)]:
            event(desk, "supervise.sessions-changed")
            self._make_plan()

    def _look_at_disk(self) -> None:
        """Say once an hour that code or settings are not those this process runs."""
        desk, hint = self.desk, "tradekit supervise --reload"
        try:
            if load_settings(desk.path).hash != desk.settings_hash:
                alert_once(desk, "settings-changed", f"desk.yaml is not what the supervisor runs: {hint}")
        except ConfigError as error:
            text = f"{error.message}: exits go on with the settings of before, nothing else does"
            alert_once(desk, "settings-broken", text)
        if (found := version_on_disk()) not in (None, desk.code_version):
            alert_once(desk, "code-changed", f"tradekit {found} is installed, {desk.code_version} runs: {hint}")

    def _reload(self) -> None:
        """SIGHUP: new settings are taken over; new code wants a new process, once no child is at work."""
        if version_on_disk() not in (None, self.desk.code_version):
            self._reload_code()
            return
        self.reloading = False
        notify(f"RELOADING=1\nMONOTONIC_USEC={self.times()[0] * 1e6:.0f}")
        desk = self.desk
        try:
            loaded, universe = load_settings(desk.path), load_universe(desk.path)
            check_fits(desk.path, loaded.settings, desk.store)
            before = (desk.settings, desk.settings_hash, desk.universe, desk.place)
            desk.settings, desk.settings_hash = loaded.settings, loaded.hash
            desk.universe, desk.place = universe, loaded.place
            try:
                self._load_calendar()
                self._read_schedule()
            except ConfigError:
                desk.settings, desk.settings_hash, desk.universe, desk.place = before
                raise
        except ConfigError as error:
            alert(desk, "settings-broken", f"the old settings stay in force: {error.message}")
        else:
            event(desk, "supervise.reloaded", settings_hash=desk.settings_hash)
            self.say("supervise: settings and schedule read again", True)
            self._drop_unknown()
            self._catch_up()
        notify("READY=1")

    def _reload_code(self) -> None:
        """Nothing new is started; with the last child gone the process is to be replaced."""
        for lane in self.lanes.values():
            lane.waiting.clear()
        self.plan = []
        for one in self._running():
            if one.job.service and not one.asked:
                one.asked = 1
                one.child.end()
        if not self._running():
            self.leaving = "again"

    def _drop_unknown(self) -> None:
        for lane in self.lanes.values():
            for name in [name for name in lane.waiting if name not in self.jobs]:
                lane.waiting.remove(name)
        for one in self._running():
            if one.job.service and self.jobs.get(one.job.name) is not one.job and not one.asked:
                one.asked, one.deadline = 1, self.times()[0] + self.desk.settings.supervise.stop_s
                one.child.end()

    def _feed_watchdog(self) -> None:
        """Only whose work on the books goes well may say so."""
        every, awake = watchdog_s(), self.times()[0]
        if every is not None and self.calm and awake >= self.next_feed:
            notify("WATCHDOG=1")
            self.next_feed = awake + every / 4

    def _won(self) -> bool:
        """All masters of the session left at their target, and nothing is held or working any more."""
        store = self.desk.store
        return bool(masters_left(self.desk)) and not store.positions.open() and not store.orders.live()


def version_on_disk() -> str | None:
    """The version that a new process would have; None where the file does not say."""
    import tradekit

    try:
        text = Path(tradekit.__file__).read_text("utf-8")
    except OSError:
        return None
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return found[1] if found else None


def _drain(link: Any) -> None:
    with suppress(BlockingIOError):
        while link.recv(4096):
            pass


def _print(line: str, error: bool) -> None:
    """Children's stdout is our stdout, their talk our talk."""
    if error:
        print_stderr(redact(line))
        return
    with suppress(OSError, ValueError):
        print(line, flush=True)
