"""tradekit enter"""

from typing import Annotated

import typer

from tradekit.commands._filters import DryAtOption, then


def enter(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Argument(metavar="[-]", help="- reads decisions from stdin.")] = None,
    max_buys: Annotated[int | None, typer.Option(min=0, help="At most so many buys in this run.")] = None,
    moo: Annotated[bool, typer.Option("--moo", help="Send the market-on-open decisions.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
    at: DryAtOption = None,
) -> None:
    """Turn pending decisions into orders: closes first, then buys through the risk gate.

    Safe to run twice: a decision is used once. With - only the piped decisions count; an empty pipe selects
    nothing; 6 when all of them were refused.
    """
    from tradekit.commands._output import show
    from tradekit.commands._pipe import ids_from
    from tradekit.desk.enter import EnterOptions, enter, raise_if_refused
    from tradekit.desk.open import open_desk
    from tradekit.model import Order, RiskCheck

    ids = ids_from(source, "decisions")
    with open_desk(ctx.obj, command="enter", dry_run=dry_run, at=then(at)) as desk:
        found = enter(desk, EnterOptions(max_buys=max_buys, moo=moo, ids=ids))
        show(
            [*found.orders, *found.vetoes],
            ctx.obj.format,
            empty="nothing to enter",
            dry_run=dry_run,
            of=(Order, RiskCheck),
        )
        raise_if_refused(found)
