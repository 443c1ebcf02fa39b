"""tradekit report exits"""

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)


def exits(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """By exit rule: count, win rate, net, hold, how far beyond the level it filled; what costs most comes first.

    Without a range: all trades. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.commands._pictures import bar, minutes, percent, pictured, rich_print, rounded
    from tradekit.commands._reporting import asked
    from tradekit.reports.exits import ExitLine, Overshot, exits_report, in_words
    from tradekit.store.trades import overshoots, tallies

    found = asked(session, since, until, strategy, symbol)
    currency = read_settings(ctx.obj).settings.desk.currency
    with read_copy(ctx.obj) as store:
        groups = tallies(store.db, ("reason",), **found._asdict())
        levels = [Overshot(*row) for row in overshoots(store.db, **found._asdict())]
    rows = exits_report(groups, levels)
    if ctx.obj.format != "table" or not rows:
        show(rows, ctx.obj.format, empty="no closed trades", of=ExitLine)
        return
    largest = max(abs(row.net) for row in rows[:-1])
    text = pictured(
        [
            {
                "rule": row.reason, "trades": row.trades, "won": row.wins, "lost": row.losses,
                "win %": percent(row.win_rate, 0), f"net {currency}": rounded(row.net),
                " ": bar(row.net, largest) if row.reason != "all" else "",
                "a trade": rounded(row.expectancy), "R": rounded(row.average_r),
                "held min": minutes(row.average_hold_s),
                "of losses %": percent(row.share_of_losses, 0), "overshoot bp p50": rounded(row.overshoot_p50_bp, 1),
                "p95": rounded(row.overshoot_p95_bp, 1), "max": rounded(row.overshoot_max_bp, 1), "note": row.note,
            }
            for row in rows
        ]
    )  # fmt: skip
    words = "".join(f"{sentence}\n" for sentence in in_words(groups, currency))
    rich_print(f"{words}\n{text}", [("NEVER WINS", "bold red"), ("always wins", "green")])
