"""tradekit jobs snapshot, outcomes, track, cleanup"""

from typing import Annotated

import typer

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; send and write nothing.")]


def snapshot(
    ctx: typer.Context,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="A past session, from books and bars.")
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="Every past session without a row.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Write the day's row: equity, cash, exposure, P&L, trades, the benchmark's close and return.

    Safe to run twice: one row a session.
    """
    from tradekit.commands._output import show
    from tradekit.desk.jobs import snapshot
    from tradekit.desk.open import open_desk
    from tradekit.desk.performance import SnapshotOptions
    from tradekit.model import Performance

    columns = ("session", "desk_equity", "cash", "exposure", "positions", "pnl", "pnl_pct", "trades", "wins",
               "drawdown", "benchmark_close", "benchmark_return", "rebuilt")  # fmt: skip
    with open_desk(ctx.obj, command="jobs snapshot", dry_run=dry_run) as desk:
        found = snapshot(desk, SnapshotOptions(session, missing))
        show(found, ctx.obj.format, empty="no session is missing", columns=columns, dry_run=dry_run, of=Performance)


def outcomes(
    ctx: typer.Context,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="Only the candidates of this session.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """What became of every candidate, traded or not: returns after 1, 3, 5, 10 sessions, best gain, drawdown.

    Safe to run twice: what is known stays, what has come since is added.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.outcomes import Outcome, OutcomesOptions, outcomes

    with open_desk(ctx.obj, command="jobs outcomes", dry_run=dry_run) as desk:
        found = outcomes(desk, OutcomesOptions(session))
        show(found, ctx.obj.format, empty="no candidates", dry_run=dry_run, of=Outcome)


def track(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Look at open positions: reversal score (0-13), best and worst price; and whether the market is dead.

    Safe to run twice: a position is scored once in half an hour.
    """
    from tradekit.commands._output import show
    from tradekit.desk.jobs import track
    from tradekit.desk.open import open_desk
    from tradekit.model import Mark

    with open_desk(ctx.obj, command="jobs track", dry_run=dry_run) as desk:
        show(track(desk), ctx.obj.format, empty="nothing to track", dry_run=dry_run, of=Mark)


def cleanup(
    ctx: typer.Context,
    keep: Annotated[str, typer.Option(metavar="DAYS", help="Keep what is younger: 90d, 12w.")] = "90d",
    dry_run: DryRun = False,
) -> None:
    """Remove old position checks, run rows, sent notices and features of untraded candidates, after a backup.

    Safe to run twice. Orders, fills, trades, decisions, adjustments and daily rows are never touched.
    """
    from tradekit.commands._output import show
    from tradekit.desk.cleanup import CleanupOptions, cleanup
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="jobs cleanup", dry_run=dry_run) as desk:
        show(cleanup(desk, CleanupOptions(keep)), ctx.obj.format, dry_run=dry_run)
