"""tradekit orders"""

from typing import Annotated

import typer

from tradekit.commands._filters import AtOption, LimitOption, SessionOption, SinceOption, SymbolOption, UntilOption


def orders(
    ctx: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Only those that are not final.")] = False,
    session: SessionOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    at: AtOption = None,
) -> None:
    """Orders as they were written down, oldest first."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters, named_well
    from tradekit.commands._output import show
    from tradekit.model import LIVE_STATUSES, Order

    asked = filters(session=session, symbol=symbol, since=since, until=until, at=at)
    as_of = asked.pop("as_of", None)
    with read_store(ctx.obj) as store:
        found = store.orders.all(**asked) if as_of is None else store.orders.as_of(as_of, **asked)
        named_well(ctx.obj, store, symbol, found)
    chosen = [order for order in found if not live or order.status in LIVE_STATUSES]
    show(
        chosen[-limit:] if limit else chosen, ctx.obj.format, empty="no live orders" if live else "no orders", of=Order
    )
