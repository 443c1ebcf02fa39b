"""tradekit status"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from tradekit.commands._filters import AtOption, then

if TYPE_CHECKING:
    from tradekit.clock import Clock
    from tradekit.commands._context import Context
    from tradekit.model import Account, Position
    from tradekit.store import Store


def status(ctx: typer.Context, at: AtOption = None) -> None:
    """The desk in one page: clock, session, account, positions, live orders, halts, alerts, last runs.

    A read. Equity, cash and the day's P&L are those of the last account row, and `account` says how old it is; the
    positions' open P&L is of their last marks.
    """
    from tradekit.clock import clock_from
    from tradekit.commands._context import read_store
    from tradekit.commands._output import show
    from tradekit.commands._running import running_part

    asked = then(at)
    with read_store(ctx.obj, asked) as store:
        clock = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK") or store.meta.get("clock_at"))
        found = page(store, asked or clock.now(), clock.name)
        found |= running_part(ctx.obj, store, asked or clock.now(), found["session"])
    show({"desk": str(ctx.obj.here)} | found | logins(ctx.obj, clock), ctx.obj.format)


def logins(context: "Context", clock: "Clock") -> dict[str, Any]:
    """Days left of each OAuth login; empty on a desk without providers, whose settings are not even read."""
    if not names_logins((context.here / "desk.yaml").read_text("utf-8", "replace")):
        return {}
    from tradekit.commands._context import read_settings
    from tradekit.tokens import days, standing

    found: dict[str, Any] = {}
    for name, _, state, _ in standing(read_settings(context).settings, clock, context.environ):
        left = days(state.login_left_s) if state else None
        found[name] = {"login": state.login if state else "needed", "days_left": left}
    return {"logins": found}


def names_logins(text: str) -> bool:
    """True where desk.yaml has something below `providers`; told from its lines, since YAML takes 15 ms."""
    _, found, rest = f"\n{text}".partition("\nproviders:")
    first, *below = rest.splitlines() or [""]
    if first.partition("#")[0].strip() not in ("", "{}", "null", "~"):
        return True
    said = (line for line in below if line.strip() and not line.lstrip().startswith("#"))
    return bool(found) and next(said, "").startswith((" ", "\t"))


def page(store: "Store", now: datetime, clock: str) -> dict[str, Any]:
    """What `status` shows of a store at `now`; money in the desk's currency, None where it is unknown."""
    session, market = session_at(store, now)
    account = store.account.latest(now)
    alerts, held = store.events.alerts(session=session), store.positions.open()
    return {
        "broker": store.meta.get("broker"),
        "clock": clock,
        "now": now,
        "session": session,
        "market": market,
        "account": told(account, now),
        "account_at": account.at if account else None,
        "equity": account.equity if account else None,
        "cash": account.cash if account else None,
        "daily_pnl": account.daily_pnl if account else None,
        "open_pnl": open_pnl(held),
        "positions": [
            {"symbol": p.symbol, "side": p.side, "qty": p.qty, "avg_price": p.avg_price, "unrealized": p.unrealized}
            for p in held
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


def told(account: "Account | None", now: datetime) -> str:
    """How old the account row is; equity, cash and P&L below are of then, not of now."""
    if account is None:
        return "no account row yet: tradekit jobs snapshot"
    minutes = max(0, int((now - account.at).total_seconds() // 60))
    hours, days = minutes // 60, minutes // 1440
    age = f"{minutes} min" if minutes < 120 else f"{hours} h" if hours < 48 else f"{days} days"
    return f"as stored {age} ago"


def open_pnl(held: "Sequence[Position]") -> Decimal | None:
    """What the open positions have won by their last marks; None where one has no price."""
    known = [position.unrealized for position in held if position.unrealized is not None]
    return sum(known, Decimal(0)) if len(known) == len(held) else None


def session_at(store: "Store", now: datetime) -> tuple[Any, str]:
    """The session that `now` falls on or follows, and whether it is open; a desk without a table is always open."""
    if store.sessions.last() is None:
        return now.date(), "open"
    known = store.sessions.load((now - timedelta(days=14)).date(), (now + timedelta(days=1)).date())
    begun = [session for session in known if session.open <= now]
    if not begun:
        return None, "closed"
    return begun[-1].day, "open" if now < begun[-1].close else "closed"
