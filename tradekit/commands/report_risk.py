"""tradekit report risk"""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)

if TYPE_CHECKING:
    from tradekit.config import RiskSettings
    from tradekit.reports.risk import Limits


def risk(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Each limit, how close the desk came to it and when, and how often each rule said no.

    Without a range: everything. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.commands._reporting import asked, times, trades_of
    from tradekit.reports.risk import Buy, LimitLine, risk_report

    found = asked(session, since, until, strategy, symbol)
    settings = read_settings(ctx.obj).settings
    first = datetime.combine(found.first, time(), UTC) if found.first else None
    last = datetime.combine(found.last + timedelta(days=2), time(), UTC) if found.last else None
    with read_copy(ctx.obj) as store:
        days = store.days.between(found.first, found.last)
        equity = {row.session: row.desk_equity for row in days if row.desk_equity}
        accounts = [row for row in store.account.all(**times(first, last)) if row.session and found.holds(row.session)]
        trades = trades_of(store, found)
        checks = [c for c in store.risk_checks.all(**times(first, last)) if c.verdict == "vetoed"]
        if found.strategy or found.symbol or found.first or found.last:
            decisions = {c.decision_id: store.decisions.get(c.decision_id) for c in checks if c.decision_id}
            checks = [
                c
                for c in checks
                if (d := decisions.get(c.decision_id or ""))
                and found.holds(d.session)
                and (strategy is None or d.strategy == strategy)
                and (found.symbol is None or d.symbol == found.symbol)
            ]
        buys = []
        for p in store.positions.all(symbol=found.symbol):
            if found.holds(p.session) and (strategy is None or p.strategy == strategy):
                trade = store.trades.get(p.id)
                qty = trade.qty if trade else p.qty
                base = equity.get(p.session)
                buys.append(Buy(p.opened_at, p.session, float(qty * p.avg_price / base) if base else None))
        halts = [h.kind for h in store.halts.all() if h.session is None or found.holds(h.session)]
    rows = risk_report(_limits(settings.risk), days, accounts, trades, buys, checks, halts)
    show(rows, ctx.obj.format, empty="no limits", of=LimitLine)


def _limits(risk: "RiskSettings") -> "Limits":
    from tradekit.reports.risk import Limits

    return Limits(**{name: getattr(risk, name) for name in Limits._fields})
