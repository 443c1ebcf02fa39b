"""tradekit quote"""

from typing import Annotated

import typer

from tradekit.commands._filters import then
from tradekit.errors import DataError, UsageError


def quote(
    ctx: typer.Context,
    symbols: Annotated[list[str], typer.Argument(help="Symbols, as they were imported.")],
    at: Annotated[str | None, typer.Option("--at", help="As it was known at this time (UTC).")] = None,
) -> None:
    """The last quote, its age and source.

    A read: safe at any time. Without a venue's quotes it is the close of the last complete bar with the assumed spread.
    """
    from tradekit.commands._output import show
    from tradekit.commands.data import unknown_symbol
    from tradekit.desk.open import open_desk

    with open_desk(ctx.obj) as desk:
        now = desk.clock.now()
        asked = then(at) or now
        if asked > now:
            raise UsageError(f"--at {at}: it is {now:%Y-%m-%d %H:%M} UTC on this desk", "name an earlier time")
        found = []
        for symbol in dict.fromkeys(symbol.upper() for symbol in symbols):
            seen = desk.market.quote(symbol, asked)
            if seen is None and not desk.market.store.series(symbol):
                raise unknown_symbol(symbol, desk.market.store.axis())
            if seen is None:
                raise DataError(
                    f"{symbol}: no complete bar by {asked:%Y-%m-%d %H:%M} UTC", "tradekit data list --symbol"
                )
            found.append(seen)
    show(found, ctx.obj.format)
