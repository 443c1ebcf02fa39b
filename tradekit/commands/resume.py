"""tradekit resume"""

from typing import Annotated

import typer


def resume(
    ctx: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Lift every halt. Loss and reject streaks and the drawdown count from now on.

    Safe to run twice.
    """
    from tradekit.commands._output import show
    from tradekit.desk.halts import resume
    from tradekit.desk.open import open_desk
    from tradekit.model import Halt

    with open_desk(ctx.obj, command="resume", dry_run=dry_run) as desk:
        show(resume(desk), ctx.obj.format, empty="no halt is open", dry_run=dry_run, of=Halt)
