"""Anchors to due times: what the schedule says, when each slot of a day is due, and whether it is due now.

Pure: no clock, no files. Times are aware UTC; `zone` is the exchange's. Clock anchors are wall times there: one
that a spring change leaves out comes an hour later on the clock, once; one that an autumn change repeats comes the
first time.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from tradekit.calendar import Calendar
from tradekit.errors import ConfigError, UsageError
from tradekit.model import Session

KEYS = ("name", "at", "after", "every", "from", "to", "on", "half_days", "late", "timeout", "run")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RANK = {"reconcile": 0, "monitor-exits": 1, "jobs-track": 2, "scan": 3, "decide": 4, "enter": 5}
LATE_S = 300
DAY_S = 86400

Done = Mapping[tuple[str, datetime], str]  # (name, due_at) -> the state of its slot row


class Anchor(NamedTuple):
    """`open` or `close` of the session plus seconds, or `clock`: seconds after midnight on the exchange's clock."""

    base: Literal["open", "close", "clock"]
    seconds: int


class SlotSpec(NamedTuple):
    """One entry of the schedule, checked. Exactly one of `at`, `after`, `every_s` is set."""

    entry: int  # its place in the list, from 0
    name: str
    run: tuple[str, ...]  # the command's words
    at: Anchor | None
    after: str | None
    every_s: int | None
    start: Anchor | None  # None with every_s: all day, on every day of the week
    end: Anchor | None  # exclusive
    on: frozenset[int] | None  # weekdays, Monday 0; None: every session
    skips_half_days: bool
    late_s: int
    timeout_s: int | None

    @property
    def verb(self) -> str:
        """The command without its options, joined by `-`."""
        return command_name(self.run)


class Due(NamedTuple):
    """A slot at one of its times; after `late_at` it is too late."""

    name: str
    at: datetime
    spec: SlotSpec
    late_at: datetime


class Check(NamedTuple):
    """What the due-check says. `due` is the time it speaks of, `next_at` the one that follows."""

    verdict: Literal["due", "not-due", "waiting", "missed", "skipped", "already"]
    due: Due | None
    next_at: datetime | None
    because: str


# reading the list


def parse(
    entries: Sequence[Mapping[str, Any]],
    *,
    around_the_clock: bool = False,
    place: Callable[[int], str] | None = None,
) -> list[SlotSpec]:
    """The schedule's entries, checked. `place(i)` names where entry i stands (`desk.yaml:41`).

    Raises ConfigError that names the entry: unknown keys, times that are none, duplicate names, broken chains.
    """
    specs: list[SlotSpec] = []
    for i, entry in enumerate(entries):
        where = f"{place(i)}: schedule[{i}]" if place else f"schedule[{i}]"
        try:
            specs.append(_entry(i, entry, around_the_clock))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}", "see docs/schedule.md") from None
    for problem, i in _chain_faults(specs):
        where = f"{place(i)}: schedule[{i}]" if place else f"schedule[{i}]"
        raise ConfigError(f"{where}: {problem}", "see docs/schedule.md")
    return specs


