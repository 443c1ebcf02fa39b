"""tradekit jobs snapshot, jobs track"""

from typing import Annotated

import typer


def snapshot(
    ctx: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Write the day's account row: equity, cash, exposure, P&L in the quote currency.

    Safe to run twice: one row a session.
    """
    from tradekit.commands._output import show
    from tradekit.desk.jobs import snapshot
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="jobs snapshot", dry_run=dry_run) as desk:
        show(snapshot(desk), ctx.obj.format, dry_run=dry_run)


def track(
    ctx: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Score open positions for a reversal (0-13) and look whether the market is dead.

    Safe to run twice: a position is scored once in half an hour.
    """
    from tradekit.commands._output import show
    from tradekit.desk.jobs import track
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="jobs track", dry_run=dry_run) as desk:
        show(track(desk), ctx.obj.format, empty="nothing to track", dry_run=dry_run)
