"""scan: the universe as it is seen now -> candidates, all of them stored with their reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.errors import UsageError
from tradekit.ids import scan_id
from tradekit.model import Candidate, MarketSnapshot, Scan
from tradekit.money import dec
from tradekit.scan.rank import rank

if TYPE_CHECKING:
    from tradekit.strategies.base import Panel, Signals, Strategy

RESCAN = "rescan"  # its candidates are for a human to approve, whoever decides on them
TYPES = ("open", "midday", "close", RESCAN)
CAPS = ("large", "mid", "small")
LEVERAGED = frozenset({"leveraged", "inverse"})


@dataclass(frozen=True)
class ScanOptions:
    """`strategy` and `cap` None: those of desk.yaml, and all. `type` says which scan of the day this is."""

    strategy: str | None = None
    cap: str | None = None
    type: str = "open"


def scan(desk: Desk, options: ScanOptions) -> list[Candidate]:
    """Candidates that passed, best first, of one scan per strategy.

    A scan is one per strategy, cap, type and minute: a repeat gives the stored candidates and writes nothing. Outside
    a session's date there is nothing to scan. Raises UsageError or ConfigError for a word that nobody knows.
    """
    check(desk, options)
    strategies = chosen(desk, options)
    today = desk.calendar.day(desk.clock.now())
    if desk.calendar.on(today) is None:
        desk.say(f"{today} is no session: nothing to scan")
        return []
    return [candidate for strategy in strategies for candidate in scan_one(desk, strategy, options)]


def chosen(desk: Desk, options: ScanOptions) -> "list[Strategy]":
    """The named strategy, else desk.yaml's; one that buys on the open is left out once the market is open."""
    if options.strategy:
        return [desk.strategies[options.strategy]]
    is_open = desk.calendar.at(desk.clock.now()) is not None
    found = [desk.strategies[name] for name in desk.settings.scan.strategies]
    return [one for one in found if not (is_open and getattr(one, "order_kind", "limit") == "moo")]


