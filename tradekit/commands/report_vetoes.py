"""tradekit report vetoes"""

from datetime import UTC, datetime, time, timedelta

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)


def vetoes(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Which rules said no, how often, and what the refused did afterwards; the busiest rule comes first.

    Gate rules, then the filters of the scans (without --symbol). Returns need `jobs outcomes`. Reads only.
    """
    from tradekit.commands._output import as_table, show
    from tradekit.commands._pictures import percent
    from tradekit.commands._reporting import asked, times
    from tradekit.reports.vetoes import VetoLine, vetoes_report

    found = asked(session, since, until, strategy, symbol)
    first = datetime.combine(found.first, time(), UTC) if found.first else None
    last = datetime.combine(found.last + timedelta(days=2), time(), UTC) if found.last else None
    with read_copy(ctx.obj) as store:
        checks = store.risk_checks.all(**times(first, last))
        ids = {check.decision_id for check in checks if check.decision_id}
        decisions = {d.id: d for d in store.decisions.all(symbol=found.symbol, **times(first, last)) if d.id in ids}
        decisions = {
            id: d
            for id, d in decisions.items()
            if found.holds(d.session) and (strategy is None or d.strategy == strategy)
        }
        narrow = found.strategy or found.symbol or found.first or found.last
        checks = [check for check in checks if not narrow or check.decision_id in decisions]
        refused = {c.decision_id for c in checks if c.verdict == "vetoed"}
        wanted = {d.candidate_id for d in decisions.values() if d.id in refused and d.candidate_id}
        candidates = {id: c for id in wanted if (c := store.candidates.get(id))}
        scans = [
            scan
            for scan in (store.scans.all(**times(first, last)) if found.symbol is None else [])
            if found.holds(scan.session) and (strategy is None or scan.strategy == strategy)
        ]
    rows = vetoes_report(checks, decisions, candidates, scans)
    if ctx.obj.format != "table" or not rows:
        show(rows, ctx.obj.format, empty="nobody said no", of=VetoLine)
        return
    table = [
        {
            "stage": row.stage, "rule": row.rule, "said no": row.said_no, "share %": percent(row.share, 1),
            "alone": row.only_rule, "symbols": row.symbols, "sessions": row.sessions,
            "refused: next day %": percent(row.return_1d), "best %": percent(row.max_gain), "n": row.known_returns,
            "because": row.because,
        }
        for row in rows
    ]  # fmt: skip
    print(as_table(table), end="")
