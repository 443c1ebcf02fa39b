"""tradekit monitor-exits"""

from typing import Annotated

import typer

from tradekit.commands._filters import DryAtOption, then


def monitor_exits(
    ctx: typer.Context,
    every: Annotated[
        str | None,
        typer.Option(help="Keep going: a pass every 10s, 1m ... until interrupted."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
    at: DryAtOption = None,
) -> None:
    """Check every managed position against the exit rules and sell what they say.

    Safe to run every minute: a position whose sell order is working is left alone.
    """
    from tradekit.commands._options import seconds
    from tradekit.commands._output import show
    from tradekit.desk.monitor_exits import keep_monitoring, monitor_exits
    from tradekit.desk.open import open_desk
    from tradekit.errors import Findings
    from tradekit.model import Order

    pause = None if every is None else seconds(every, "--every")
    endless = pause is not None
    with open_desk(ctx.obj, command="monitor-exits", dry_run=dry_run, at=then(at), endless=endless) as desk:
        if pause is None:
            show(monitor_exits(desk), ctx.obj.format, empty="no exits", dry_run=dry_run, of=Order)
            if desk.counts.get("failed"):
                raise Findings("some positions could not be worked on", "tradekit events --alerts")
            return
        for orders in keep_monitoring(desk, pause):
            if orders:
                show(
                    orders,
                    "jsonl" if ctx.obj.format == "json" else ctx.obj.format,
                    dry_run=dry_run,
                )
