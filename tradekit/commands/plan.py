"""tradekit plan"""

from typing import Annotated

import typer


def plan(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="A managed symbol.")],
    stop: Annotated[float | None, typer.Option(help="Stop price in the quote currency.")] = None,
    target: Annotated[float | None, typer.Option(help="Target price in the quote currency.")] = None,
    trail: Annotated[
        float | None,
        typer.Option(help="Trail under the high, a fraction (0.015 is 1.5 %)."),
    ] = None,
    hold: Annotated[str | None, typer.Option(help="Longest holding time from entry: 30m, 4h, 48h.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Show or change the exit plan of an open position; the change is logged and the resting stop follows.

    Safe to run twice: the same levels change nothing.
    """
    from tradekit.commands._options import seconds
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.operate import PlanOptions, plan

    options = PlanOptions(
        symbol=symbol.upper(),
        stop=stop,
        target=target,
        trail=trail,
        hold_s=None if hold is None else seconds(hold, "--hold"),
    )
    with open_desk(ctx.obj, command="plan", dry_run=dry_run) as desk:
        show(plan(desk, options), ctx.obj.format, dry_run=dry_run)