def _entry(index: int, entry: Mapping[str, Any], around_the_clock: bool) -> SlotSpec:
    for key in entry:
        if key not in KEYS:
            raise ValueError(f"unknown key {key}{_meant(str(key), KEYS)}")
    run = tuple(str(entry.get("run") or "").split())
    if not run:
        raise ValueError("`run` is missing: which command?")
    kinds = [key for key in ("at", "after", "every") if entry.get(key) is not None]
    if len(kinds) != 1:
        raise ValueError(f"exactly one of at, after, every is wanted, found {' and '.join(kinds) or 'none'}")
    if kinds != ["every"] and ("from" in entry or "to" in entry):
        raise ValueError("from and to go with every")
    if ("from" in entry) != ("to" in entry):
        raise ValueError("from and to come together")
    name = str(entry.get("name") or command_name(run))
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"name {name!r} may have letters, digits, dots, _ and -")
    half_days = entry.get("half_days", "run")
    if half_days not in ("run", "skip"):
        raise ValueError(f"half_days: {half_days} is neither run nor skip")
    every_s = duration(entry["every"]) if "every" in kinds else None
    if every_s == 0:
        raise ValueError("every: must be above 0")
    anchors = {key: anchor(entry[key]) for key in ("at", "from", "to") if key in entry}
    if around_the_clock and any(a.base != "clock" for a in anchors.values()):
        raise ValueError("a 24/7 desk has no open and no close: use times of day (UTC)")
    default_late = LATE_S if every_s is None else min(LATE_S, every_s)
    return SlotSpec(
        entry=index,
        name=name,
        run=run,
        at=anchors.get("at"),
        after=str(entry["after"]) if "after" in kinds else None,
        every_s=every_s,
        start=anchors.get("from"),
        end=anchors.get("to"),
        on=_weekdays(entry["on"]) if entry.get("on") is not None else None,
        skips_half_days=half_days == "skip",
        late_s=duration(entry["late"]) if entry.get("late") is not None else default_late,
        timeout_s=duration(entry["timeout"]) if entry.get("timeout") is not None else None,
    )


def _chain_faults(specs: Sequence[SlotSpec]) -> Iterator[tuple[str, int]]:
    """What is wrong between entries, with the entry's index."""
    known: dict[str, SlotSpec] = {}
    for spec in specs:
        if spec.name in known:
            yield f"the name {spec.name} is taken by schedule[{known[spec.name].entry}]: give one a `name`", spec.entry
        known[spec.name] = spec
    for spec in specs:
        if spec.after is not None and spec.after not in known:
            yield f"after: there is no slot {spec.after}{_meant(spec.after, known)}", spec.entry
    for spec in specs:
        seen, before = {spec.name}, spec.after
        while before is not None:
            if before in seen:
                yield f"after: {spec.name} waits for itself", spec.entry
                break
            seen.add(before)
            before = known[before].after


def command_name(run: Sequence[str]) -> str:
    """`jobs track --verbose` as `jobs-track`: the words before the first option."""
    words: list[str] = []
    for word in run:
        if word.startswith("-"):
            break
        words.append(word)
    return "-".join(words)


