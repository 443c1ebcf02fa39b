"""tradekit release"""

from typing import Annotated

import typer


def release(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="A managed symbol.")],
    paid: Annotated[
        str | None,
        typer.Option(help="The shares are gone, delisted or taken over: what came for them in all, quote currency."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Take a position out of management: its stop is withdrawn, its shares stay and are never sold by this desk.

    While its stop may still fill at the venue it ends with 5 and the position stays managed: run it again in a minute.
    A run after that is refused (2): the symbol is no position any more.
    """
    from tradekit.commands._options import money
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.ownership import release

    with open_desk(ctx.obj, command="release", dry_run=dry_run) as desk:
        show(
            release(desk, symbol.upper(), None if paid is None else money(paid, "--paid")),
            ctx.obj.format,
            dry_run=dry_run,
        )
