"""tradekit events"""

from typing import Annotated

import typer

from tradekit.commands._filters import AtOption, LimitOption, SessionOption, SinceOption, SymbolOption, UntilOption


def events(
    ctx: typer.Context,
    alerts: Annotated[bool, typer.Option("--alerts", help="Only what a human must see.")] = False,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this kind.")] = None,
    session: SessionOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    at: AtOption = None,
) -> None:
    """What happened, in the order it was written down."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters, named_well
    from tradekit.commands._output import show
    from tradekit.model import Event

    asked = filters(session=session, symbol=symbol, since=since, until=until, at=at)
    with read_store(ctx.obj) as store:
        found = store.events.alerts(**asked) if alerts else store.events.all(**asked)
        named_well(ctx.obj, store, symbol, found)
    chosen = [event for event in found if kind in (None, event.kind)]
    show(chosen[-limit:] if limit else chosen, ctx.obj.format, empty="no alerts" if alerts else "no events", of=Event)
