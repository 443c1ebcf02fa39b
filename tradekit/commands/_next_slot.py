"""The slot that is due next, for whoever runs the desk: cron, a supervisor that is not there, a human.

Settings and schedule would cost `status` a quarter of its time. So the coming due times are kept in the user's cache
folder, and count while desk.yaml, the settings of the environment and the sessions are the very same.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tradekit.commands._context import Context
    from tradekit.model import Session
    from tradekit.store import Store

DAYS = 15  # how far it looks ahead


class Coming(msgspec.Struct, frozen=True, array_like=True):
    """Due times of some days, oldest first, and what they follow from."""

    source: list[str]
    first: float  # UTC seconds; nothing before it was looked at
    dues: list[tuple[float, str]]


def next_slot(context: "Context", store: "Store", now: datetime) -> tuple[dict[str, Any] | None, str]:
    """(name and time of the next slot that waits for no other, `ok` or what is wrong with desk.yaml).

    None: none for two weeks, a replay's desk, or settings that make no sense.
    """
    from tradekit.errors import ConfigError

    if store.meta.get("clock_at"):
        return None, "ok"
    sessions = store.sessions.load((now - timedelta(days=1)).date(), (now + timedelta(days=DAYS)).date())
    around_the_clock = store.sessions.last() is None
    source, place = source_of(context, sessions, around_the_clock), place_of(context)
    known = remembered(place)
    fits = known is not None and known.source == source and known.first <= now.timestamp()
    if known is not None and fits and (found := first_after(known, now)) is not None:
        return found, "ok"
    try:
        coming = resolved(context, sessions, around_the_clock, now, source)
    except ConfigError as error:
        return None, error.message
    remember(place, coming)
    return first_after(coming, now), "ok"


def first_after(coming: Coming, now: datetime) -> dict[str, Any] | None:
    """The first of these times that is still to come."""
    for at, name in coming.dues:
        if at > now.timestamp():
            return {"name": name, "at": datetime.fromtimestamp(at, UTC)}
    return None


def source_of(context: "Context", sessions: "Sequence[Session]", around_the_clock: bool) -> list[str]:
    """Everything that the times follow from, as text."""
    from tradekit import __version__

    asked = [f"{name}={value}" for name, value in context.environ.items() if name.startswith("TRADEKIT_SET__")]
    days = [f"{one.open.timestamp():.0f} {one.close.timestamp():.0f}" for one in sessions]
    text = (context.here / "desk.yaml").read_text("utf-8", "replace")
    return [__version__, str(context.here.resolve()), text, str(around_the_clock), *sorted(asked), *days]


def resolved(
    context: "Context", sessions: "Sequence[Session]", around_the_clock: bool, now: datetime, source: list[str]
) -> Coming:
    """The times of today and the next day that has any. Raises ConfigError."""
    from tradekit.calendar import AllDayCalendar, Calendar, ExchangeCalendar
    from tradekit.commands._context import read_settings
    from tradekit.commands.schedule import desk_schedule
    from tradekit.schedule import resolve_day

    specs = desk_schedule(context)
    zone = read_settings(context).settings.desk.timezone
    calendar: Calendar = AllDayCalendar() if around_the_clock else ExchangeCalendar(sessions, zone)
    dues: list[tuple[float, str]] = []
    today = calendar.day(now)
    for i in range(DAYS):
        day = today + timedelta(days=i)
        found = resolve_day(specs, day, calendar.on(day), calendar.zone)
        dues += [(due.at.timestamp(), due.name) for due in found if due.spec.after is None]
        if i and dues and dues[-1][0] > now.timestamp():
            break
    return Coming(source, now.timestamp(), sorted(dues))


def remembered(place: Path) -> Coming | None:
    try:
        return msgspec.msgpack.decode(place.read_bytes(), type=Coming)
    except (OSError, RuntimeError, msgspec.DecodeError):
        return None


def remember(place: Path, coming: Coming) -> None:
    """Keep it for the next time; a folder that cannot be written is no error."""
    from tradekit.base.files import write_bytes

    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(place, msgspec.msgpack.encode(coming), durable=False)
    except (OSError, RuntimeError):
        return


def place_of(context: "Context") -> Path:
    """The copy's path: one per desk."""
    base = Path(context.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tradekit" / "coming" / str(context.here.resolve()).replace("/", "%")[-200:]
