"""Build a Desk: the one place that chooses clock, broker and data, and the only one that names a concrete broker."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from tradekit import __version__
from tradekit.base.crashpoint import VARIABLE, crash_point
from tradekit.base.files import private_folder
from tradekit.base.interrupts import handled, shielded
from tradekit.base.last_good import Read, keep, read_files
from tradekit.base.locks import Lock
from tradekit.brokers.base import Broker
from tradekit.calendar import AllDayCalendar, Calendar, ExchangeCalendar
from tradekit.clock import Clock, ManualClock, clock_from, iso, parse_time
from tradekit.config import Settings, Symbol
from tradekit.desk.by_hand import LEAVING, positions_left
from tradekit.desk.desk import Desk, print_stderr
from tradekit.desk.dry import DryBroker
from tradekit.desk.events import alert, alert_once
from tradekit.desk.in_time import bounded, budget, last_words
from tradekit.desk.logins import warn_of_logins
from tradekit.errors import Busy, ConfigError, StoreError, TradekitError, UsageError
from tradekit.ids import run_id
from tradekit.model import Run, Side
from tradekit.money import dec
from tradekit.store import Store, open_store

if TYPE_CHECKING:
    from tradekit.market.market import Market
    from tradekit.strategies.base import Strategy

WINDOW = timedelta(days=500)  # sessions that a desk loads before today: enough for 250 of history
AHEAD = timedelta(days=40)
LOOKS_BACK = frozenset({"scan", "decide"})  # whose dry runs can stand at a time whose books have changed since
CLOSING = frozenset({"monitor-exits", "liquidate", "cancel"})  # their calls go first in the rate limit's queue
FORGIVING = frozenset({"monitor-exits", "liquidate", "reconcile", "cancel", "halt", "supervise", "run-slot"})
MARKER = "replay.json"  # lies in the folder of a replay


class Where(Protocol):
    """Anything that knows the desk's folder and the words that started the command."""

    @property
    def here(self) -> Path: ...

    @property
    def argv(self) -> tuple[str, ...]: ...


@contextmanager
def open_desk(
    where: Path | Where,
    *,
    command: str | None = None,
    dry_run: bool = False,
    clock: Clock | None = None,
    synchronous: str | None = None,
    at: datetime | None = None,
    endless: bool = False,
    forgiving: bool = False,
) -> Iterator[Desk]:
    """A desk to work with; `command` adds its job lock, its run row and, unless it is a loop (`endless`), its deadline.

    Commands that close positions, and others that are `forgiving`, go by the settings of before where desk.yaml makes
    no sense (`desk.trouble`).

    Raises ConfigError, StoreError, Busy, and TimeIsOver when the time of the command is used up.

    A dry run works on a private copy of desk.db and with a venue that accepts nothing; only its run row is kept. With
    `at`, an earlier time, its clock stands there: prices are of then. UsageError for `at` without a dry run.
    """
    if at is not None and not dry_run:
        raise UsageError(
            "--at is for --dry-run: what is done is done now", f"tradekit {command} --dry-run --at {iso(at)}"
        )
    path = where if isinstance(where, Path) else where.here
    lock = job_lock(path, command) if command else nullcontext()  # first: the second copy of a job costs nothing
    with (
        lock,
        _opened(path, where, command, dry_run, clock, synchronous, at, endless, forgiving) as desk,
        nullcontext() if command is None or endless else bounded(desk, command),
    ):
        yield desk


