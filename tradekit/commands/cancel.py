"""tradekit cancel"""

from typing import Annotated

import typer


def cancel(
    ctx: typer.Context,
    order: Annotated[str, typer.Argument(help="Our order id, the broker's, or the client order id.")],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Cancel a working order and print what became of it.

    Safe to run twice: a final order is printed as it is.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.operate import cancel

    with open_desk(ctx.obj, command="cancel", dry_run=dry_run) as desk:
        show(cancel(desk, order), ctx.obj.format, dry_run=dry_run)
