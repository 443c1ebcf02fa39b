"""tradekit sql"""

from typing import Annotated

import typer


def sql(
    ctx: typer.Context,
    statement: Annotated[str, typer.Argument(help="One SELECT.", metavar="SELECT...")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many rows.")] = 1000,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="At most so many seconds.")] = 10.0,
) -> None:
    """Read-only SQL over a private copy of desk.db; docs/schema.md has the tables.

    Safe at any time: the desk goes on writing meanwhile.
    """
    from tradekit.commands._output import say, show
    from tradekit.store.query import query

    answer = query(ctx.obj.here / "desk.db", statement, limit=limit, timeout_s=timeout)
    show(answer.rows, ctx.obj.format, empty="no rows", of=answer.columns)
    if answer.more:
        say(f"only the first {limit} rows: --limit N for more")