def duration(text: Any) -> int:
    """`90s`, `5m`, `1h30m` or a number of seconds, as seconds. Raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip()) if isinstance(text, str) else None
    if not found or not any(found.groups()):
        raise ValueError(f"{text} is not a duration like 30s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def anchor(text: Any) -> Anchor:
    """`open`, `close-30m` or a time of day like `09:20` (up to `24:00`). Raises ValueError."""
    words = text.strip() if isinstance(text, str) else ""
    if found := re.fullmatch(r"(open|close)(?:\s*([+-])\s*(\S+))?", words):
        base, sign, length = found.groups()
        seconds = duration(length) if length else 0
        return Anchor("open" if base == "open" else "close", -seconds if sign == "-" else seconds)
    if found := re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", words):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = hours * 3600 + minutes * 60 + seconds
        if minutes < 60 and seconds < 60 and total <= DAY_S:
            return Anchor("clock", total)
    raise ValueError(f"{text} is not a time like open+5m, close-30m or 09:20")


def _weekdays(value: Any) -> frozenset[int]:
    words = [str(word).strip().lower()[:3] for word in (value if isinstance(value, list) else str(value).split(","))]
    for word in words:
        if word not in WEEKDAYS:
            raise ValueError(f"on: {word} is not a weekday ({', '.join(WEEKDAYS)})")
    return frozenset(WEEKDAYS.index(word) for word in words)


def _meant(word: str, known: Any) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1)
    return f", did you mean {close[0]}?" if close else f" (known: {', '.join(known)})"


def default_schedule(
    *, around_the_clock: bool = False, strategies: Sequence[str] = ("momentum",)
) -> list[dict[str, Any]]:
    """The schedule of a desk whose desk.yaml has none, in the same form."""
    if around_the_clock:
        return [
            {"at": "00:05", "run": "reconcile"},
            {"name": "hourly-scan", "every": "1h", "from": "00:01", "to": "24:00", "run": "scan --type open"},
            {"name": "hourly-decide", "after": "hourly-scan", "run": "decide"},
            {"name": "hourly-enter", "after": "hourly-decide", "run": "enter"},
            {"every": "1m", "run": "monitor-exits"},
            {"every": "30m", "from": "00:30", "to": "24:00", "run": "jobs track"},
            {"at": "23:55", "run": "jobs snapshot"},
            {"at": "23:57", "run": "jobs outcomes"},
            {"at": "18:00", "on": "sun", "run": "jobs cleanup"},
        ]
    entries: list[dict[str, Any]] = [{"at": "open-30m", "run": "reconcile"}]
    if "market-on-open" in strategies:
        entries[0]["at"] = "open-45m"
        entries += _flow("moo", {"at": "open-40m"}, "--strategy market-on-open")
        # on-open orders go in from 09:00 to 09:27 New York: not right after the decision
        entries[-1] = {"name": "moo-enter", "at": "open-20m", "late": "15m", "run": "enter --moo"}
    if any(name != "market-on-open" for name in strategies):
        entries += _flow("open", {"at": "open+5m"}, "--type open")
        entries += _flow("midday", {"at": "open+3h", "half_days": "skip"}, "--type midday")
        entries += _flow("close", {"at": "close-30m"}, "--type close")
    return [
        *entries,
        {"every": "1m", "from": "open", "to": "close+2m", "run": "monitor-exits"},
        {"every": "30m", "from": "open+30m", "to": "close", "run": "jobs track"},
        {"at": "close+5m", "run": "jobs snapshot"},
        {"at": "close+20m", "run": "jobs outcomes"},
        {"at": "18:00", "on": "sun", "run": "jobs cleanup"},
    ]


def completed(
    entries: Sequence[dict[str, Any]] | None,
    *,
    around_the_clock: bool = False,
    strategies: Sequence[str] = ("momentum",),
    logins: bool = False,
    rescan_s: int = 0,
) -> list[dict[str, Any]]:
    """A desk's whole schedule: its own entries or the default ones (None), and what its settings add to them."""
    if entries is None:
        entries = default_schedule(around_the_clock=around_the_clock, strategies=strategies)
    if logins:
        entries = with_logins(entries)
    if rescan_s and any(name != "market-on-open" for name in strategies):
        entries = with_rescan(entries, rescan_s, around_the_clock=around_the_clock)
    return list(entries)


def with_rescan(
    entries: Sequence[dict[str, Any]], every_s: int, *, around_the_clock: bool = False
) -> list[dict[str, Any]]:
    """The schedule of a desk that scans again every so often and asks a human, unless an entry does it already.

    What was approved is entered within a minute; an approval comes at any time, so something has to look for it.
    """
    if any("--type rescan" in str(entry.get("run") or "") for entry in entries):
        return list(entries)
    first, last, until = ("00:20", "24:00", "24:00") if around_the_clock else ("open+20m", "close-1h", "close-30m")
    return [
        *entries,
        {"name": "rescan", "every": every_s, "from": first, "to": last, "run": "scan --type rescan"},
        {"name": "rescan-decide", "after": "rescan", "run": "decide --type rescan"},
        {"name": "approved-enter", "every": "1m", "from": first, "to": until, "late": "15m", "run": "enter"},
    ]


