"""tradekit status"""

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tradekit.clock import Clock
    from tradekit.commands._context import Context
    from tradekit.store import Store


def status(ctx: typer.Context) -> None:
    """The desk in one page: clock, session, account, positions, live orders, halts, alerts, last runs."""
    from tradekit.clock import clock_from
    from tradekit.commands._context import read_store
    from tradekit.commands._output import show

    with read_store(ctx.obj) as store:
        clock = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK") or store.meta.get("clock_at"))
        found = page(store, clock.now(), clock.name)
    show({"desk": str(ctx.obj.here)} | found | logins(ctx.obj, clock), ctx.obj.format)


def logins(context: "Context", clock: "Clock") -> dict[str, Any]:
    """Days left of each OAuth login; empty on a desk without providers, whose settings are not even read."""
    if b"providers:" not in (context.here / "desk.yaml").read_bytes():
        return {}
    from tradekit.commands._context import read_settings
    from tradekit.tokens import days, standing

    found: dict[str, Any] = {}
    for name, _, state, _ in standing(read_settings(context).settings, clock, context.environ):
        left = days(state.login_left_s) if state else None
        found[name] = {"login": state.login if state else "needed", "days_left": left}
    return {"logins": found}


def page(store: "Store", now: datetime, clock: str) -> dict[str, Any]:
    """What `status` shows of a store at `now`; money in the desk's currency, None where it is unknown."""
    session, market = session_at(store, now)
    account = store.account.latest(now)
    alerts = store.events.alerts(session=session)
    return {
        "broker": store.meta.get("broker"),
        "clock": clock,
        "now": now,
        "session": session,
        "market": market,
        "account_at": account.at if account else None,
        "equity": account.equity if account else None,
        "cash": account.cash if account else None,
        "daily_pnl": account.daily_pnl if account else None,
        "positions": [
            {"symbol": p.symbol, "side": p.side, "qty": p.qty, "avg_price": p.avg_price, "unrealized": p.unrealized}
            for p in store.positions.open()
        ],
        "live_orders": dict(Counter(f"{o.purpose} {o.status}" for o in store.orders.live())),
        "waiting": [decision.id for decision in store.decisions.waiting()],
        "halts": [f"{halt.id}: {halt.reason}" for halt in store.halts.open()],
        "alerts": dict(Counter(alert.kind.removeprefix("alert.") for alert in alerts)),
        "unfinished": [run.id for run in store.runs.unfinished()],
        "last_runs": {
            run.command: {"started_at": run.started_at, "exit_code": run.exit_code} for run in store.runs.last_of_each()
        },
    }


def session_at(store: "Store", now: datetime) -> tuple[Any, str]:
    """The session that `now` falls on or follows, and whether it is open; a desk without a table is always open."""
    if store.sessions.last() is None:
        return now.date(), "open"
    known = store.sessions.load((now - timedelta(days=14)).date(), (now + timedelta(days=1)).date())
    begun = [session for session in known if session.open <= now]
    if not begun:
        return None, "closed"
    return begun[-1].day, "open" if now < begun[-1].close else "closed"