@contextmanager
def _opened(
    path: Path,
    where: Path | Where,
    command: str | None,
    dry_run: bool,
    clock: Clock | None,
    synchronous: str | None,
    at: datetime | None,
    endless: bool,
    forgiving: bool,
) -> Iterator[Desk]:
    argv = "" if isinstance(where, Path) else " ".join(where.argv)
    store = open_store(path / "desk.db", synchronous=synchronous or store_mode(path))
    try:
        forgiving = forgiving or command in FORGIVING
        read = read_files(path, forgiving=forgiving, check=lambda settings: check_fits(path, settings, store))
        desk = build(path, store, clock=clock, read=read)
        if forgiving and not dry_run:
            _say_or_keep(desk)
        in_all = nullcontext() if command is None or endless else budget(desk, command)
        if command is None:
            yield desk
        elif dry_run:
            if at is not None and at > desk.clock.now():
                hint = "name an earlier time"
                raise UsageError(f"--at {iso(at)}: it is {iso(desk.clock.now())} on this desk", hint)
            with in_all, recorded_run(desk, command, argv), _on_a_copy(desk, at, command):
                yield desk
        else:
            with in_all, _kept_time(desk), recorded_run(desk, command, argv):
                yield desk
    except StoreError:
        if command in LEAVING:
            for line in positions_left(store.path):
                print_stderr(line)
        raise
    finally:
        store.close()


def _check_unchanged(desk: Desk, command: str, at: datetime) -> None:
    """What the venue held and how high prices had been is not kept: after later trading nobody knows it as of `at`."""
    from tradekit.store.as_of import changed_since

    changed = changed_since(desk.store, at)
    if not changed:
        return
    what = ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in changed.items())
    local = at.astimezone(desk.calendar.zone)
    raise UsageError(
        f"{command} --dry-run --at {iso(at)}: the books have changed since ({what}) and are not known as of then",
        f"tradekit replay {desk.calendar.day(at)} --until {local:%H:%M} --out FOLDER, then there: "
        f"tradekit -C FOLDER {command} --dry-run",
    )


def _say_or_keep(desk: Desk) -> None:
    """An alert where desk.yaml makes no sense; else it is remembered for the day when it does not."""
    if desk.trouble is None:
        keep(desk.path, check=lambda settings: check_fits(desk.path, settings, desk.store))
        return
    text = f"{desk.trouble.message}: exits go on with the settings of before, nothing else does"
    alert_once(desk, "settings-broken", text)


@contextmanager
def _kept_time(desk: Desk) -> Iterator[None]:
    """A desk with a virtual clock goes on from the last time it reached. UsageError for an earlier TRADEKIT_CLOCK."""
    reached = desk.store.meta.get("clock_at")
    if reached and desk.clock.now() < parse_time(reached):
        raise UsageError(
            f"TRADEKIT_CLOCK={iso(desk.clock.now())}: this desk has reached {reached}",
            "leave it away or name a later time; --dry-run --at looks back",
        )
    try:
        yield
    finally:
        if reached and desk.clock.now() > parse_time(reached):
            with desk.store.transaction():
                desk.store.meta.set("clock_at", iso(desk.clock.now()))


def check_fits(path: Path, settings: Settings, store: Store) -> str:
    """The venue that a desk trades on. ConfigError for one that nobody knows, and for settings of other books."""
    venue = "paper" if (path / MARKER).exists() else known_venue(settings)  # a replay trades on paper
    check_books(settings, store)
    return venue


def known_venue(settings: Settings) -> str:
    """`desk.broker`. ConfigError, which names those there are, where this version has no such venue."""
    venue = settings.desk.broker
    if venue not in VENUES:
        raise ConfigError(
            f"desk.broker: {venue} is not a venue this version has; known: {', '.join(VENUES)}",
            f"tradekit config set desk.broker {' or '.join(VENUES)}",
        )
    return venue


def check_books(settings: Settings, store: Store) -> None:
    """The books are in one currency and know one calendar's sessions. ConfigError where desk.yaml names another."""
    check_currency(settings, store)
    calendar = store.meta.get("calendar")
    if calendar and calendar != settings.desk.calendar:
        raise ConfigError(
            f"desk.calendar is {settings.desk.calendar}, but desk.db holds the sessions of {calendar}",
            f"tradekit doctor writes the new ones; or tradekit config set desk.calendar {calendar}",
        )


