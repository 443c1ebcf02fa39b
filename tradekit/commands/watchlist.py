"""tradekit watchlist"""

import typer

from tradekit.commands._filters import SessionOption, SymbolOption


def watchlist(ctx: typer.Context, session: SessionOption = None, symbol: SymbolOption = None) -> None:
    """Symbols whose newest entry decision is WATCH, oldest first."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters, named_well
    from tradekit.commands._output import show

    with read_store(ctx.obj) as store:
        found = store.watchlist.all(**filters(session=session, symbol=symbol))
        named_well(ctx.obj, store, symbol, found)
    show(found, ctx.obj.format, empty="nothing is watched")
