"""tradekit report equity"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradekit.commands._reporting import SinceOption, UntilOption

if TYPE_CHECKING:
    from tradekit.model import Performance
    from tradekit.reports.picture import EquityDay

COLUMNS = ("session", "desk_equity", "pnl", "pnl_pct", "drawdown", "exposure_pct", "benchmark_return")


def equity(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Draw it: a PNG of equity and drawdown.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Session by session: equity, P&L, drawdown, the benchmark; money in the desk's currency, fractions.

    With --out also a picture (pip install 'tradekit[bot]'), from two sessions on. Reads the books only.
    """
    from tradekit.base.files import write_bytes
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import say, show
    from tradekit.commands._reporting import asked
    from tradekit.model import Performance
    from tradekit.reports.picture import equity_picture

    found, desk = asked(None, since, until), read_settings(ctx.obj).settings.desk
    with read_store(ctx.obj) as store:
        days = store.days.between(found.first, found.last)
    known = [day for day in days if day.desk_equity is not None]
    if out is not None and len(known) > 1:
        png = equity_picture(points(days), title=desk.name, currency=desk.currency, benchmark=days[-1].benchmark)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out, png)
        say(f"{out}: {len(png) / 1000:,.0f} KB, {len(days)} sessions")
    elif out is not None:
        say(f"no picture: {len(known)} sessions with an equity, and two are the least (tradekit jobs snapshot)")
    show(
        days, ctx.obj.format, empty="no session has a row yet: tradekit jobs snapshot", columns=COLUMNS, of=Performance
    )


def points(days: "Sequence[Performance]") -> "list[EquityDay]":
    """What is drawn; the benchmark's returns multiplied up, from 0 at the first session, until one is unknown."""
    from tradekit.reports.picture import EquityDay

    found: list[EquityDay] = []
    level: float | None = 1.0
    for n, day in enumerate(days):
        if n and level is not None:
            level = None if day.benchmark_return is None else level * (1 + day.benchmark_return)
        shown = None if day.benchmark is None or level is None else level - 1
        equity = None if day.desk_equity is None else float(day.desk_equity)
        found.append(EquityDay(day.session, equity, day.drawdown, shown))
    return found
