"""tradekit reconcile"""

from typing import Annotated

import typer

from tradekit.commands._filters import DryAtOption, then


def reconcile(
    ctx: typer.Context,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
    at: DryAtOption = None,
) -> None:
    """Make the books agree with the broker; prints what changed.

    Safe to run at any time: a second run right after the first writes nothing. 7 while something is not settled.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.reconcile import raise_findings, reconcile
    from tradekit.model import Event

    with open_desk(ctx.obj, command="reconcile", dry_run=dry_run, at=then(at)) as desk:
        show(
            reconcile(desk),
            ctx.obj.format,
            empty="the books agree with the broker",
            dry_run=dry_run,
            of=Event,
        )
        raise_findings(desk)
