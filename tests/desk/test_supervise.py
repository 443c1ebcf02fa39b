"""The supervisor over children that do as they are told: what is due, who died, what jumped, how it ends."""

import os
import signal
import socket
import time
from contextlib import suppress
from datetime import date, timedelta

import pytest

from tests.desk.world import World, at
from tradekit.base.interrupts import Interrupted
from tradekit.base.settings_file import load_settings
from tradekit.clock import ManualClock, ScaledClock, SystemClock, awake_and_asleep
from tradekit.desk.supervise import HEALTH, Running, SuperviseOptions, Supervisor, health, supervise
from tradekit.errors import UsageError
from tradekit.model import Slot

SETTINGS = """
supervise: {backoff_s: 0.05, exit_backoff_s: 0.1, longest_backoff_s: 0.2, stop_s: 1, health_s: 0.1}
schedule:
  - {name: first, at: open+5m, run: scan --type open}
  - {name: second, after: first, run: decide}
  - {every: 1m, from: open, to: close, run: monitor-exits}
"""
# the fake tradekit: it notes its call, then does what a file beside the desk says
PROGRAM = """#!/bin/sh
echo "$4${5:+ $5}" >> "$2/calls"
test -f "$2/do-${5:-$4}" && . "$2/do-${5:-$4}"
exit 0
"""


class Case:
    """A desk under supervision; `until` says when to stop, and is asked in every round."""

    def __init__(self, folder, settings=SETTINGS):
        self.world = World(folder, settings)
        self.folder, self.said = folder, []
        self.program = folder.parent / "fake"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def told(self, name, text):
        """What the fake does when it is called for a slot."""
        (self.folder / f"do-{name}").write_text(text)

    @property
    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, when, until, *, rate=60.0, clock=None, times=awake_and_asleep, seconds=15.0, options=None):
        """How it ended: `flat`, `again` or the code of the signal. `until(desk)` true: SIGTERM."""
        with self.world.desk(when) as desk:
            desk.clock = clock or ScaledClock(at(when), rate)
            self.desk, deadline = desk, time.monotonic() + seconds

            def watched():
                if until(desk) or time.monotonic() > deadline:
                    os.kill(os.getpid(), signal.SIGTERM)
                return times()

            try:
                how = supervise(
                    desk,
                    options or SuperviseOptions(),
                    say=lambda line, error: self.said.append(line),
                    times=watched,
                    program=[str(self.program)],
                )
            except Interrupted as stop:
                how = stop.code
            self.kinds = [found.kind for found in desk.store.events.all()]
            self.health = health(desk.store.meta.get(HEALTH))
            self.slots = {row.name: row.state for row in desk.store.slots.on(date(2026, 2, 13))}
        return how


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.setattr("tradekit.desk.supervise.LONGEST_WAIT_S", 0.1)
    return Case(tmp_path / "desk")


def test_each_slot_is_a_child_and_its_output_is_passed_on_line_by_line(case):
    case.told("first", "echo '{\"one\": 1}'; echo talk >&2; printf 'no newline'\n")
    assert case.run("09:34", lambda desk: "run-slot second" in case.calls) == 143
    assert case.calls[:2] == ["reconcile", "run-slot monitor-exits"]  # a start in the session: the books, the exits
    assert case.calls.index("run-slot first") < case.calls.index("run-slot second")
    assert {'[first] {"one": 1}', "[first] talk", "[first] no newline"} <= set(case.said)
    assert case.health["state"] == "stopped"


def test_what_died_is_started_again_and_the_exits_go_on(case):
    case.told("first", "kill -9 $$")
    assert case.run("09:35", lambda desk: case.calls.count("run-slot first") >= 6) == 143
    assert case.kinds.count("alert.child-died") >= 5
    assert case.kinds.count("alert.child-broken") == 1
    assert "run-slot second" not in case.calls
    assert case.calls.count("run-slot monitor-exits") >= 1
    assert case.health["broken"] == ["first"]


def test_the_exits_never_wait_longer_than_their_own_pause(case):
    case.told("monitor-exits", "exit 1")
    began = time.monotonic()
    case.run("09:31", lambda desk: case.calls.count("run-slot monitor-exits") >= 12, rate=1.0)
    assert time.monotonic() - began < 6  # doubling without an end would have taken minutes
    deaths = case.kinds.count("alert.child-died")
    assert deaths == 5  # later ones are told once in a while, not each time


