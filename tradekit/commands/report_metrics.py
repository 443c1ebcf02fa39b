"""tradekit report metrics"""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import typer

from tradekit.commands._reporting import (
    Asked,
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)

if TYPE_CHECKING:
    from tradekit.config import Settings
    from tradekit.model import Performance
    from tradekit.reports.performance import Holding, Slice, Window
    from tradekit.store import Store

MOST = 5000  # trades whose holding times are looked up in the benchmark's bars


def metrics(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Since inception and over 7, 30, 90 days against the benchmark; trades by strategy, regime, hour and more.

    Too little data is said so (null, with n). With --strategy or --symbol: trades only. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.commands._reporting import asked
    from tradekit.reports.performance import KEYS, Slice, slices, windows
    from tradekit.store.trades import tallies

    found = asked(session, since, until, strategy, symbol)
    settings = read_settings(ctx.obj).settings
    with read_copy(ctx.obj) as store:
        groups = tallies(store.db, KEYS, **found._asdict())
        whole = found.strategy is None and found.symbol is None
        days = store.days.between(found.first, found.last) if whole else []
        sessions = _sessions(store, days, settings)
        beside = _holding(ctx.obj, store, settings, found)
    year = 365 if settings.desk.calendar == "24/7" else 252
    parts: list[Any] = windows(days, sessions, periods=year) if whole else []
    sorts = slices(groups, ZoneInfo(settings.desk.timezone))
    if ctx.obj.format == "table":
        _print(parts, sorts, beside, days, settings.desk.currency)
    else:
        show([*parts, *([beside] if beside else []), *sorts], ctx.obj.format, of=Slice)


def _sessions(store: "Store", days: "list[Performance]", settings: "Settings") -> list[date]:
    if not days:
        return []
    first, last = days[0].session, days[-1].session
    if settings.desk.calendar == "24/7":
        from datetime import timedelta

        return [first + timedelta(days=i) for i in range((last - first).days + 1)]
    return [session.day for session in store.sessions.load(first, last)]


def _holding(context: Any, store: "Store", settings: "Settings", found: Asked) -> "Holding | None":
    """Each trade beside the benchmark over the same minutes; None where there are too many, or no benchmark."""
    from tradekit.reports.performance import holding
    from tradekit.store.trades import returns

    benchmark = settings.desk.benchmark
    if benchmark is None or store.trades.count() > MOST:
        return None
    rows = returns(store.db, **found._asdict())
    if not rows:
        return None
    from tradekit.commands._reporting import eyes

    market = eyes(context, store, date.fromisoformat(min(row[2] for row in rows)[:10])).market

    def price(at: datetime) -> float | None:
        bar = market.last(benchmark, at)
        return bar.close if bar and (at - bar.end).total_seconds() <= 3600 else None

    pairs = []
    for _, _, entry, exit_, ours, _ in rows:
        before, after = price(datetime.fromisoformat(entry)), price(datetime.fromisoformat(exit_))
        pairs.append((ours, after / before - 1 if before and after else None))
    return holding(pairs, benchmark)


def _print(
    parts: "list[Window]",
    sorts: "list[Slice]",
    beside: "Holding | None",
    days: "list[Performance]",
    currency: str,
) -> None:
    from tradekit.commands._output import as_table
    from tradekit.commands._pictures import (
        bar,
        drawn,
        minutes,
        percent,
        pictured,
        rich_print,
        rounded,
        sparkline,
        thinned,
    )

    if parts:
        print(
            as_table(
                [
                    {
                        "window": w.window, "n": w.n, "gaps": w.gaps, "return %": percent(w.total_return),
                        f"{w.benchmark or 'benchmark'} %": percent(w.benchmark_return),
                        "a year %": percent(w.annual_return), "volatility %": percent(w.volatility),
                        "sharpe": rounded(w.sharpe), "sortino": rounded(w.sortino),
                        "drawdown %": percent(w.max_drawdown), "beta": rounded(w.beta), "alpha %": percent(w.alpha),
                        "exposure %": percent(w.exposure), "note": w.note,
                    }
                    for w in parts
                ]
            ),
            end="",
        )  # fmt: skip
        equity = [None if row.desk_equity is None else float(row.desk_equity) for row in days]
        if equity and drawn():
            rich_print(f"equity    {sparkline(thinned(equity))}\n")
            fallen = [None if row.drawdown is None else -row.drawdown for row in days]
            rich_print(f"drawdown  {sparkline(thinned(fallen))}\n")
        print()
    if beside is not None:
        ours, theirs = percent(beside.average_return, 3), percent(beside.benchmark_average_return, 3)
        note = f" ({beside.note})" if beside.note else ""
        print(f"{beside.by}: {ours} % a trade, {theirs} % the benchmark, {percent(beside.beat, 0)} % of "
              f"{beside.known} trades did better{note}\n")  # fmt: skip
    if not sorts:
        print("no closed trades")
        return
    largest = max(abs(row.net) for row in sorts)
    rich_print(
        pictured(
            [
                {
                    "by": row.by, "key": row.key, "trades": row.trades, "win %": percent(row.win_rate, 0),
                    "95 %": f"{percent(row.win_rate_low, 0):g}-{percent(row.win_rate_high, 0):g}",
                    f"net {currency}": rounded(row.net), " ": bar(row.net, largest), "a trade": rounded(row.expectancy),
                    "profit factor": rounded(row.profit_factor), "R": rounded(row.average_r),
                    "held min": minutes(row.average_hold_s), "t": rounded(row.t_statistic), "note": row.note,
                }
                for row in sorts
            ]
        ),
    )  # fmt: skip
