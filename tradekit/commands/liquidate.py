"""tradekit liquidate"""

from typing import Annotated

import typer


def liquidate(
    ctx: typer.Context,
    symbols: Annotated[list[str] | None, typer.Argument(help="The symbols to close.")] = None,
    today: Annotated[
        bool,
        typer.Option("--today", help="Everything that was opened in this session."),
    ] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every managed position.")] = False,
    at_open: Annotated[bool, typer.Option("--at-open", help="Queue the sales for the next open.")] = False,
    max_discount: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=0.5,
            help="Outside regular hours: how far under the bid, a fraction.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Close managed positions now. What the account holds beside them is never sold.

    Safe to run again: only what is left is sold. 7: something is left for which no sell is working. Without a symbol,
    --today or --all nothing is chosen (2).
    """
    from tradekit.commands._output import show
    from tradekit.desk.liquidate import LiquidateOptions, liquidate
    from tradekit.desk.open import open_desk
    from tradekit.errors import Findings, UsageError
    from tradekit.model import Order

    chosen = tuple(symbol.upper() for symbol in symbols or () if symbol)
    if not chosen and not today and not all_:
        raise UsageError("liquidate: nothing is chosen", "name symbols, or say --today or --all")
    options = LiquidateOptions(
        symbols=chosen,
        today=today,
        all_=all_,
        at_open=at_open,
        max_discount=max_discount,
    )
    with open_desk(ctx.obj, command="liquidate", dry_run=dry_run) as desk:
        orders = liquidate(desk, options)
        show(
            orders,
            ctx.obj.format,
            empty="nothing was sold" if desk.counts.get("unsold") else "nothing to liquidate",
            dry_run=dry_run,
            of=Order,
        )
        if desk.counts.get("failed"):
            raise Findings("some positions could not be worked on", "tradekit events --alerts")
        if desk.counts.get("unsold") and not dry_run:
            raise Findings(
                f"liquidate: for {desk.counts['unsold']} of the chosen positions no sell is working",
                "the next pass of monitor-exits sells, or run it again; else tradekit events --alerts",
            )