def test_a_configuration_error_is_told_once_and_not_tried_again(case):
    case.told("first", "exit 2")
    began = time.monotonic()
    case.run("09:35", lambda desk: time.monotonic() > began + 1.5)
    assert (case.calls.count("run-slot first"), case.kinds.count("alert.child-failed")) == (1, 1)


def test_busy_is_tried_again_later(case, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SET__SUPERVISE__BUSY_AGAIN_S", "0.1")
    case.told("first", "exit 8")
    case.run("09:35", lambda desk: case.calls.count("run-slot first") >= 2)
    assert "alert.child-died" not in case.kinds


def test_a_child_that_hangs_is_killed_and_its_slot_has_failed(case, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SET__SUPERVISE__GRACE_S", "0.2")
    (case.folder / "desk.yaml").write_text(
        (case.folder / "desk.yaml").read_text().replace("run: scan", "timeout: 1s, run: scan")
    )
    case.told("first", "trap '' TERM; sleep 30 & wait; sleep 30")

    def until(desk):
        if "run-slot first" in case.calls and not desk.store.slots.get("first"):
            desk.store.slots.save(
                Slot(name="first", session=date(2026, 2, 13), due_at=at("09:35"), state="running", run_id=None)
            )
        found = desk.store.slots.get("first")
        return found is not None and found.state == "failed"

    began = time.monotonic()
    case.run("09:35", until, rate=2.0)
    assert time.monotonic() - began < 6
    assert (case.slots["first"], case.kinds.count("alert.slot-timeout")) == ("failed", 1)


def test_a_stop_ends_children_that_do_not_want_to(case):
    case.told("first", "trap '' TERM; echo $$ > $2/pid; sleep 60 & wait; sleep 60")
    began = time.monotonic()
    case.run("09:35", lambda desk: (case.folder / "pid").exists())
    assert time.monotonic() - began < 10
    assert "[first] did not end, killed" in case.said
    with pytest.raises(ProcessLookupError):
        os.kill(int((case.folder / "pid").read_text()), 0)


class Moved(SystemClock):
    """The host's clock, which somebody moves."""

    def __init__(self, start):
        self.start, self.began, self.offset = start, time.monotonic(), 0.0

    def now(self):
        return self.start + timedelta(seconds=time.monotonic() - self.began + self.offset)

    def monotonic(self):
        return time.monotonic()

    def sleep(self, seconds):
        time.sleep(seconds)


@pytest.mark.parametrize("hours", [1, -1, 24])
def test_a_clock_that_jumps_is_told_and_no_slot_runs_twice(hours, case):
    clock, moved = Moved(at("11:00")), []

    def until(desk):
        if not moved and "run-slot monitor-exits" in case.calls:
            clock.offset += hours * 3600
            moved.append(time.monotonic())
        return bool(moved) and time.monotonic() > moved[0] + 0.7

    case.run("11:00", until, clock=clock)
    assert case.kinds.count("alert.clock-moved") == 1
    assert case.calls.count("run-slot first") == 0  # 09:35 was missed before the start, and is not run by a jump


def test_a_sleep_over_the_open_is_told_and_the_exits_come_first(case):
    clock, slept = Moved(at("08:00")), []
    case.told("reconcile", "sleep 0.3")

    def times():
        awake, up = awake_and_asleep()
        return awake, up + sum(slept)

    def until(desk):
        if not slept and health(desk.store.meta.get(HEALTH)).get("state") == "asleep":
            clock.offset += 5700  # to 09:35
            slept.append(5700)
        return "run-slot second" in case.calls

    case.run("08:00", until, clock=clock, times=times)
    assert case.kinds.count("alert.host-slept") == 1
    assert case.calls == ["reconcile", "run-slot monitor-exits", "run-slot first", "run-slot second"]


def test_it_sleeps_while_the_market_is_closed_and_wakes_for_the_next_slot(case):
    began = time.monotonic()
    case.run("06:00", lambda desk: time.monotonic() > began + 0.4, rate=1.0)
    assert case.calls == []
    assert case.health["next"] == {"name": "monitor-exits", "at": "2026-02-13T14:30:00Z"}
    case.run("09:29:30", lambda desk: "run-slot monitor-exits" in case.calls)
    assert case.calls[0] == "run-slot monitor-exits"


def test_a_closure_entered_at_noon_ends_the_day(case):
    closed = []

    def until(desk):
        if not closed and "run-slot monitor-exits" in case.calls:
            desk.store.sessions.override(date(2026, 2, 13), at("09:30"), at("11:00"), "storm")
            closed.append(len(case.calls))
        return "supervise.sessions-changed" in [found.kind for found in desk.store.events.all()]

    case.run("12:00", until)
    assert case.health["next"]["at"] > "2026-02-14"


def test_new_settings_are_noticed_and_taken_over_when_it_is_told_to(case):
    written = []

    def until(desk):
        kinds = [found.kind for found in desk.store.events.all()]
        if not written:
            path = case.folder / "desk.yaml"
            written.append(path.write_text(path.read_text().replace("open+5m", "open+6m")))
        if "alert.settings-changed" in kinds and len(written) == 1:
            written.append(os.kill(os.getpid(), signal.SIGHUP))
        return "supervise.reloaded" in kinds

    case.run("06:00", until, rate=1.0)
    assert "alert.settings-changed" in case.kinds
    assert case.desk.settings.schedule[0]["at"] == "open+6m"


def test_a_service_that_is_switched_off_or_changed_ends_with_the_reload(case):
    for name in ("bot", "--every"):  # the fake's name for notify
        case.told(name, "exec sleep 30")
    path, text, steps = case.folder / "desk.yaml", (case.folder / "desk.yaml").read_text(), []
    channels = "notify: {channels: {c: {kind: ntfy, topic: x}}, every_s: 10}\n"
    path.write_text(text + "bot: {enabled: true, users: [1]}\n" + channels)

    def until(desk):
        if not steps and {"bot", "notify --every"} <= set(case.calls):
            path.write_text(text + channels.replace("every_s: 10", "every_s: 20"))
            steps.append(os.kill(os.getpid(), signal.SIGHUP))
        return case.calls.count("notify --every") == 2

    assert case.run("06:00", until, rate=1.0) == 143
    assert (case.calls.count("bot"), case.calls.count("notify --every")) == (1, 2)
    assert "alert.child-died" not in case.kinds and "alert.slot-timeout" not in case.kinds


def test_new_code_ends_the_services_too(case, monkeypatch):
    """The supervisor died of the time limit that a service does not have."""
    case.told("bot", "exec sleep 30")
    path = case.folder / "desk.yaml"
    path.write_text(path.read_text() + "bot: {enabled: true, users: [1]}\n")
    sent = []

    def until(desk):
        if not sent and "bot" in case.calls:
            monkeypatch.setattr("tradekit.desk.supervise.version_on_disk", lambda: "99.0.0")
            sent.append(os.kill(os.getpid(), signal.SIGHUP))
        return False

    assert case.run("06:00", until, rate=1.0) == "again"


def test_broken_settings_leave_the_old_ones_in_force(case):
    sent = []

    def until(desk):
        if not sent:
            path = case.folder / "desk.yaml"
            path.write_text(path.read_text().replace("open+5m", "open+5x"))
            sent.append(os.kill(os.getpid(), signal.SIGHUP))
        return "alert.settings-broken" in [found.kind for found in desk.store.events.all()]

    case.run("06:00", until, rate=1.0)
    assert case.desk.settings.schedule[0]["at"] == "open+5m"


def reread(supervisor, text):
    """The schedule once more, after desk.yaml was changed."""
    desk = supervisor.desk
    (desk.path / "desk.yaml").write_text(text)
    desk.settings = load_settings(desk.path).settings
    supervisor._read_schedule()


def test_a_slot_follows_what_its_new_settings_say_of_its_lane_and_time(case):
    """A slot of the same name that runs the exits now stood behind the scans, with their time limit."""
    text = (case.folder / "desk.yaml").read_text()
    with case.world.desk("09:00") as desk:
        supervisor = Supervisor(desk, SuperviseOptions(), lambda line, error: None, awake_and_asleep, ["true"])
        supervisor._read_schedule()
        first = supervisor.jobs["first"]
        assert (first.lane, first.timeout_s) == ("rest", desk.settings.supervise.timeout_s)
        changed = text.replace("run: scan --type open", "run: monitor-exits").replace("stop_s: 1", "exit_timeout_s: 7")
        reread(supervisor, changed)
        assert supervisor.jobs["first"] is first  # its crashes and pauses are remembered
        assert (first.lane, first.timeout_s) == ("exits", 7)


def test_a_service_that_is_off_and_on_again_at_once_is_started_again(case):
    text = (case.folder / "desk.yaml").read_text()
    bot = text + "bot: {enabled: true, users: [1]}\n"
    with case.world.desk("09:00") as desk:
        supervisor = Supervisor(desk, SuperviseOptions(), lambda line, error: None, awake_and_asleep, ["true"])
        reread(supervisor, bot)
        ending = Running(supervisor.jobs["bot"], None, desk.clock.now(), None, asked=1)
        reread(supervisor, text)
        reread(supervisor, bot)
        supervisor._ended(ending, 143)
        assert list(supervisor.lanes["bot"].waiting) == ["bot"]


def test_a_typing_error_is_told_with_what_still_goes_on(case):
    path = case.folder / "desk.yaml"
    with case.world.desk("06:00") as desk:
        supervisor = Supervisor(desk, SuperviseOptions(), lambda line, error: None, awake_and_asleep, ["true"])
        path.write_text(path.read_text() + "rsik: {}\n")
        supervisor._look_at_disk()
        (found,) = [e for e in desk.store.events.all() if e.kind == "alert.settings-broken"]
    assert found.data["message"].endswith("exits go on with the settings of before, nothing else does")


def test_settings_of_another_desk_leave_the_old_ones_in_force(case):
    sent = []

    def until(desk):
        if not sent:
            desk.store.meta.set("currency", "USD")
            path = case.folder / "desk.yaml"
            path.write_text(path.read_text().replace("desk: {", "desk: {currency: EUR, "))
            sent.append(os.kill(os.getpid(), signal.SIGHUP))
        return bool({"alert.settings-broken", "supervise.reloaded"} & {e.kind for e in desk.store.events.all()})

    case.run("06:00", until, rate=1.0)
    assert ("alert.settings-broken" in case.kinds, case.desk.settings.desk.currency) == (True, "USD")


def test_new_code_gets_a_new_process_once_no_child_is_at_work(case, monkeypatch):
    case.told("first", "sleep 0.5; echo done > $2/first-done")
    sent = []

    def until(desk):
        if not sent and "run-slot first" in case.calls:
            monkeypatch.setattr("tradekit.desk.supervise.version_on_disk", lambda: "99.0.0")
            sent.append(os.kill(os.getpid(), signal.SIGHUP))
        return False

    assert case.run("09:35", until) == "again"
    assert (case.folder / "first-done").exists()


def test_systemd_hears_of_it(case, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.setblocking(False)
        began, heard = time.monotonic(), []

        def listen(_=None):
            with suppress(BlockingIOError):
                while True:
                    heard.append(server.recv(400).decode())
            return time.monotonic() > began + 1

        case.run("09:34", listen)
        listen()
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    assert heard.count("WATCHDOG=1") >= 3


def test_the_watchdog_is_not_fed_while_the_books_cannot_be_read(case, tmp_path, monkeypatch):
    from tradekit.errors import StoreError

    fed, asked = [], []

    def broken(*_):
        asked.append(1)
        if len(asked) > 1:  # the start goes well
            raise StoreError("desk.db: disk I/O error")

    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setattr("tradekit.desk.supervise.notify", lambda text: fed.append(text))
    monkeypatch.setattr("tradekit.desk.supervise.note_overdue", broken)
    (case.folder / "desk.yaml").write_text(SETTINGS.replace("health_s: 0.1", "health_s: 0.0001"))
    began = time.monotonic()
    case.run("10:00", lambda desk: time.monotonic() > began + 0.5, rate=1.0)
    assert "supervise: desk.db: disk I/O error" in case.said
    assert "WATCHDOG=1" not in fed


def test_books_that_could_not_be_written_for_a_while_are_opened_again(case):
    """A full disk, or desk.db moved away and restored: the old handle takes no more, the supervisor goes on."""
    path, aside, steps = case.folder / "desk.db", case.folder / "aside.db", []

    def until(desk):
        said = [line for line in case.said if "deleted or replaced" in line or "is missing" in line]
        if not steps and "run-slot monitor-exits" in case.calls:
            steps.append(path.rename(aside))
        elif len(steps) == 1 and said:
            steps.append(aside.rename(path))
        return len(steps) == 2 and "alert.books-back" in [found.kind for found in desk.store.events.all()]

    assert case.run("10:00", until) == 143
    assert "alert.books-back" in case.kinds
    assert case.health["state"] == "stopped"  # written through the new handle


def test_until_flat_ends_when_every_master_left_at_its_target(case, monkeypatch):
    monkeypatch.setattr("tradekit.desk.supervise.masters_left", lambda desk: ["AAA"])
    assert case.run("09:34", lambda desk: False, options=SuperviseOptions(until_flat=True)) == "flat"
    assert case.health["state"] == "stopped"


def test_a_clock_that_stands_still_is_refused(case):
    with case.world.desk("09:30") as desk:
        desk.clock = ManualClock(at("09:30"))
        with pytest.raises(UsageError, match="stands still"):
            supervise(desk)
