"""tradekit quote"""

from typing import Annotated

import typer

from tradekit.errors import DataError


def quote(
    ctx: typer.Context,
    symbols: Annotated[list[str], typer.Argument(help="Symbols, as they were imported.")],
) -> None:
    """The last quote, its age and source.

    A read: safe at any time. Without a venue's quotes it is the close of the last complete bar with the assumed spread.
    """
    from tradekit.commands._output import show
    from tradekit.commands.data import unknown_symbol
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj) as desk:
        at = desk.clock.now()
        found = []
        for symbol in dict.fromkeys(symbols):
            seen = desk.market.quote(symbol, at)
            if seen is None and not desk.market.store.series(symbol):
                raise unknown_symbol(symbol, desk.market.store.axis())
            if seen is None:
                raise DataError(f"{symbol}: no complete bar by {at:%Y-%m-%d %H:%M} UTC", "tradekit data list --symbol")
            found.append(seen)
    show(found, ctx.obj.format)
