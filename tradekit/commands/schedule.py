"""tradekit schedule show, schedule crontab, schedule systemd"""

from collections.abc import Mapping
from datetime import date as Date
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

if TYPE_CHECKING:
    from tradekit.calendar import Calendar
    from tradekit.commands._context import Context
    from tradekit.schedule import Due, SlotSpec


CRON_FIELDS = ("minute", "hour", "day", "month", "weekday")


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of a day. A repeated one is a single record, from its first time to its last."""

    name: str
    due_at: datetime
    local: str  # on the exchange's clock
    until: datetime | None
    times: int
    run: str
    after: str | None
    state: str | None  # of its slot row; None: there is none (yet)


def show(
    ctx: typer.Context,
    date: Annotated[str | None, typer.Option(help="The exchange's date, like 2026-02-13; default: today.")] = None,
    every: Annotated[bool, typer.Option(help="One record for each time of a repeated slot.")] = False,
) -> None:
    """When each slot of a day is due, and what became of it.

    Reads only; half days, holidays and clock changes are those of the desk's calendar.
    """
    from tradekit.clock import clock_from
    from tradekit.commands._context import read_store
    from tradekit.commands._output import say
    from tradekit.commands._output import show as print_records
    from tradekit.schedule import resolve_day

    specs = desk_schedule(ctx.obj)
    with read_store(ctx.obj) as store:
        now = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK") or store.meta.get("clock_at")).now()
        wanted = None if date is None else a_day(date)
        calendar = desk_calendar(ctx.obj, store, wanted or now.date())
        day = wanted or calendar.day(now)
        states = {(slot.name, slot.due_at): slot.state for slot in store.slots.on(day)}
    session = calendar.on(day)
    if session is None:
        following = calendar.next(day)
        say(f"{day}: no session" + (f", the next is {following.day}" if following else ""))
    elif session.half:
        say(f"{day}: a half day, it closes at {session.close.astimezone(calendar.zone):%H:%M}")
    due = resolve_day(specs, day, session, calendar.zone)
    print_records(planned(due, states, calendar, every), ctx.obj.format, empty=f"no slots on {day}", of=Planned)


def crontab(
    ctx: typer.Context,
    host_zone: Annotated[
        str | None, typer.Option(help="The zone of the host that runs cron; default: this one's.")
    ] = None,
    program: Annotated[str | None, typer.Option(help="The tradekit to call; default: this one.")] = None,
) -> None:
    """Print the schedule as lines for cron, right across clock changes and half days.

    With channels in desk.yaml also a line for notify. Writes nothing; install it with
    `tradekit schedule crontab | crontab -`, which takes the place of all lines that you have: keep those in a file too.
    """
    import sys
    from pathlib import Path

    from tradekit.clock import clock_from
    from tradekit.commands._context import read_store
    from tradekit.commands._crontab import a_year, notify_lines
    from tradekit.commands._crontab import crontab as lines_of
    from tradekit.commands._output import show as print_records
    from tradekit.errors import StoreError

    host = zone_named(host_zone) if host_zone else this_host()
    specs = desk_schedule(ctx.obj)
    with read_store(ctx.obj) as store:
        first = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK") or store.meta.get("clock_at")).now().date()
        calendar = desk_calendar(ctx.obj, store, first)
    sessions = a_year(first, calendar.on, calendar.zone)
    if all(session is None for _, session in sessions):
        raise StoreError(f"the calendar has no session after {first}", "tradekit doctor")
    own = Path(sys.argv[0])
    called = program or (str(own.absolute()) if own.name == "tradekit" else "tradekit")
    command = [called, "-q", "-C", str(ctx.obj.here.resolve())]
    lines = lines_of(specs, sessions, calendar.zone, host, [*command, "run-slot"])
    if has_channels(ctx.obj):
        lines += notify_lines(command)
    if ctx.obj.format == "table":
        typer.echo("\n".join(lines))
    else:
        print_records([_entry(line) for line in lines if line and not line.startswith("#")], ctx.obj.format,
                      of=(*CRON_FIELDS, "command"))  # fmt: skip


def _entry(line: str) -> dict[str, str]:
    """A line of the crontab as a record: the five fields, and what they start."""
    *fields, command = line.split(maxsplit=5)
    return dict(zip(CRON_FIELDS, fields, strict=True)) | {"command": command}


def systemd(
    ctx: typer.Context,
    timers: Annotated[
        bool, typer.Option("--timers", help="A service and a timer per slot, in the place of the supervisor's unit.")
    ] = False,
    out: Annotated[str | None, typer.Option(help="Write the files into this folder instead of printing them.")] = None,
    system: Annotated[
        bool, typer.Option("--system", help="For /etc/systemd/system; default: for systemctl --user.")
    ] = False,
    program: Annotated[str | None, typer.Option(help="The tradekit to call; default: this one.")] = None,
) -> None:
    """Print systemd units: one that supervises the desk, or timers that call run-slot.

    The same files for the same schedule; existing ones in --out are written over.
    """
    import os
    import sys
    from getpass import getuser
    from pathlib import Path

    from tradekit.clock import clock_from
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._crontab import a_year
    from tradekit.commands._systemd import bot_unit, notify_units, quoted, slot_units, supervise_unit, unit_name

    with read_store(ctx.obj) as store:
        first = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK") or store.meta.get("clock_at")).now().date()
        calendar = desk_calendar(ctx.obj, store, first)
    desk = ctx.obj.here.resolve()
    name = unit_name(desk.name)
    own = Path(sys.argv[0])
    called = program or (str(own.absolute()) if own.name == "tradekit" else "tradekit")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tradekit"
    command, writable = quoted([called, "-C", str(desk)]), quoted([str(desk), f"-{state}"])
    user = getuser() if system else None
    if timers:
        days = a_year(first, calendar.on, calendar.zone)
        files = slot_units(desk_schedule(ctx.obj), days, calendar.zone, command, name, writable, user=user)
        if has_channels(ctx.obj):
            files |= notify_units(command, name, writable, user=user)
        if read_settings(ctx.obj).settings.bot.enabled:
            files |= bot_unit(command, name, writable, user=user)
    else:
        files = {f"tradekit-{name}-supervise.service": supervise_unit(command, name, writable, user=user)}
    for file, text in files.items():
        if out is None:
            typer.echo(f"# {file}\n{text}")
        else:
            folder = Path(out)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, "utf-8")
            typer.echo(str(folder / file))


def has_channels(context: "Context") -> bool:
    """Whether anybody is to be told anything."""
    from tradekit.commands._context import read_settings

    return bool(read_settings(context).settings.notify.channels)


def desk_schedule(context: "Context") -> "list[SlotSpec]":
    """The desk's schedule, or the default one. ConfigError names entry and line."""
    from tradekit.commands._context import read_settings
    from tradekit.schedule import completed, parse

    loaded = read_settings(context)
    settings = loaded.settings
    around_the_clock = settings.desk.calendar == "24/7"
    entries = completed(
        settings.schedule,
        around_the_clock=around_the_clock,
        strategies=settings.scan.strategies,
        logins=bool(settings.providers),
        rescan_s=settings.supervise.rescan_s,
    )
    return parse(entries, around_the_clock=around_the_clock, place=lambda i: loaded.place("schedule", i))


