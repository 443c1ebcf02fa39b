"""tradekit report overnight"""

import typer

from tradekit.commands._reporting import StrategyOption, SymbolOption


def overnight(ctx: typer.Context, strategy: StrategyOption = None, symbol: SymbolOption = None) -> None:
    """What is held: each position with its live stop, TIF, distance and age, and what a bad night would cost.

    Losses if all stops fill (against the entries) and if everything gaps -5 % (from the last prices). Reads only.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import as_table, show
    from tradekit.commands._pictures import percent, rounded
    from tradekit.commands._reporting import asked
    from tradekit.desk.open import desk_clock
    from tradekit.reports.overnight import overnight as report

    found = asked(None, None, None, strategy, symbol)
    currency = read_settings(ctx.obj).settings.desk.currency
    with read_store(ctx.obj) as store:
        positions = [
            p
            for p in store.positions.open()
            if (found.symbol is None or p.symbol == found.symbol) and (strategy is None or p.strategy == strategy)
        ]
        last = store.account.latest()
        answer = report(
            positions,
            store.orders.live(),
            store.marks.of_open(),
            at=desk_clock(store.meta.get("clock_at")).now(),
            desk_equity=last.desk_equity if last else None,
            currency=currency,
        )
    if ctx.obj.format != "table":
        show(answer.held if ctx.obj.format == "csv" else answer, ctx.obj.format)
        return
    if not answer.positions:
        show([], empty="nothing is held")
        return
    table = [
        {
            "id": row.id, "intent": row.intent, "qty": row.qty, "entry": row.avg_price, "last": row.last_price,
            f"open {currency}": rounded(row.unrealized), "desk stop": row.desk_stop, "live stop": row.live_stop,
            "tif": row.tif, "distance %": percent(row.distance), "age h": rounded(row.age_s / 3600, 1),
            "at stop": rounded(row.loss_at_stop), "gap -5 %": rounded(row.loss_at_gap), "note": row.note,
        }
        for row in answer.held
    ]  # fmt: skip
    print(as_table(table), end="")
    stops, gap = rounded(answer.if_all_stops_fill), rounded(answer.if_all_gap)
    print(f"{answer.positions} held, {answer.unprotected} without a stop at the venue")
    print(f"if all stops fill  {stops} {currency} ({percent(answer.if_all_stops_fill_pct)} % of desk equity)")
    print(f"if all gap -5 %    {gap} {currency} ({percent(answer.if_all_gap_pct)} %)")
