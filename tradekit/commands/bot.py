"""tradekit bot"""

import typer


def bot(ctx: typer.Context) -> None:
    """Answer the desk's chat on Telegram: look, halt, close positions after a yes, change some settings.

    Serves the users of bot.users and nobody else until it is interrupted. One per desk; a second one ends with 8. Safe
    to kill and to start again: what was confirmed is carried out once.
    """
    from tradekit.base.logs import set_up
    from tradekit.bot.serve import serve
    from tradekit.desk.open import open_desk

    set_up(ctx.obj.here, verbose=ctx.obj.verbose, quiet=ctx.obj.quiet)
    with open_desk(ctx.obj, command="bot") as desk:
        serve(desk)
