"""tradekit halt"""

from typing import Annotated

import typer


def halt(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Why; it is shown wherever an entry is refused.")],
    flatten: Annotated[
        bool,
        typer.Option("--flatten", help="Also sell every managed position at the next pass."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """The kill switch: no entry from now on. Exits, stops and liquidate go on.

    Safe to run twice: a halt that stands is kept.
    """
    from tradekit.commands._output import show
    from tradekit.desk.halts import HaltOptions, halt
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj, command="halt", dry_run=dry_run) as desk:
        show(
            halt(desk, HaltOptions(reason=reason, flatten=flatten)),
            ctx.obj.format,
            dry_run=dry_run,
        )
