"""tradekit doctor"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from tradekit.errors import Findings, StoreError, TradekitError

if TYPE_CHECKING:
    from tradekit.commands._context import Context
    from tradekit.config import Settings

ENOUGH_DAYS = 60  # of sessions ahead
ENOUGH_BYTES = 500_000_000
LOCKS = ("writer.lock", "low.lock")


class Check(NamedTuple):
    """One row of the doctor: what was looked at, whether it is well, what was found, what would help."""

    check: str
    ok: bool
    found: str
    fix: str = ""


def doctor(ctx: typer.Context) -> None:
    """Check everything; 7 when a row failed.

    The session table is extended when it reaches less than 60 days ahead; nothing else is changed.
    """
    from tradekit.commands._output import show

    rows = list(examine(ctx.obj))
    show(rows, ctx.obj.format)
    failed = [row for row in rows if not row.ok]
    if failed:
        raise Findings(
            f"{len(failed)} of {len(rows)} checks failed: {', '.join(r.check for r in failed)}", failed[0].fix
        )


def examine(context: "Context") -> Iterator[Check]:
    """All checks, each run on its own: one that breaks is a failed row and stops no other."""
    from tradekit.config import Settings

    desk = context.here
    settings = Settings()
    yield _python()
    row, loaded = _settings(context)
    yield row
    settings = loaded or settings
    steps: list[tuple[str, Callable[[], Check]]] = [
        ("universe.yaml", lambda: _universe(desk)),
        ("strategies", lambda: _strategies(settings)),
        ("schedule", lambda: _schedule(settings)),
        ("desk.db", lambda: _books(desk)),
        ("sqlite", lambda: _sqlite(desk)),
        ("file system", lambda: _file_system(desk)),
        ("sessions", lambda: _sessions(context, settings)),
        ("bars", lambda: _database(_bars(desk, settings), "bars", "tradekit data import FILE... --timeframe 1d")),
        ("benchmark", lambda: _benchmark(desk, settings)),
        ("paper.db", lambda: _database(desk / "paper.db", "paper.db", "")),
        *([("bot.db", lambda: _database(desk / "bot.db", "bot.db", ""))] if (desk / "bot.db").exists() else []),
        ("file modes", lambda: _modes(desk)),
        ("disk space", lambda: _space(desk)),
        ("locks", lambda: _locks(desk)),
        *([("bot", lambda: _bot(context, settings))] if settings.bot.enabled else []),
        *((f"login {name}", partial(_login, context, settings, name)) for name in settings.providers),
    ]
    for name, step in steps:
        try:
            row = step()
            yield row._replace(fix="") if row.ok else row
        except TradekitError as error:
            yield Check(name, False, error.message, error.hint)
        except OSError as error:
            yield Check(name, False, f"{error.filename}: {error.strerror}", "check its owner and mode")


def _python() -> Check:
    import platform
    import sys

    return Check("python", sys.version_info >= (3, 11), platform.python_version(), "python 3.11 or newer")


def _settings(context: "Context") -> "tuple[Check, Settings | None]":
    from tradekit.commands._context import read_settings

    try:
        loaded = read_settings(context)
    except TradekitError as error:
        return Check("desk.yaml", False, error.message, error.hint), None
    changed = sum(origin != "default" for origin in loaded.origins.values())
    return Check("desk.yaml", True, f"{changed} settings named, hash {loaded.hash}"), loaded.settings


def _universe(desk: Path) -> Check:
    from tradekit.base.settings_file import load_universe

    symbols = load_universe(desk)
    found = f"{len(symbols)} symbols" if symbols else "no symbols: whatever is imported counts as mid"
    return Check("universe.yaml", True, found)


def _strategies(settings: "Settings") -> Check:
    from tradekit.strategies import build

    for name in settings.scan.strategies:
        build(name, settings.strategies.get(name, {}))
    return Check("strategies", True, ", ".join(settings.scan.strategies))


def _schedule(settings: "Settings") -> Check:
    from tradekit.schedule import parse

    if settings.schedule is None:
        return Check("schedule", True, "the default")
    slots = parse(settings.schedule, around_the_clock=settings.desk.calendar == "24/7")
    return Check("schedule", True, f"{len(slots)} slots")


def _books(desk: Path) -> Check:
    from tradekit.store import open_store
    from tradekit.store.backup import check
    from tradekit.store.connection import APPLICATION_ID
    from tradekit.store.schema import VERSION

    path = desk / "desk.db"
    try:
        check(path, application=APPLICATION_ID)
        store = open_store(path)
    except StoreError as error:
        return Check("desk.db", False, error.message, _way_back(desk, error))
    try:
        if not store.meta.get("desk_id"):
            return Check("desk.db", False, "it has no desk id", _way_back(desk))
        return Check("desk.db", True, f"sound, schema {VERSION}, {_size(path)}")
    finally:
        store.close()


def _way_back(desk: Path, error: StoreError | None = None) -> str:
    """The command that puts the newest sound backup in place; where the file itself is well, the error's own hint."""
    from tradekit.store.backup import newest_good

    if error is not None and any(word in error.hint for word in ("writable", "readable", "newer tradekit")):
        return error.hint
    copy = newest_good(desk / "backups")
    if copy is None:
        return "there is no sound backup in backups/: tradekit restore BACKUP from elsewhere, then tradekit reconcile"
    return f"tradekit restore {copy}, then tradekit reconcile"


def _file_system(desk: Path) -> Check:
    from tradekit.store.filesystem import file_system, is_network

    kind = file_system(desk) or "unknown"
    if is_network(desk):
        found = f"{kind}: shared over a network, where locks and syncs may lie; no WAL here"
        return Check("file system", False, found, "move the desk to a disk of this host")
    return Check("file system", True, kind)


