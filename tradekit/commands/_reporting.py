"""What the reports share: which sessions, strategy and symbol were asked for, and the records of those."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tradekit.commands._context import reading
from tradekit.commands._filters import a_date
from tradekit.errors import UsageError

if TYPE_CHECKING:
    from tradekit.desk.desk import Desk
    from tradekit.model import Trade
    from tradekit.store import Store

SessionOption = Annotated[str | None, typer.Option("--session", metavar="DATE", help="Only this exchange date.")]
SinceOption = Annotated[str | None, typer.Option("--since", metavar="DATE", help="From this session on.")]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="DATE", help="Up to this session, included.")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", metavar="NAME", help="Only this strategy.")]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")]


class Asked(NamedTuple):
    """What a report is about: sessions from `first` to `last`, both included; None leaves an end open."""

    first: date | None = None
    last: date | None = None
    strategy: str | None = None
    symbol: str | None = None

    def holds(self, session: date) -> bool:
        """Is a session among those that were asked for?"""
        return (self.first is None or session >= self.first) and (self.last is None or session <= self.last)


def asked(
    session: str | None = None,
    since: str | None = None,
    until: str | None = None,
    strategy: str | None = None,
    symbol: str | None = None,
) -> Asked:
    """The options as dates; UsageError for contradictions."""
    if session and (since or until):
        raise UsageError("--session with --since or --until", "give one session or a range")
    first = a_date(since, "--since") if since else None
    last = a_date(until, "--until") if until else None
    if session:
        first = last = a_date(session, "--session")
    if first and last and last < first:
        raise UsageError(f"--until {last} is before --since {first}", f"--since {last} --until {first}")
    return Asked(first, last, strategy, symbol.strip().upper() if symbol else None)


@contextmanager
def read_copy(context: Any, at: datetime | None = None) -> "Iterator[Store]":
    """The desk's store on a private copy, for reads that are not a page: no commit of the desk waits for them.

    `at`: as it was then. Raises ConfigError (no desk) or StoreError.
    """
    from tradekit.store.copies import open_copy

    with reading(open_copy(context.here / "desk.db"), at) as store:
        yield store


def trades_of(store: "Store", found: Asked) -> "list[Trade]":
    """Closed trades of a question, oldest first."""
    if found.first is not None and found.first == found.last:
        rows: Sequence[Trade] = store.trades.all(session=found.first, symbol=found.symbol)
    else:
        rows = [t for t in store.trades.all(symbol=found.symbol) if found.holds(t.session)]
    return [t for t in rows if found.strategy is None or t.strategy == found.strategy]


def eyes(context: Any, store: "Store", since: date | None = None) -> "Desk":
    """A desk that is only looked through: its market, calendar and clock over a store that is open for reading.

    `since`: a session that its calendar must reach back to.
    """
    from tradekit.desk.open import build

    return build(context.here, store, since=since)


def times(first: datetime | None, last: datetime | None) -> dict[str, Any]:
    """Keyword arguments for a table's `all`."""
    return {name: at for name, at in (("since", first), ("until", last)) if at is not None}