def check(desk: Desk, options: ScanOptions) -> None:
    """Refuse a type or cap class that neither tradekit nor the desk's files know."""
    types = sorted({*TYPES, *desk.settings.scan.buy_types})
    caps = sorted({*CAPS, *(entry.cap for entry in desk.universe.values() if entry.cap)})
    for word, given, known in (("--type", options.type, types), ("--cap", options.cap, caps)):
        if given is not None and given not in known:
            near = get_close_matches(given, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"one of: {', '.join(known)}"
            raise UsageError(f"scan {word} {given} is not known", hint)


def scan_one(desk: Desk, strategy: "Strategy", options: ScanOptions) -> list[Candidate]:
    """One strategy over the universe; the stored candidates where this minute's scan was made already."""
    at = desk.clock.now()
    name = scan_id(at, strategy.name, options.type, options.cap)
    known = desk.store.scans.get(name)
    if known is not None:
        return stored(desk, known)
    day = desk.calendar.day(at)
    symbols, excluded = scanned_symbols(desk, at, day, options.cap)
    panel = desk.market.panel(symbols, at, strategy.lookback, day)
    panel = replace(panel, caps=tuple(desk.cap(symbol) for symbol in symbols), first=len(panel.time) - 1)
    found = judged(desk, panel, strategy.signals(panel), name, strategy.name)
    settings = desk.settings
    context = desk.market.context(settings.desk.benchmark, symbols, at, day, panel, band=settings.regime.band)
    return written(desk, name, strategy.name, options, found, context, excluded)


def stored(desk: Desk, scan: Scan) -> list[Candidate]:
    """The candidates that a scan found when it was made."""
    found = desk.store.candidates.of_scan(scan.id, rejected=False)
    others = (desk.store.candidates.get(name) for name in scan.context.get("also", []))
    return sorted([*found, *(candidate for candidate in others if candidate)], key=rank)


def scanned_symbols(desk: Desk, at: datetime, day: date, cap: str | None) -> tuple[list[str], int]:
    """(the symbols to scan, how many leveraged funds were left out).

    Those of universe.yaml on that day, or where it lists none, everything with bars but the benchmark.
    """
    if desk.universe:
        on = day.isoformat()
        listed = [
            entry.symbol for entry in desk.universe.values()
            if (entry.since is None or entry.since <= on) and (entry.until is None or on <= entry.until)
        ]  # fmt: skip
    else:
        listed = [symbol for symbol in desk.market.symbols(at) if symbol != desk.settings.desk.benchmark]
    wanted = sorted(symbol for symbol in listed if cap is None or desk.cap(symbol) == cap)
    kept = [symbol for symbol in wanted if desk.settings.scan.allow_leveraged or not is_leveraged(desk, symbol)]
    return kept, len(wanted) - len(kept)


def is_leveraged(desk: Desk, symbol: str) -> bool:
    """Does universe.yaml call it a leveraged or inverse fund?"""
    entry = desk.universe.get(symbol)
    return entry is not None and entry.kind in LEVERAGED


def judged(desk: Desk, panel: "Panel", signals: "Signals", name: str, strategy: str) -> list[Candidate]:
    """Every symbol's candidate, with the desk's own vetoes on those that passed."""
    from tradekit.scan.candidates import Head, candidates, passing

    vetoes = desk_vetoes(desk, panel.time[-1]) | ex_split(panel, passing(panel, signals))
    head = Head(scan_id=name, session=panel.time[-1], at=panel.at, strategy=strategy)
    return candidates(panel, signals, head, vetoes)


def desk_vetoes(desk: Desk, day: date) -> dict[str, str]:
    """What the desk may not buy again today, and why: no re-entry while it is held, working or was closed."""
    found: dict[str, str] = {}
    if desk.settings.risk.closed_today:
        found |= {trade.symbol: "closed-today" for trade in desk.store.trades.closed_on(day)}
    found |= {order.symbol: "entry-working" for order in desk.store.orders.live() if order.purpose == "entry"}
    return found | {position.symbol: "held" for position in desk.store.positions.open()}


def ex_split(panel: "Panel", symbols: Sequence[str]) -> dict[str, str]:
    """Symbols that opened at a split ratio to yesterday's close: their history is not adjusted."""
    from tradekit.market.market import looks_split

    if len(panel.time) < 2:
        return {}
    at = {symbol: i for i, symbol in enumerate(panel.symbols)}
    pairs = (
        (symbol, float(panel.close[-2, at[symbol]]), float(panel.today.open[-1, at[symbol]])) for symbol in symbols
    )
    return {symbol: "ex-split" for symbol, old, new in pairs if old > 0 and new > 0 and looks_split(old, new)}


def written(
    desk: Desk,
    name: str,
    strategy: str,
    options: ScanOptions,
    found: Sequence[Candidate],
    context: dict[str, Any],
    excluded: int,
) -> list[Candidate]:
    """Scan, candidates and market snapshot in one transaction; the candidates that passed."""
    from tradekit.scan.candidates import counts

    at = desk.clock.now()
    passed = [candidate for candidate in found if candidate.passed]
    # another scan of this minute (another type or cap) may have written the same candidate: it stays as it is
    twins = [other for other in desk.store.scans.all(since=at - timedelta(minutes=1)) if other.strategy == strategy]
    also = [candidate.id for candidate in passed if twins and desk.store.candidates.get(candidate.id)]
    numbers = counts(found) | ({"excluded": excluded} if excluded else {})
    row = Scan(
        id=name,
        session=desk.calendar.day(at),
        at=at,
        strategy=strategy,
        cap=options.cap,
        type=options.type,
        counts=numbers,
        context=context | ({"also": also} if also else {}),
    )
    with desk.store.transaction(low=True):
        desk.store.scans.add(row)
        desk.store.candidates.add_many(found)
        if context["benchmark"]:
            desk.store.snapshots.add(snapshot(at, context))
        event(desk, "scan.done", ref=name, counts=numbers)
    desk.count("scanned", len(found))
    desk.count("passed", len(passed))
    return stored(desk, row) if also else passed


def snapshot(at: datetime, context: dict[str, Any]) -> MarketSnapshot:
    """The market context as the row that rules and reports read."""
    price = context["price"]
    return MarketSnapshot(at=at, **(context | {"price": None if price is None else dec(price)}))
