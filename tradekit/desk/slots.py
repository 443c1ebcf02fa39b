"""The schedule at work: which slots a desk has, run one, write down what became of it."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta

import msgspec

from tradekit.base.interrupts import OutOfTime, limited, shielded
from tradekit.base.locks import Lock
from tradekit.clock import parse_time
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, event
from tradekit.desk.in_time import bounded
from tradekit.desk.open import running
from tradekit.desk.steps import Step, call, parse
from tradekit.errors import Findings, NothingToDo, TradekitError
from tradekit.model import Session, Slot, SlotState
from tradekit.schedule import Done, Due, SlotSpec, check, completed, overdue
from tradekit.schedule import parse as parse_schedule

UNDER_OLD_SETTINGS = frozenset({"monitor-exits", "liquidate", "reconcile"})  # while desk.yaml makes no sense


def desk_schedule(desk: Desk) -> list[SlotSpec]:
    """The desk's slots, from desk.yaml or the default; every `run` is checked. Raises ConfigError."""
    around, settings = desk.calendar.around_the_clock, desk.settings
    entries = completed(
        settings.schedule,
        around_the_clock=around,
        strategies=settings.scan.strategies,
        logins=bool(settings.providers) and desk.clock.passes,
        rescan_s=settings.supervise.rescan_s,
    )
    specs = parse_schedule(entries, around_the_clock=around, place=lambda i: desk.place("schedule", i))
    for spec in specs:
        parse(spec.run)
    return specs


def run_due(desk: Desk, due: Due, session: date) -> Slot:
    """Run a slot whose time has come, unless what it waits for did not succeed. A failed step is a failed slot."""
    done = slots_done(desk, [session])
    if due.spec.after is not None and done.get((due.spec.after, due.at)) != "done":
        return _save(desk, due, session, "skipped", None)
    step = parse(due.spec.run)
    run_id, limit = None, timeout_s(desk, due.spec) if desk.clock.host_limits else None
    try:
        with limited(limit):
            run_id = _run(desk, due, session, step)
    except Findings:
        pass  # done, and something wants a look: it is in the records
    except OutOfTime:
        return out_of_time(desk, due, session, f"not done after {limit:g} s")
    except TradekitError as error:
        with desk.store.transaction():
            alert(
                desk,
                "slot-failed",
                f"{due.name}: {error.message}",
                ref=due.name,
                code=error.code,
            )
            return _save(desk, due, session, "failed", run_id)
    return _save(desk, due, session, "done", run_id)


def timeout_s(desk: Desk, spec: SlotSpec) -> float:
    """How long a slot may take, in seconds of the host."""
    if spec.timeout_s is not None:
        return float(spec.timeout_s)
    said = desk.settings.supervise
    return said.exit_timeout_s if spec.verb == "monitor-exits" else said.timeout_s


def out_of_time(desk: Desk, due: Due, session: date, what: str) -> Slot:
    """Write down that a slot was stopped: a failed slot and an alert."""
    with shielded(), desk.store.transaction():
        alert(desk, "slot-timeout", f"{due.name}: {what}, stopped", ref=due.name)
        return _save(desk, due, session, "failed", None)


def _run(desk: Desk, due: Due, session: date, step: Step) -> str:
    in_time = bounded(desk, step.verb, alarm=False) if desk.clock.host_limits else nullcontext()
    with running(desk, step.verb, step.argv) as run, in_time:
        _save(desk, due, session, "running", run.id)
        call(desk, step)
        return run.id


def _save(desk: Desk, due: Due, session: date, state: SlotState, run_id: str | None) -> Slot:
    row = Slot(name=due.name, session=session, due_at=due.at, state=state, run_id=run_id)
    desk.store.slots.save(row)
    return row


def slots_done(desk: Desk, days: Sequence[date]) -> Done:
    """The slot rows of these days by (name, due time)."""
    return {(row.name, row.due_at): row.state for day in days for row in desk.store.slots.on(day)}


def run_slot(desk: Desk, name: str) -> Slot:
    """Run a slot if it is due now. NothingToDo where it is not, UsageError for an unknown name, Busy for a second."""
    specs = desk_schedule(desk)
    if desk.trouble is not None and all(spec.verb not in UNDER_OLD_SETTINGS for spec in specs if spec.name == name):
        raise desk.trouble
    with Lock(
        desk.path / "locks" / f"slot-{name.replace('/', '_')}.lock",
        what=f"run-slot {name}",
    ):
        now = desk.clock.now()
        session = desk.calendar.on(desk.calendar.day(now))
        before = desk.calendar.previous(desk.calendar.day(now))
        around = [one.day for one in (before, session) if one]
        # whoever runs a slot holds this lock: a row that says `running` was left by one that was killed
        for row in [row for day in around for row in desk.store.slots.on(day)]:
            if row.name == name and row.state == "running":
                _settle(desk, row)
        done = slots_done(desk, around)
        died = {key for key, state in done.items() if key[0] == name and state == "running"}
        found = check(name, now, specs, desk.calendar, {key: done[key] for key in done if key not in died})
        for key in died:
            if found.due is None or found.verdict != "due" or key[1] != found.due.at:
                desk.store.slots.save(_as_failed(desk, name, key[1]))
        if session is not None:
            note_overdue(desk, specs, session)
        if found.verdict == "due" and found.due is not None:
            return run_due(desk, found.due, desk.calendar.day(found.due.at))
    later = f"; next at {found.next_at:%Y-%m-%dT%H:%MZ}" if found.next_at else ""
    raise NothingToDo(f"{name}: {found.because}{later}")


def _settle(desk: Desk, row: Slot) -> None:
    """A slot that was killed after its work had ended is written down as it ended; one killed at work stays."""
    run = desk.store.runs.get(row.run_id) if row.run_id else None
    if run is not None and run.exit_code is not None and run.exit_code <= 128:
        state: SlotState = "done" if run.exit_code in (0, Findings.code) else "failed"
        desk.store.slots.save(msgspec.structs.replace(row, state=state))


def _as_failed(desk: Desk, name: str, at: datetime) -> Slot:
    """The row of a slot that was killed and is too late to be run again."""
    return Slot(name=name, session=desk.calendar.day(at), due_at=at, state="failed", run_id=None)


def note_overdue(desk: Desk, specs: Sequence[SlotSpec], session: Session) -> list[Slot]:
    """Write down what was missed since the desk exists: rows for all, one alert for the lot."""
    since = desk.store.meta.get("created_at")
    start = parse_time(since) if since else datetime(1970, 1, 1, tzinfo=UTC)
    if start > desk.clock.now():
        start = datetime(1970, 1, 1, tzinfo=UTC)  # a desk that is run in the past, by TRADEKIT_CLOCK
    done = slots_done(desk, [session.day])
    found = overdue(
        specs,
        desk.clock.now(),
        session,
        desk.calendar.zone,
        done,
        since=start + timedelta(seconds=1),
    )
    if not found:
        return []
    with desk.store.transaction(low=True):
        rows = [_save(desk, due, session.day, state, None) for due, state in found]
        missed = sorted({row.name for row in rows if row.state == "missed"})
        if missed:
            n = sum(row.state == "missed" for row in rows)
            alert(
                desk,
                "slots-missed",
                f"{n} slots did not run in time: {', '.join(missed)}",
                session=str(session.day),
            )
        for row in rows:
            if row.state == "skipped":
                event(desk, "slot.skipped", ref=row.name, due_at=str(row.due_at))
    return rows
