"""tradekit skip"""

from typing import Annotated

import typer


def skip(
    ctx: typer.Context,
    decision: Annotated[str, typer.Argument(help="The decision's id, as tradekit decisions shows it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
) -> None:
    """Say no to a waiting decision, or to one that was not acted on yet.

    Safe to run twice: a decision that was refused stays refused. 6 when an order was made of it.
    """
    from tradekit.commands._output import show
    from tradekit.desk.decide import skip
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="skip", dry_run=dry_run) as desk:
        show(skip(desk, decision), ctx.obj.format, dry_run=dry_run)