def check_currency(settings: Settings, store: Store) -> None:
    """The books are in one currency. ConfigError where desk.yaml names another."""
    currency = store.meta.get("currency")
    if currency and currency != settings.desk.currency:
        raise ConfigError(
            f"desk.currency is {settings.desk.currency}, but the books of this desk are in {currency}",
            f"tradekit config set desk.currency {currency}; another currency is another desk: tradekit init DIR",
        )


def build(
    path: Path,
    store: Store,
    *,
    clock: Clock | None = None,
    ahead: timedelta = timedelta(0),
    since: date | None = None,
    read: Read | None = None,
) -> Desk:
    """Wire a desk over an open store; `ahead` asks for more sessions after now than usual, `since` for older ones.

    `read`: its settings files, where they were read already.
    """
    loaded, universe, trouble = read or read_files(path)
    settings = loaded.settings
    venue = check_fits(path, settings, store)
    virtual = store.meta.get("clock_at")
    clock = clock or desk_clock(virtual)
    calendar = load_calendar(settings, store, clock.now(), ahead, since)
    return Desk(
        path=path,
        id=store.meta.get("desk_id") or "",
        settings=settings,
        universe=universe,
        clock=clock,
        calendar=calendar,
        store=store,
        open_market=lambda: open_market(path, settings, store, universe, calendar),
        open_broker=VENUES[venue],
        strategies=LazyStrategies(settings),
        settings_hash=loaded.hash,
        place=loaded.place,
        trouble=trouble,
        code_version=__version__,
        account_dir=path / "locks" if venue == "paper" else account_dir(venue, settings),
    )


def desk_clock(virtual: str | None) -> Clock:
    """The clock of a desk that exists: a replay stands where it ended; TRADEKIT_CLOCK may set another."""
    wanted = os.environ.get("TRADEKIT_CLOCK")
    if wanted:
        return clock_from(wanted)
    return ManualClock(parse_time(virtual)) if virtual else clock_from(None)


def load_calendar(
    settings: Settings, store: Store, now: datetime, ahead: timedelta = timedelta(0), since: date | None = None
) -> Calendar:
    """The sessions around now, from the store's table; from `since` on where that is earlier than usual."""
    if settings.desk.calendar == "24/7":
        return AllDayCalendar()
    first = now.date() - WINDOW
    return ExchangeCalendar(
        store.sessions.load(min(first, since or first), now.date() + AHEAD + ahead),
        settings.desk.timezone,
    )


def open_market(
    path: Path,
    settings: Settings,
    store: Store,
    universe: Mapping[str, Symbol],
    calendar: Calendar,
) -> "Market":
    """Market history; a replay reads its parent's bars.db."""
    from tradekit.market.bars import BarStore
    from tradekit.market.market import Market

    bars = BarStore(path / (store.meta.get("bars") or settings.market.bars))
    return Market(
        bars,
        calendar,
        source=settings.market.source,
        tick=settings.market.tick,
        ticks=settings.market.ticks,
        half_spread=settings.paper.half_spread,
        half_spread_of=half_spread_of(settings, universe),
    )


def half_spread_of(settings: Settings, universe: Mapping[str, Symbol]) -> Callable[[str], float]:
    """The assumed half spread of a symbol, a fraction of its price: small caps have their own."""

    def of(symbol: str) -> float:
        entry = universe.get(symbol)
        small = entry is not None and entry.cap == "small"
        return settings.paper.half_spread_small if small else settings.paper.half_spread

    return of


def check_crash_point(desk: Desk) -> None:
    """Crash points are for tests: a venue with real money refuses them."""
    if os.environ.get(VARIABLE) and desk.broker.capabilities.live:
        raise UsageError(f"{VARIABLE} is set and {desk.broker.name} trades real money", f"unset {VARIABLE}")


