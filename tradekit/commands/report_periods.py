"""tradekit report weekly, monthly"""

from typing import TYPE_CHECKING, Literal

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)

if TYPE_CHECKING:
    from tradekit.reports.periods import Period


def weekly(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Week by week: trades, net, return against the benchmark, drawdown, equity at the end.

    --session: the week of that day. Returns are the whole desk's, so they are left out with --strategy or --symbol.
    """
    _show(ctx, "week", session, since, until, strategy, symbol)


def monthly(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Month by month, its weeks first; a week over a month's edge is split, so that they add up.

    --session: the month of that day. Reads only.
    """
    _show(ctx, "month", session, since, until, strategy, symbol)


def _show(
    ctx: typer.Context,
    kind: Literal["week", "month"],
    session: str | None,
    since: str | None,
    until: str | None,
    strategy: str | None,
    symbol: str | None,
) -> None:
    from datetime import timedelta

    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.commands._reporting import asked
    from tradekit.reports.periods import Period, periods, week_of
    from tradekit.store.trades import tallies

    found = asked(session, since, until, strategy, symbol)
    if session and found.first:
        first, last = week_of(found.first)
        if kind == "month":
            first = found.first.replace(day=1)
            last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        found = found._replace(first=first, last=last)
    currency = read_settings(ctx.obj).settings.desk.currency
    with read_copy(ctx.obj) as store:
        groups = tallies(store.db, ("session",), **found._asdict())
        whole = found.strategy is None and found.symbol is None
        days = store.days.between(found.first, found.last) if whole else []
    rows = periods(kind, groups, days, with_weeks=kind == "month")
    if ctx.obj.format != "table" or not rows:
        show(rows, ctx.obj.format, empty="no trades and no daily rows", of=Period)
        return
    _table(rows, currency)


def _table(rows: "list[Period]", currency: str) -> None:
    from tradekit.commands._pictures import bar, percent, pictured, rich_print, rounded

    largest = max(abs(row.net) for row in rows)
    table = [
        {
            "period": row.period if row.kind == rows[-1].kind else f"  {row.period}", "first": row.first,
            "last": row.last, "sessions": row.sessions, "trades": row.trades, "won": row.wins, "lost": row.losses,
            "win %": percent(row.win_rate, 0), f"net {currency}": rounded(row.net), " ": bar(row.net, largest),
            f"fees {currency}": rounded(row.fees), "R": rounded(row.average_r), "return %": percent(row.return_pct),
            "benchmark %": percent(row.benchmark_return), "drawdown %": percent(row.max_drawdown),
            f"equity {currency}": rounded(row.equity),
        }
        for row in rows
    ]  # fmt: skip
    rich_print(pictured(table))
