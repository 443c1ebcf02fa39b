"""The schedule over recorded bars in virtual time: the very steps that the commands call, on a fresh desk."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2s
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from tradekit.base.locks import Lock
from tradekit.base.settings_file import load_settings
from tradekit.clock import ManualClock, iso
from tradekit.config import Settings
from tradekit.desk.desk import Desk
from tradekit.desk.open import MARKER, build
from tradekit.desk.slots import desk_schedule, run_due
from tradekit.errors import DataError, UsageError
from tradekit.model import Session
from tradekit.schedule import resolve
from tradekit.store import Store, open_store

COPIED = ("desk.yaml", "universe.yaml")
HISTORY, FUTURE = timedelta(days=500), timedelta(days=40)


@dataclass(frozen=True)
class ReplayOptions:
    """From `first` to `last` session, at most until `until` on the last one."""

    first: date
    last: date
    until: datetime | None = None
    out: Path | None = None
    force: bool = False


Progress = Callable[[int, int, datetime], None]


def replay(
    parent: Path,
    options: ReplayOptions,
    progress: Progress = lambda done, total, at: None,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Replay the sessions and give the path of the desk that lived them; `say` hears what is missing.

    The same question asked again gives the stored replay. Nothing is left behind by a replay that did not finish.
    Raises UsageError (no session, out of the way), DataError (no bars).
    """
    target = options.out or parent / "replays" / _name(options)
    marker = _marker(parent, options)
    if _done_before(target, marker, options.force):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _workshop(parent, target) as folder:
        _furnish(parent, folder, target, marker)
        _live(folder, options, progress, say)
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    return target


def _name(options: ReplayOptions) -> str:
    return str(options.first) if options.first == options.last else f"{options.first}_{options.last}"


class Marker(msgspec.Struct, frozen=True):
    """What a replay is a function of; kept in replay.json beside its books."""

    parent: str
    first: date
    last: date
    until: datetime | None
    settings: str
    bars: str
    desk_id: str


def _marker(parent: Path, options: ReplayOptions) -> Marker:
    loaded = load_settings(parent)
    store = open_store(parent / "desk.db", readonly=True)
    try:
        parent_id, bars = (
            store.meta.get("desk_id") or "",
            _bars_path(parent, store, loaded.settings),
        )
    finally:
        store.close()
    text = f"{parent_id}|{options.first}|{options.last}|{loaded.hash}"
    return Marker(
        parent=parent_id,
        first=options.first,
        last=options.last,
        until=options.until,
        settings=loaded.hash,
        bars=_bars_state(bars),
        desk_id=blake2s(text.encode(), digest_size=8).hexdigest(),
    )


def _bars_state(path: Path) -> str:
    """Changes when any series does."""
    from tradekit.market.bars import BarStore

    with BarStore(path) as bars:
        return blake2s(repr(bars.series()).encode(), digest_size=8).hexdigest()


def _bars_path(parent: Path, store: Store, settings: Settings) -> Path:
    return parent / (store.meta.get("bars") or settings.market.bars)


def _done_before(target: Path, marker: Marker, force: bool) -> bool:
    if not target.exists() or force:
        if target.exists() and not (target / MARKER).exists() and any(target.iterdir()):
            raise UsageError(
                f"{target} is not a replay: it is not overwritten",
                "choose another --out",
            )
        return False
    try:
        known = msgspec.json.decode((target / MARKER).read_bytes(), type=Marker)
    except (OSError, msgspec.MsgspecError):
        known = None
    if known == marker:
        return True
    what = "a replay with other settings, bars or times" if known else "not a replay"
    hint = "tradekit replay ... --force replaces it, --out DIR keeps both" if known else "choose another --out"
    raise UsageError(f"{target} is there already: {what}", hint)