def open_paper(desk: Desk) -> Broker:
    """The simulated venue over the desk's own bars."""
    from tradekit.brokers.paper import PaperBroker

    path = desk.path / "paper.db"
    empty = not path.exists() or path.stat().st_size == 0
    if empty and desk.store.meta.get("account_id") is not None:  # a new account would close every position
        raise StoreError(
            f"{path} is missing or empty, and this desk has traded on it",
            "tradekit restore BACKUP, then tradekit reconcile",
        )
    return PaperBroker(
        path,
        bars=desk.market,
        clock=desk.clock,
        calendar=desk.calendar,
        settings=desk.settings.paper,
        currency=desk.settings.desk.currency,
        tick=desk.settings.market.tick,
        ticks=desk.settings.market.ticks,
        half_spread_of=half_spread_of(desk.settings, desk.universe),
        exit_interval_s=desk.settings.exits.interval_s,
        synchronous=desk.store.synchronous,
        create=True,
        lot=desk.settings.market.lot,
        account_id=f"paper-{desk.id[:8]}",
    )


def open_http(desk: Desk) -> Broker:
    """The venue behind `http.base_url`. Raises ConfigError, AuthError."""
    from tradekit.base.net import Deadlines, Http
    from tradekit.base.ratelimit import RateLimit
    from tradekit.base.secrets import secret
    from tradekit.brokers.http import HttpBroker

    said, name = desk.settings.http, desk.settings.http.secret
    limit = RateLimit(
        desk.account_dir / "limits.db",
        "http",
        per_minute=said.rate_per_minute,
        burst=said.burst,
        reserve=said.reserve,
    )
    link = Http(
        said.base_url,
        name="http",
        deadlines=Deadlines(said.connect_s, said.read_s, said.total_s),
        token=None if name is None else lambda refresh: secret(name).value,
        limit=limit,
        headers=lambda: {"venue-time": iso(desk.clock.now())} if desk.clock.leads_venue else {},
        unreadable=desk.path / "logs" / "unreadable",
        retries=said.retries,
    )
    return HttpBroker(
        link,
        account_id=said.account,
        client_ids=said.client_ids,
        settle_s=said.settle_s,
        grace_s=said.grace_s,
        urgent=lambda: desk.run is not None and desk.run.command in CLOSING,
    )


def fees_of(desk: Desk, side: Side, qty: Decimal, price: Decimal) -> Decimal:
    """What an order that takes is expected to cost today in fees, in the desk's currency.

    The venue's own rate, where it says one, with the dated table of desk.yaml (docs/paper.md): regulatory fees are the
    same at every venue.
    """
    from tradekit.brokers.paper.fees import Done, fee_table
    from tradekit.desk.state import taker_fee

    table = fee_table(desk.settings.paper, desk.settings.desk.currency, desk.calendar.around_the_clock)
    day = desk.calendar.day(desk.clock.now())
    return replace(table, taker=dec(taker_fee(desk))).of_fill(day, side, Done(), qty, price, maker=False)


VENUES: dict[str, Callable[[Desk], Broker]] = {"paper": open_paper, "http": open_http}


def account_dir(venue: str, settings: Settings) -> Path:
    """Where the desks of one account meet: submit lock, rate limit. The paper account is one desk's own."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    facts = f"{settings.http.base_url}|{settings.http.account or settings.http.secret or ''}"
    folder = base / "tradekit" / "accounts" / f"{venue}-{blake2s(facts.encode()).hexdigest()[:12]}"
    private_folder(folder)
    return folder


def store_mode(path: Path) -> str:
    """synchronous=FULL, and OFF for a replay, which can be made again."""
    return "OFF" if (path / MARKER).exists() else "FULL"


class LazyStrategies(Mapping[str, "Strategy"]):
    """Strategies by name, built when asked for: numpy is loaded by those who scan."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._built: dict[str, Strategy] = {}

    def __getitem__(self, name: str) -> "Strategy":
        if name not in self._built:
            from tradekit.strategies import build as build_strategy

            self._built[name] = build_strategy(
                name, self._settings.strategies.get(name, {}), self._settings.strategy_defaults()
            )
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        from tradekit.strategies import BUILT_IN

        return iter(BUILT_IN)

    def __len__(self) -> int:
        from tradekit.strategies import BUILT_IN

        return len(BUILT_IN)


