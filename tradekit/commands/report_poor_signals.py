"""tradekit report poor-signals"""

from typing import Annotated

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)


def poor_signals(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    each: Annotated[bool, typer.Option("--each", help="The trades themselves instead of their patterns.")] = False,
) -> None:
    """Trades that a reversal ended: which signs come together again and again, and what they cost.

    Written down by `jobs outcomes`. Reads only.
    """
    from tradekit.commands._output import show
    from tradekit.commands._reporting import asked
    from tradekit.model import PoorSignal
    from tradekit.reports.poor import Pattern, patterns

    found = asked(session, since, until, strategy, symbol)
    with read_copy(ctx.obj) as store:
        rows = [
            row
            for row in store.poor_signals.all(symbol=found.symbol)
            if found.holds(row.session) and (strategy is None or row.strategy == strategy)
        ]
    none = "no trade was ended by a reversal"
    if each:
        columns = ("id", "score", "reversal_score", "hold_s", "net", "entry_because", "exit_because")
        show(rows, ctx.obj.format, empty=none, columns=columns, of=PoorSignal)
    else:
        columns = ("trades", "losses", "net", "average_score", "average_reversal_score", "average_hold_s", "pattern")
        show(patterns(rows), ctx.obj.format, empty=none, columns=columns, of=Pattern)