def desk_calendar(context: "Context", store: Any, around: Date) -> "Calendar":
    """The sessions from a month before `around` to a year and a month after it."""
    from tradekit.calendar import AllDayCalendar, ExchangeCalendar
    from tradekit.commands._context import read_settings

    settings = read_settings(context).settings.desk
    if settings.calendar == "24/7":
        return AllDayCalendar()
    rows = store.sessions.load(around - timedelta(days=31), around + timedelta(days=400))
    return ExchangeCalendar(rows, settings.timezone)


def planned(
    dues: "list[Due]", states: Mapping[tuple[str, datetime], str], calendar: "Calendar", every: bool
) -> list[Planned]:
    """Records of a resolved day; without `every` a repeated slot is folded into its first time."""
    times: dict[str, list[datetime]] = {}
    for due in dues:
        times.setdefault(due.name, []).append(due.at)
    found = []
    for due in dues:
        own = times[due.name]
        if due.at != own[0] and not every:
            continue
        folded = len(own) > 1 and not every
        past = [state for at in own if (state := states.get((due.name, at)))]
        found.append(
            Planned(
                name=due.name,
                due_at=due.at,
                local=f"{due.at.astimezone(calendar.zone):%H:%M}",
                until=own[-1] if folded else None,
                times=len(own) if folded else 1,
                run=" ".join(due.spec.run),
                after=due.spec.after,
                state=(past[-1] if past else None) if folded else states.get((due.name, due.at)),
            )
        )
    return found


def a_day(text: str) -> Date:
    """An ISO date from the command line. Raises UsageError."""
    from tradekit.errors import UsageError

    try:
        return Date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text} is not a date", "write it like 2026-02-13") from None


def zone_named(name: str) -> Any:
    """A zone by its name in the tz database. Raises UsageError."""
    from zoneinfo import ZoneInfo

    from tradekit.errors import UsageError

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"no time zone {name}", "a name like Europe/Berlin, America/New_York or UTC") from None


def this_host() -> Any:
    """The zone this host's cron goes by: TZ, /etc/timezone or /etc/localtime; UTC where none of them tells."""
    import os
    from pathlib import Path

    from tradekit.errors import UsageError

    linked = Path("/etc/localtime")
    names = [os.environ.get("TZ", "").lstrip(":")]
    names.append(str(linked.resolve()).partition("zoneinfo/")[2] if linked.is_symlink() else "")
    file = Path("/etc/timezone")
    names += [file.read_text(encoding="utf-8").strip() if file.is_file() else "", "UTC"]
    for name in names:
        try:
            return zone_named(name)
        except UsageError:
            continue
    return zone_named("UTC")
