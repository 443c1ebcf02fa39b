"""tradekit decisions"""

import typer

from tradekit.commands._filters import AtOption, LimitOption, SessionOption, SinceOption, SymbolOption, UntilOption


def decisions(
    ctx: typer.Context,
    session: SessionOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    at: AtOption = None,
) -> None:
    """What was decided about candidates and positions, and why."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters, named_well
    from tradekit.commands._output import show
    from tradekit.model import Decision

    asked = filters(session=session, symbol=symbol, since=since, until=until, limit=limit, at=at)
    with read_store(ctx.obj) as store:
        found = store.decisions.all(**asked)
        named_well(ctx.obj, store, symbol, found)
    show(found, ctx.obj.format, empty="no decisions", of=Decision)
