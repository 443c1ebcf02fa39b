"""The options that the looking commands share, and what a user typed turned into dates and times."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradekit.clock import parse_time
from tradekit.errors import UsageError

if TYPE_CHECKING:
    from tradekit.commands._context import Context
    from tradekit.store import Store

SessionOption = Annotated[str | None, typer.Option("--session", help="Only this exchange date, 2026-02-13.")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]
SinceOption = Annotated[str | None, typer.Option("--since", help="From this time (UTC) or date on.")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before this time (UTC), or to the end of this date.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Only the newest N.")]
AtOption = Annotated[str | None, typer.Option("--at", help="As the books were at this time (UTC).")]
DryAtOption = Annotated[
    str | None, typer.Option("--at", help="With --dry-run: on the prices, clock and books of this time (UTC).")
]


def filters(
    *,
    session: str | None = None,
    symbol: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    at: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments for a table's `all`, without those that nobody asked for. Raises UsageError."""
    found = {
        "session": None if session is None else a_date(session, "--session"),
        "symbol": None if symbol is None else symbol.strip().upper(),
        "since": None if since is None else a_time(since, "--since"),
        "until": None if until is None else a_time(until, "--until", end=True),
        "limit": limit,
        "as_of": None if at is None else a_time(at, "--at", end=True),
    }
    return {name: value for name, value in found.items() if value is not None}


def then(at: str | None) -> datetime | None:
    """What --at says, as read_store and open_desk take it; None: now."""
    return None if at is None else a_time(at, "--at", end=True)


def named_well(context: "Context", store: "Store", symbol: str | None, found: Sequence[object]) -> None:
    """UsageError where nothing was found because the symbol looks mistyped: near to one of the books, known nowhere.

    A symbol that is like none of the books', or that universe.yaml or the bars name, is merely absent.
    """
    if found or symbol is None:
        return
    from difflib import get_close_matches

    word, known = symbol.strip().upper(), store.symbols()
    near = [] if word in known else get_close_matches(word, sorted(known), n=3, cutoff=0.7)
    if near and not _is_known_elsewhere(context, store, word):
        raise UsageError(f"--symbol {word}: the books do not know it", f"did you mean {', '.join(near)}?")


def _is_known_elsewhere(context: "Context", store: "Store", word: str) -> bool:
    from tradekit.base.universe_file import load_universe
    from tradekit.errors import TradekitError
    from tradekit.market.bars import BarStore

    bars = context.here / (store.meta.get("bars") or "bars.db")
    try:
        if word in load_universe(context.here):
            return True
        if not bars.is_file():
            return False
        with BarStore(bars) as market:
            return word in market.axis()
    except TradekitError:
        return False  # a read of the books needs neither


def a_date(text: str, option: str) -> date:
    """An ISO date; UsageError names the option."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{option} {text}: not a date", f"{option} 2026-02-13") from None


def a_time(text: str, option: str, *, end: bool = False) -> datetime:
    """An ISO time, UTC unless it says otherwise; a bare date is its beginning or `end`. UsageError names the option."""
    try:
        if len(text.strip()) == 10:
            day = date.fromisoformat(text.strip())
            return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=int(end))
        return parse_time(text)
    except ValueError:
        raise UsageError(f"{option} {text}: not a time", f"{option} 2026-02-13T15:00:00Z") from None