def with_logins(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The schedule of a desk with OAuth logins: they are refreshed all day, unless an entry does it already."""
    if any(str(entry.get("run") or "").startswith("refresh-token") for entry in entries):
        return list(entries)
    return [*entries, {"every": "5m", "run": "refresh-token --all"}]


def _flow(name: str, when: dict[str, Any], option: str) -> list[dict[str, Any]]:
    """A scan, what decides on it, what enters it."""
    return [
        {"name": f"{name}-scan", **when, "run": f"scan {option}"},
        {"name": f"{name}-decide", "after": f"{name}-scan", "run": "decide"},
        {"name": f"{name}-enter", "after": f"{name}-decide", "run": "enter"},
    ]


# when


def due_times(spec: SlotSpec, session: Session | None, zone: ZoneInfo, day: date | None = None) -> list[datetime]:
    """When a slot with `at` or `every` is due on a day, oldest first; empty where it does not run.

    `day` is needed where there is no session: then only slots with `on`, or all day, can run.
    """
    day = session.day if session else day
    if day is None or not _runs_on(spec, day, session):
        return []
    if session is None and spec.on is None and not (spec.every_s and spec.start is None):
        return []
    if spec.every_s is not None:
        first = _moment(spec.start or Anchor("clock", 0), session, zone, day)
        end = _moment(spec.end or Anchor("clock", DAY_S), session, zone, day)
        if first is None or end is None:
            return []
        step = timedelta(seconds=spec.every_s)
        return [first + i * step for i in range(-((first - end) // step))] if first < end else []
    at = _moment(spec.at, session, zone, day) if spec.at else None
    return [at] if at else []


def _runs_on(spec: SlotSpec, day: date, session: Session | None) -> bool:
    """Whether weekday and half day let it."""
    if session is not None and session.half and spec.skips_half_days:
        return False
    return spec.on is None or day.weekday() in spec.on


def _moment(where: Anchor, session: Session | None, zone: ZoneInfo, day: date) -> datetime | None:
    if where.base == "clock":
        midnight = datetime(day.year, day.month, day.day)
        return (midnight + timedelta(seconds=where.seconds)).replace(tzinfo=zone).astimezone(UTC)
    if session is None:
        return None
    return (session.open if where.base == "open" else session.close) + timedelta(seconds=where.seconds)


def resolve(specs: Sequence[SlotSpec], session: Session, zone: ZoneInfo) -> list[Due]:
    """Every slot of a session in the order in which a replay runs them (see `resolve_day`)."""
    return resolve_day(specs, session.day, session, zone)


def resolve_day(specs: Sequence[SlotSpec], day: date, session: Session | None, zone: ZoneInfo) -> list[Due]:
    """Every slot of a day by time, then reconcile, monitor-exits, jobs track, scan, decide, enter, the rest.

    A slot with `after` stands right behind its predecessor, at the same time; it is due once that succeeded.
    """
    roots = [
        Due(spec.name, at, spec, at + timedelta(seconds=spec.late_s))
        for spec in specs
        if spec.after is None
        for at in due_times(spec, session, zone, day)
    ]
    roots.sort(key=lambda due: (due.at, RANK.get(due.spec.verb, len(RANK)), due.spec.entry))
    followers: dict[str, list[SlotSpec]] = {}
    for spec in specs:
        if spec.after is not None and _runs_on(spec, day, session):
            followers.setdefault(spec.after, []).append(spec)
    return [due for root in roots for due in _with_followers(root, followers)]


def _with_followers(due: Due, followers: Mapping[str, Sequence[SlotSpec]]) -> Iterator[Due]:
    yield due
    for spec in followers.get(due.name, ()):
        yield from _with_followers(
            Due(spec.name, due.at, spec, due.late_at + timedelta(seconds=spec.late_s)), followers
        )


# is it due


def check(name: str, now: datetime, specs: Sequence[SlotSpec], calendar: Calendar, done: Done) -> Check:
    """Whether a slot is to run at `now`, given the slot rows there are. Raises UsageError for an unknown name.

    A slot runs once at each of its times; only the latest time at or before `now` can be due.
    """
    if all(spec.name != name for spec in specs):
        names = [spec.name for spec in specs]
        raise UsageError(f"no slot {name}{_meant(name, names)}", "tradekit schedule show")
    specs = _chain(name, specs)
    today = calendar.day(now)
    days = [today - timedelta(days=1), today]
    times = [
        due for day in days for due in resolve_day(specs, day, calendar.on(day), calendar.zone) if due.name == name
    ]
    past = [due for due in times if due.at <= now]
    next_at = next((due.at for due in times if due.at > now), None) or _later(name, today, specs, calendar)
    last = past[-1] if past else None
    if last is None or (calendar.day(last.at) != today and last.late_at < now):
        if calendar.on(today) is None:
            return Check("not-due", None, next_at, "no session today")
        return Check("not-due", None, next_at, "not due yet today" if next_at else "not due in the next two weeks")
    verdict, because = _judge(last, now, done)
    return Check(verdict, last, next_at, because)


def _chain(name: str, specs: Sequence[SlotSpec]) -> list[SlotSpec]:
    """The slot and those it waits for: all that its times depend on."""
    known = {spec.name: spec for spec in specs}
    found = [known[name]]
    while (before := found[-1].after) is not None:
        found.append(known[before])
    return found


def _judge(
    due: Due, now: datetime, done: Done
) -> tuple[Literal["due", "waiting", "missed", "skipped", "already"], str]:
    """The verdict on one due time that has come."""
    state = done.get((due.name, due.at))
    if state is not None:
        return "already", f"{state} for {due.at:%Y-%m-%dT%H:%MZ}"
    before = None if due.spec.after is None else done.get((due.spec.after, due.at), "pending")
    if before in ("failed", "missed", "skipped"):
        return "skipped", f"{due.spec.after} is {before}"
    if now > due.late_at:
        return "missed", f"due at {due.at:%Y-%m-%dT%H:%MZ}, too late since {due.late_at:%H:%MZ}"
    if before in ("pending", "running"):
        return "waiting", f"{due.spec.after} has to succeed first, it is {before}"
    return "due", f"due at {due.at:%Y-%m-%dT%H:%MZ}"


def _later(name: str, today: date, specs: Sequence[SlotSpec], calendar: Calendar) -> datetime | None:
    """The slot's next time after today, within two weeks."""
    for i in range(1, 15):
        day = today + timedelta(days=i)
        for due in resolve_day(specs, day, calendar.on(day), calendar.zone):
            if due.name == name:
                return due.at
    return None


def due_now(specs: Sequence[SlotSpec], now: datetime, session: Session, zone: ZoneInfo, done: Done) -> list[Due]:
    """What is to run at `now`, in order: of each slot its latest time, unless done, waiting or too late."""
    latest = {due.name: due for due in resolve(specs, session, zone) if due.at <= now}
    due = [one for one in latest.values() if _judge(one, now, done)[0] == "due"]
    order = {(one.name, one.at): i for i, one in enumerate(resolve(specs, session, zone))}
    return sorted(due, key=lambda one: order[one.name, one.at])


def overdue(
    specs: Sequence[SlotSpec],
    now: datetime,
    session: Session,
    zone: ZoneInfo,
    done: Done,
    since: datetime | None = None,
) -> list[tuple[Due, Literal["missed", "skipped"]]]:
    """Times that have no row and can have no run any more, oldest first: missed, or skipped with their predecessor.

    `since`: times before it are nobody's fault (the desk was not there yet). A slot's latest row settles the times
    before it, since one row may stand for a repeated slot.
    """
    latest: dict[str, datetime] = {}
    for name, at in done:
        latest[name] = max(at, latest.get(name, at))
    found: list[tuple[Due, Literal["missed", "skipped"]]] = []
    seen = dict(done)
    for due in resolve(specs, session, zone):
        if due.at > now or (since is not None and due.at < since):
            continue
        if due.name in latest and due.at <= latest[due.name]:
            continue
        verdict = _judge(due, now, seen)[0]
        if verdict == "missed" or verdict == "skipped":
            found.append((due, verdict))
            seen[due.name, due.at] = verdict
    return found
