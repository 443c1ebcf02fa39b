"""tradekit approve"""

from typing import Annotated

import typer


def approve(
    ctx: typer.Context,
    decision: Annotated[str, typer.Argument(help="The decision's id, as tradekit decisions shows it.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
) -> None:
    """Say yes to a waiting decision: enter may act on it until it expires.

    Safe to run twice: a decision that was approved stays approved. 6 when it is too late.
    """
    from tradekit.commands._output import show
    from tradekit.desk.decide import approve
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="approve", dry_run=dry_run) as desk:
        show(approve(desk, decision), ctx.obj.format, dry_run=dry_run)