def _sqlite(desk: Path) -> Check:
    import sqlite3

    from tradekit.store.connection import journal_mode

    return Check(
        "sqlite", sqlite3.sqlite_version_info >= (3, 37), f"{sqlite3.sqlite_version}, journal {journal_mode()}"
    )


def _sessions(context: "Context", settings: "Settings") -> Check:
    from datetime import timedelta

    from tradekit.clock import clock_from
    from tradekit.commands.init import fill_sessions
    from tradekit.store import open_store

    today = clock_from(context.environ.get("TRADEKIT_CLOCK")).now().date()
    store = open_store(context.here / "desk.db")
    try:
        last, calendar = store.sessions.last(), settings.desk.calendar
        if store.meta.get("calendar") in (None, calendar):
            if calendar == "24/7":
                return Check("sessions", True, "24/7: every UTC date")
            if last is not None and last >= today + timedelta(days=ENOUGH_DAYS):
                return Check("sessions", True, f"{calendar} until {last}")
        return Check("sessions", True, f"extended: {fill_sessions(store, settings, today)}")
    finally:
        store.close()


def _database(path: Path, name: str, fix: str) -> Check:
    from tradekit.store.backup import check

    if not path.exists():
        return Check(name, True, f"no {path.name} yet", fix)
    check(path)
    return Check(name, True, f"sound, {_size(path)}")


def _benchmark(desk: Path, settings: "Settings") -> Check:
    """Has the market context anything to look at? Without it the desk trades on, as if the market went sideways."""
    from tradekit.market.bars import BarStore

    name, path = settings.desk.benchmark, _bars(desk, settings)
    if name is None:
        return Check("benchmark", True, "none: desk.benchmark is null, the regime is unknown and counts as sideways")
    if not path.exists():
        return Check("benchmark", True, f"{name}: no bars of anything yet")
    with BarStore(path) as bars:
        series = bars.series(name)
    if not series:
        found = f"no bars of {name}: the regime is unknown and counts as sideways (desk.benchmark)"
        return Check("benchmark", True, found)
    steps = ", ".join(sorted({f"{s.timeframe_s} s" if s.timeframe_s < 86400 else "1d" for s in series}))
    return Check("benchmark", True, f"{name}: {steps}, until {max(s.last for s in series)}")


def _bars(desk: Path, settings: "Settings") -> Path:
    """The file of bars; a replay looks at its parent's."""
    from tradekit.store import open_store

    try:
        store = open_store(desk / "desk.db", readonly=True)
    except StoreError:
        return desk / settings.market.bars
    try:
        return desk / (store.meta.get("bars") or settings.market.bars)
    finally:
        store.close()


def _modes(desk: Path) -> Check:
    wide = [p for p in (desk, *desk.iterdir()) if not p.is_symlink() and p.stat().st_mode & 0o077]
    if not wide:
        return Check("file modes", True, "nobody else can read them")
    names = ", ".join(p.name or str(p) for p in wide[:5]) + (" ..." if len(wide) > 5 else "")
    return Check("file modes", False, f"others can read {names}", f"chmod -R go= {desk}")


def _bot(context: "Context", settings: "Settings") -> Check:
    """Whether the Telegram bot could start: its library, its people, its token; no network."""
    from importlib.util import find_spec

    from tradekit.base.secrets import secret
    from tradekit.bot.acts import check_settable
    from tradekit.bot.line import check_url

    said = settings.bot
    if find_spec("telegram") is None:
        return Check("bot", False, "python-telegram-bot is not installed", "pip install 'tradekit[bot]'")
    if not said.users:
        return Check("bot", False, "bot.enabled, and bot.users is empty", "tradekit config set bot.users '[YOUR-ID]'")
    check_url(said.url)
    check_settable(settings, lambda *keys: "desk.yaml")
    return Check("bot", True, f"{len(said.users)} people, token from {secret(said.secret, context.environ).origin}")


def _login(context: "Context", settings: "Settings", name: str) -> Check:
    """Days and minutes left of one OAuth login; no network."""
    from tradekit.clock import clock_from
    from tradekit.tokens import days, standing

    clock = clock_from(context.environ.get("TRADEKIT_CLOCK"))
    fix = f"tradekit refresh-token {name} --login paste"
    _, _, state, problem = next(row for row in standing(settings, clock, context.environ) if row[0] == name)
    if state is None:
        return Check(f"login {name}", False, problem, fix)
    left = "does not end" if state.login_left_s is None else f"ends in {days(state.login_left_s)} days"
    found = f"{state.login}, {left}; access token {state.access}, {state.access_left_s / 60:.0f} minutes left"
    well = state.login in ("ok", "unknown")
    return Check(f"login {name}", well, f"{found}; {problem}" if problem else found, fix)


def _space(desk: Path) -> Check:
    from shutil import disk_usage

    free = disk_usage(desk).free
    return Check("disk space", free >= ENOUGH_BYTES, f"{free / 1e9:.1f} GB free", "make room")


def _locks(desk: Path) -> Check:
    """Who works on the desk right now; a lock that can be taken is no finding, nor is one that cannot."""
    from tradekit.base.locks import Lock, holder
    from tradekit.errors import Busy

    held: list[str] = []
    paths = [desk / name for name in LOCKS] + sorted((desk / "locks").glob("*.lock"))
    for path in paths:
        if not path.exists():
            continue
        lock: Any = Lock(path, what="doctor")
        try:
            lock.acquire()
        except Busy:
            pid, command = holder(path)
            held.append(f"{path.name} by pid {pid} ({command})")
        finally:
            lock.close()
    return Check("locks", True, "; ".join(held) or "none held")


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"