@contextmanager
def _workshop(parent: Path, target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone unless it was renamed; what a killed replay left is swept first.

    The lock lies with those of the parent desk: the folder of --out is somebody else's. Raises Busy where the same
    replay is being made.
    """
    key = blake2s(f"{parent.resolve()}|{target.resolve()}".encode(), digest_size=4).hexdigest()
    (parent / "locks").mkdir(mode=0o700, exist_ok=True)
    with Lock(parent / "locks" / f"replay-{key}.lock", what=f"replay into {target}"):
        for left in target.parent.glob(f".{target.name}-{key}-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield from _fresh(target, key)


def _fresh(target: Path, key: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-{key}-", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(parent: Path, folder: Path, target: Path, marker: Marker) -> None:
    """Settings copied, books empty, the parent's sessions and bars."""
    for name in COPIED:
        if (parent / name).exists():
            shutil.copyfile(parent / name, folder / name)
            (folder / name).chmod(0o600)
    (folder / MARKER).write_bytes(msgspec.json.encode(marker))
    (folder / MARKER).chmod(0o600)
    (folder / "locks").mkdir(mode=0o700)
    settings = load_settings(parent).settings
    mother = open_store(parent / "desk.db", readonly=True)
    store = open_store(folder / "desk.db", create=True, synchronous="OFF")
    try:
        with store.transaction():
            store.meta.set("desk_id", marker.desk_id)
            store.meta.set("parent_id", marker.parent)
            for key in ("currency", "calendar"):
                value = mother.meta.get(key)
                if value is not None:
                    store.meta.set(key, value)
            store.meta.set(
                "bars",
                os.path.relpath(
                    _bars_path(parent, mother, settings).resolve(),
                    target.parent.resolve() / "x",
                ),
            )
            sessions = mother.sessions.load(marker.first - HISTORY, marker.last + FUTURE)
            store.sessions.replace(sessions, marker.first - HISTORY, marker.last + FUTURE)
    finally:
        store.close()
        mother.close()


def _live(folder: Path, options: ReplayOptions, progress: Progress, say: Callable[[str], None]) -> None:
    store = open_store(folder / "desk.db", synchronous="OFF")
    clock = ManualClock(datetime.combine(options.first, time(), UTC))
    try:
        desk = build(folder, store, clock=clock, ahead=options.last - options.first)
        desk.say = lambda text: None  # alerts of that day are in its events
        sessions = desk.calendar.between(options.first, options.last)
        _check(desk, sessions, options)
        _warn_of_benchmark(desk, sessions, say)
        _walk(desk, clock, sessions, options.until, progress)
    finally:
        store.close()


def _check(desk: Desk, sessions: Sequence[Session], options: ReplayOptions) -> None:
    """There is a session, and there are bars of it."""
    if not sessions:
        near = desk.calendar.next(options.last)
        hint = f"the next session is {near.day}" if near else "tradekit doctor extends the table of sessions"
        raise UsageError(
            f"{options.first}: no session of {desk.settings.desk.calendar} on that day",
            hint,
        )
    first, last = str(sessions[0].day), str(sessions[-1].day)
    if not desk.market.store.has_intraday(first, last, desk.settings.market.source):
        raise DataError(
            f"there are no intraday bars for {_name(options)}",
            "tradekit data import FILE --timeframe 1m (tradekit data list)",
        )


def _warn_of_benchmark(desk: Desk, sessions: Sequence[Session], say: Callable[[str], None]) -> None:
    """One line where the benchmark has no bars of a day: regime and market context are then of before, or unknown."""
    name = desk.settings.desk.benchmark
    days = [str(session.day) for session in sessions if name and desk.market.bar_seconds(name, session.day) is None]
    if days:
        when = ", ".join(days[:3]) + (f" and {len(days) - 3} more days" if len(days) > 3 else "")
        say(
            f"benchmark {name} has no bars of {when}: the regime is that of its last close, or unknown (sideways); "
            "tradekit config set desk.benchmark null goes without"
        )


def _walk(
    desk: Desk,
    clock: ManualClock,
    sessions: Sequence[Session],
    until: datetime | None,
    progress: Progress,
) -> None:
    specs = desk_schedule(desk)
    plan = [(session, due) for session in sessions for due in resolve(specs, session, desk.calendar.zone)]
    plan = [(session, due) for session, due in plan if until is None or due.at <= until]
    for done, (session, due) in enumerate(plan):
        clock.set(due.at)
        desk.store.meta.set("clock_at", iso(due.at))
        run_due(desk, due, session.day)
        progress(done + 1, len(plan), due.at)
    if until is not None:
        clock.set(until)
    desk.store.meta.set("clock_at", iso(clock.now()))


def options_from(
    parent: Path,
    day: str,
    *,
    to: str | None,
    until: str | None,
    out: Path | None,
    force: bool,
) -> ReplayOptions:
    """Options from what a user typed; `until` is exchange time on the last day. Raises UsageError."""
    first = _day(day)
    last = _day(to) if to else first
    if last < first:
        raise UsageError(f"--to {last} is before {first}", f"tradekit replay {last} --to {first}")
    end = None
    if until is not None:
        zone = ZoneInfo(load_settings(parent).settings.desk.timezone)
        end = datetime.combine(last, _time(until), zone).astimezone(UTC)
    return ReplayOptions(first=first, last=last, until=end, out=out, force=force)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text} is not a date", "write it as 2026-02-13") from None


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text if ":" in text else "")
    except ValueError:
        raise UsageError(f"--until {text} is not a time of day", "write it as 10:00, exchange time") from None
