"""tradekit runs"""

from typing import Annotated

import typer

from tradekit.commands._filters import AtOption, LimitOption, SinceOption, UntilOption


def runs(
    ctx: typer.Context,
    command: Annotated[str | None, typer.Option("--command", help="Only of this command.")] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Only those without an end.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    at: AtOption = None,
) -> None:
    """Runs of commands that could change something, oldest first."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters
    from tradekit.commands._output import show
    from tradekit.model import Run

    with read_store(ctx.obj) as store:
        found = store.runs.all(**filters(since=since, until=until, at=at))
    chosen = [run for run in found if command in (None, run.command) and not (unfinished and run.ended_at is not None)]
    show(chosen[-limit:] if limit else chosen, ctx.obj.format, empty="no runs", of=Run)
