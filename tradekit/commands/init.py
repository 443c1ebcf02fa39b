"""tradekit init"""

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from tradekit.errors import StoreError, UsageError

if TYPE_CHECKING:
    from datetime import date, datetime

    from tradekit.config import Settings

PRESETS = ("day", "moo", "swing", "crypto")
FOLDERS = ("strategies", "reports", "logs", "replays", "backups", "locks")
FIRST_YEAR = 2000  # the session table starts here, so that old days can be replayed
DAYS_AHEAD = 400


def init(
    ctx: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where; the folder you are in.")] = None,
    preset: Annotated[str, typer.Option(help="Which desk: day, moo, swing or crypto.")] = "day",
) -> None:
    """Make a desk: settings, universe, books, calendar.

    The folder must be new or empty: an existing desk is never touched.
    """
    from tradekit.cli import did_you_mean
    from tradekit.clock import clock_from
    from tradekit.commands._output import say, show

    if preset not in PRESETS:
        raise UsageError(f"no preset {preset!r}{did_you_mean(preset, PRESETS)}", f"one of {', '.join(PRESETS)}")
    target = folder or ctx.obj.asked or Path()
    if not str(target.absolute()).isprintable():  # cron, systemd and every log keep it on one line
        raise UsageError(f"{str(target)!r} has a control character in it", "choose another folder")
    now = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK")).now()
    rows = make_desk(target, preset, now.date(), now)
    show(rows, ctx.obj.format)
    if target != Path():
        say(f"next: tradekit -C {quote(str(target))} data import FILE... --timeframe 1m")


def make_desk(target: Path, preset: str, today: "date", created_at: "datetime | None" = None) -> list[dict[str, str]]:
    """A whole desk at `target`, built beside it and moved there at the end; rows (file, what).

    Slots that were due before `created_at` are nobody's fault.

    A folder that is there is built in: it may be a volume, and its parent read-only. Raises UsageError where
    something is in it, StoreError where nothing can be written.
    """
    refuse_used(target)
    place = target.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        name = f"{os.getpid()}.init"
        building = place / f".{name}" if place.is_dir() else place.parent / f".{place.name}.{name}"
        _remove(building)  # of one that was killed: in a container each may have the same pid
        building.mkdir(mode=0o700)
    except OSError as error:
        raise StoreError(
            f"cannot make {target}: {error.strerror} ({error.filename})", "choose another folder"
        ) from None
    try:
        rows = _fill(building, preset, today, created_at)
        _move(building, place)
    except OSError as error:
        raise StoreError(
            f"cannot make {target}: {error.strerror} ({error.filename})", "choose another folder"
        ) from None
    finally:
        _remove(building)
    return rows


def refuse_used(target: Path) -> None:
    """UsageError unless the folder is new or empty."""
    try:
        if (target / "desk.yaml").exists():
            raise UsageError(f"{target} is a desk already", f"tradekit -C {target} config show")
        if target.exists() and (not target.is_dir() or any(not path.match(".*.init") for path in target.iterdir())):
            raise UsageError(f"{target} is not an empty folder", "name a new one: tradekit init DIR")
    except PermissionError as error:
        raise StoreError(f"cannot make {target}: {error.strerror}", "choose another folder") from None


def _fill(folder: Path, preset: str, today: "date", created_at: "datetime | None") -> list[dict[str, str]]:
    import secrets
    from importlib.resources import files

    import msgspec

    from tradekit.base.files import write_text
    from tradekit.base.settings_file import load_settings
    from tradekit.clock import iso
    from tradekit.config import Settings
    from tradekit.store import open_store

    presets = files("tradekit") / "presets"
    write_text(folder / "desk.yaml", (presets / f"{preset}.yaml").read_text("utf-8"))
    write_text(folder / "universe.yaml", (presets / "universe.yaml").read_text("utf-8"))
    write_text(folder / ".desk.schema.json", msgspec.json.format(msgspec.json.encode(schema(Settings))).decode() + "\n")
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o700)
    settings = load_settings(folder, {}).settings
    store = open_store(folder / "desk.db", create=True)
    try:
        with store.transaction():
            store.meta.set("desk_id", secrets.token_hex(8))
            store.meta.set("currency", settings.desk.currency)
            if created_at is not None:
                store.meta.set("created_at", iso(created_at))
        counted = fill_sessions(store, settings, today)
    finally:
        store.close()
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return [
        {"file": "desk.yaml", "what": f"settings, preset {preset}"},
        {"file": "universe.yaml", "what": "symbols by cap class, empty: what is imported counts as mid"},
        {"file": "desk.db", "what": f"the books; {counted}"},
    ]


def schema(settings: "type[Settings]") -> dict[str, object]:
    """The JSON schema of desk.yaml."""
    import msgspec

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(settings)}


def fill_sessions(store: "object", settings: "Settings", today: "date") -> str:
    """Write the exchange's sessions into the store, from 2000 to a year ahead; a sentence on what they are."""
    from datetime import date, timedelta
    from typing import Any

    books: Any = store
    if settings.desk.calendar == "24/7":
        books.meta.set("calendar", "24/7")
        return "every UTC date is a session"
    from tradekit.market.sessions import build

    first, last = date(FIRST_YEAR, 1, 1), today + timedelta(days=DAYS_AHEAD)
    rows = build(settings.desk.calendar, first, last)
    with books.transaction():
        books.sessions.replace(rows, first, last)
        books.meta.set("calendar", settings.desk.calendar)
    return f"{len(rows)} sessions of {settings.desk.calendar} until {rows[-1].day}"


def _move(building: Path, place: Path) -> None:
    """Into place in one step; an empty folder that is there already keeps its identity, desk.yaml comes last."""
    if not place.exists():
        os.rename(building, place)
        return
    refuse_used(place)
    place.chmod(0o700)
    moved: list[Path] = []
    try:
        for path in sorted(building.iterdir(), key=lambda p: p.name == "desk.yaml"):
            os.rename(path, place / path.name)
            moved.append(place / path.name)
    except BaseException:
        for path in moved:
            _remove(path)
        raise


def _remove(path: Path) -> None:
    from shutil import rmtree

    if path.is_dir():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
