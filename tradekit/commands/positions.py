"""tradekit positions"""

from typing import Annotated

import typer

from tradekit.commands._filters import AtOption, SymbolOption


def positions(
    ctx: typer.Context,
    symbol: SymbolOption = None,
    closed: Annotated[bool, typer.Option("--all", help="Closed ones too (their quantity is 0).")] = False,
    at: AtOption = None,
) -> None:
    """Positions that the desk manages, oldest first.

    With --at they are folded again from the fills until then; last prices are only known for now.
    """
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import a_time, named_well
    from tradekit.commands._output import plain, say, show
    from tradekit.errors import UsageError
    from tradekit.model import Position

    if closed and at:
        raise UsageError("--all and --at do not go together", "tradekit positions --at TIME")
    wanted = None if symbol is None else symbol.strip().upper()
    with read_store(ctx.obj) as store:
        if at is not None:
            found = store.positions_at(a_time(at, "--at", end=True))
        else:
            found = store.positions.all() if closed else store.positions.open()
        named_well(ctx.obj, store, symbol, [position for position in found if wanted in (None, position.symbol)])
        locked = {} if at is not None else store.unmanaged()
    chosen = [position for position in found if wanted in (None, position.symbol)]
    show(chosen, ctx.obj.format, empty="no positions" if closed else "no open positions", of=Position)
    for name, qty in locked.items():
        if wanted in (None, name):
            say(f"locked: {name} {plain(qty)} (not the desk's, never sold; tradekit adopt {name})")
