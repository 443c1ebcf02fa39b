"""tradekit adopt"""

from typing import Annotated

import typer


def adopt(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="A symbol that the account holds.")],
    strategy: Annotated[
        str | None,
        typer.Option(help="Whose exit plan it gets (default: the first one scanned)."),
    ] = None,
    was: Annotated[
        str | None,
        typer.Option(
            help="After a symbol change: the symbol under which this desk holds it; plan and cost come along."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would happen; send and write nothing."),
    ] = False,
) -> None:
    """Put shares that the account holds under management: from now on the exit rules sell them.

    Safe to run twice: a managed position is printed as it is.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.ownership import AdoptOptions, adopt

    with open_desk(ctx.obj, command="adopt", dry_run=dry_run) as desk:
        show(
            adopt(desk, AdoptOptions(symbol=symbol.upper(), strategy=strategy, was=was and was.upper())),
            ctx.obj.format,
            dry_run=dry_run,
        )
