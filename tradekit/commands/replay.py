"""tradekit replay"""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    ctx: typer.Context,
    day: Annotated[
        str,
        typer.Argument(metavar="DATE", help="The session to live again: 2026-02-13."),
    ],
    to: Annotated[str | None, typer.Option(metavar="DATE", help="Go on to this session.")] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop the last day at 10:00, exchange time."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where the replayed desk goes (replays/DATE)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a replay that lies there.")] = False,
) -> None:
    """Run the schedule over recorded bars in virtual time, on a fresh paper desk with the same settings.

    Prints the new desk's folder. The same replay asked again is not run again; Ctrl-C leaves nothing behind.
    """
    from tradekit.commands._output import say, show
    from tradekit.commands._progress import progress_bar
    from tradekit.research.replay import options_from, replay

    options = options_from(ctx.obj.here, day, to=to, until=until, out=out, force=force)
    with progress_bar(f"replay {day}", quiet=ctx.obj.quiet) as progress:
        path = replay(ctx.obj.here, options, progress, say)
    if ctx.obj.format == "table":
        print(path)
    else:
        show({"path": str(path)}, ctx.obj.format)
