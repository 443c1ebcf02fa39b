"""tradekit report tearsheet"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from tradekit.config import Settings
    from tradekit.model import Trade
    from tradekit.reports.tearsheet import Walk
    from tradekit.store import Store


def tearsheet(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The HTML file.")],
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    paths: Annotated[int, typer.Option(min=0, help="Newest trades whose price path is drawn.")] = 300,
) -> None:
    """One HTML file with everything: equity, drawdown, months, exits, excursions, funnel, trades with their paths.

    Opens offline on a phone and a desktop, light and dark. With --strategy or --symbol: trades only. Reads the books.
    """
    from zoneinfo import ZoneInfo

    from tradekit.base.files import write_text
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import say, show
    from tradekit.commands._reporting import asked, trades_of
    from tradekit.desk.open import desk_clock
    from tradekit.reports.exits import exits_report
    from tradekit.reports.performance import windows
    from tradekit.reports.tearsheet import Sheet
    from tradekit.reports.tearsheet import tearsheet as page
    from tradekit.store.trades import tallies

    found = asked(session, since, until, strategy, symbol)
    settings = read_settings(ctx.obj).settings
    with read_copy(ctx.obj) as store:
        trades = trades_of(store, found)
        groups = tallies(store.db, ("reason",), **found._asdict())
        whole = found.strategy is None and found.symbol is None
        days = store.days.between(found.first, found.last) if whole else []
        sheet = Sheet(
            title=settings.desk.name,
            currency=settings.desk.currency,
            zone=ZoneInfo(settings.desk.timezone),
            made_at=desk_clock(store.meta.get("clock_at")).now(),
            days=days,
            trades=trades,
            windows=windows(days, periods=365 if settings.desk.calendar == "24/7" else 252) if whole else [],
            exits=exits_report(groups),
            tallies=groups,
            funnel=_funnel(store, settings, found),
            walks=_walks(ctx.obj, store, settings, trades[-paths:] if paths else []),
        )
    text = page(sheet)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    if ctx.obj.format == "table":
        say(f"{out}: {len(text.encode()) / 1000:,.0f} KB, {len(trades)} trades, {len(sheet.walks)} with their path")
    else:
        show({"path": str(out), "bytes": len(text.encode()), "trades": len(trades)}, ctx.obj.format)


def _funnel(store: "Store", settings: "Settings", found: Any) -> Any:
    """The funnel of the newest 60 sessions: older candidates may have been cleaned."""
    from tradekit.commands.report import funnel_of

    days = sorted({scan.session for scan in store.scans.all() if found.holds(scan.session)})[-60:]
    return funnel_of(store, days, settings, found.strategy, found.symbol).lines if days else []


def _walks(context: Any, store: "Store", settings: "Settings", trades: "list[Trade]") -> "dict[str, Walk]":
    """The bars of each trade's time: its session, or for longer ones from its entry to its exit."""
    import msgspec

    from tradekit.commands._reporting import eyes
    from tradekit.exits.base import Bar
    from tradekit.model import ExitPlan
    from tradekit.reports.tearsheet import Walk

    if not trades:
        return {}
    desk = eyes(context, store, min(trade.session for trade in trades))
    found = {}
    for trade in trades:
        day = desk.calendar.day(trade.entry_at)
        session = desk.calendar.on(day)
        position = store.positions.get(trade.id)
        if session is None or position is None or trade.side != "long":
            continue
        until = max(session.close, trade.exit_at)
        bars = [Bar(*bar) for bar in desk.market.regular(trade.symbol, session.open, until)]
        if bars:
            plan = msgspec.convert(position.plan, ExitPlan, strict=False)
            found[trade.id] = Walk(bars, plan, float(settings.market.tick), session.close)
    return found