@contextmanager
def running(desk: Desk, command: str, argv: str = "") -> Iterator[Run]:
    """The job lock and the run row around a command; the row is closed whatever happens inside."""
    with job_lock(desk.path, command), recorded_run(desk, command, argv) as run:
        yield run


def job_lock(path: Path, command: str) -> Lock:
    """The lock that makes a command the only one of its name on a desk; a second copy raises Busy at once."""
    return Lock(path / "locks" / f"{command.replace(' ', '-')}.lock", what=command)


@contextmanager
def recorded_run(desk: Desk, command: str, argv: str = "") -> Iterator[Run]:
    """The run row around a command that holds its job lock."""
    with handled():
        run: Run | None = None
        code: int = 1
        try:
            with shielded():  # a signal finds a row that will be closed, or none
                run = _start(desk, command, argv)
            warn_of_logins(desk)
            yield run
            code = 0
        except TradekitError as error:
            code = error.code
            raise
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            raise
        finally:
            if run is not None:
                with shielded(), _unless_told(code), last_words(desk, command):
                    desk.store.runs.finish(run.id, desk.clock.now(), code, dict(desk.counts))
            desk.run = None


@contextmanager
def _unless_told(code: int) -> Iterator[None]:
    """What ended the command says more than that its row stays open: a store that failed twice, a lock at the end."""
    try:
        yield
    except StoreError:
        if code != StoreError.code:
            raise
    except Busy:
        if not code:
            raise


def _start(desk: Desk, command: str, argv: str) -> Run:
    now = desk.clock.now()
    if os.environ.get(VARIABLE):
        check_crash_point(desk)
    with desk.store.transaction():
        for dead in desk.store.runs.unfinished():
            if dead.command != command:
                continue
            desk.store.runs.finish(dead.id, now, 137, dead.counts)
            alert(
                desk,
                "run-died",
                f"{dead.command}, started at {dead.started_at:%H:%M:%S}Z, never ended",
                ref=dead.id,
            )
        run = desk.store.runs.start(
            Run(
                id=run_id(command, now),
                command=command,
                argv=argv,
                started_at=now,
                clock=desk.clock.name,
                code_version=desk.code_version,
                settings_hash=desk.settings_hash,
            )
        )
    crash_point("run_row_open")
    desk.run, desk.events, desk.counts = run, [], {}
    return run


@contextmanager
def _on_a_copy(desk: Desk, at: datetime | None = None, command: str = "") -> Iterator[None]:
    """Point the desk at a throw-away copy of its store, a venue that accepts nothing and, where asked, a past time.

    At a past time the books are of then too. UsageError for a command that needs more of them than can be known.
    """
    from tradekit.base.unfinished import scratch_folder

    if at is not None and command not in LOOKS_BACK:
        _check_unchanged(desk, command, at)
    real, clock = desk.store, desk.clock
    desk.clock = clock if at is None else ManualClock(at)
    with scratch_folder("tradekit-dry-") as folder:
        copy = folder / "desk.db"
        target = sqlite3.connect(copy)
        real.db.backup(target)
        target.close()
        desk.store = books = open_store(copy, synchronous="OFF")
        if at is not None and command in LOOKS_BACK:
            from tradekit.store.as_of import AsOf, forget_later

            forget_later(books, at)
            desk.store = cast(Store, AsOf(books, at))
        inner = desk.open_broker
        desk.open_broker = lambda d: DryBroker(inner(d), d.clock)
        desk.dry_run = True
        try:
            yield
        finally:
            books.close()
            desk.store, desk.dry_run, desk.open_broker, desk.clock = real, False, inner, clock
            desk.__dict__.pop("broker", None)
