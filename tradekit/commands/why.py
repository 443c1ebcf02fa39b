"""tradekit why"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from tradekit.errors import UsageError

if TYPE_CHECKING:
    from tradekit.model import Candidate, Decision, Event, Order, Position, Trade
    from tradekit.reports.why import Chain
    from tradekit.store import Store


def why(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="ID|SYMBOL", help="A trade, order, decision, candidate or symbol.")],
) -> None:
    """The whole chain behind a trade, an order or a symbol, from the market it saw to how it ended.

    A symbol means its open position, else how far it came in its last session; a candidate that was rejected and
    a decision that was vetoed explain themselves. Reads only; 2 for what the books do not know.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import show
    from tradekit.reports.why import why as report

    settings = read_settings(ctx.obj).settings
    with read_store(ctx.obj) as store:
        found = by_id(store, what) or by_symbol(store, what.upper())
        if found is None:
            raise UsageError(f"why: the books know no {what}", _hint(store, what))
    steps = report(found)
    if ctx.obj.format == "table":
        from tradekit.commands._report_text import story

        print(story(what, steps, ZoneInfo(settings.desk.timezone)), end="")
    else:
        show(steps, ctx.obj.format)


def by_id(store: "Store", id: str) -> "Chain | None":
    """The chain of a trade, position, order (any of its ids), fill, decision or candidate; None for another word."""
    fill = store.fills.get(id)
    order_id = fill.order_id if fill and fill.order_id else id
    order = store.orders.get(order_id) or store.orders.by_client_id(id) or store.orders.by_broker_id(id)
    position_id = order.position_id if order else id
    position = store.positions.get(position_id) if position_id else None
    trade = store.trades.get(position_id) if position_id else None
    if position is not None or trade is not None:
        return _of_position(store, position, trade)
    if order is not None:
        return _of_decision(store, store.decisions.get(order.decision_id) if order.decision_id else None, [order])
    decision = store.decisions.get(id) or store.decisions.for_candidate(id)
    if decision is not None:
        return _of_decision(store, decision)
    candidate = store.candidates.get(id)
    return None if candidate is None else _of_candidate(store, candidate)


def by_symbol(store: "Store", symbol: str) -> "Chain | None":
    """What is held; else the symbol's last session: its trade, its order, its decision, its candidate."""
    held = store.positions.open_for(symbol)
    if held is not None:
        return _of_position(store, held, None)
    trades: Sequence[Any] = store.trades.all(symbol=symbol, limit=1)
    orders: Sequence[Any] = store.orders.all(symbol=symbol, limit=1)
    decisions: Sequence[Any] = [d for d in store.decisions.all(symbol=symbol) if d.position_id is None][-1:]
    candidates = _last_candidates(store, symbol)
    day = max((r.session for r in [*trades, *orders, *decisions, *candidates]), default=None)
    if day is None:
        return None
    for record in [*_on(trades, day), *_on(orders, day), *_on(decisions, day)]:
        found = by_id(store, record.id)
        if found is not None:
            return found
    return _of_candidate(store, candidates[-1]) if candidates else None


def _on(records: Sequence[Any], day: date) -> list[Any]:
    return [record for record in records if record.session == day]


def _last_candidates(store: "Store", symbol: str) -> "list[Candidate]":
    """The symbol's candidates of its last session, those that passed last."""
    last = store.scans.all(limit=1)
    rows = store.candidates.found(rejected=True, session=last[-1].session, symbol=symbol) if last else []
    rows = rows or store.candidates.found(rejected=True, symbol=symbol)
    day = max((row.session for row in rows), default=None)
    return sorted((row for row in rows if row.session == day), key=lambda row: (row.passed, row.at))


def _of_position(store: "Store", position: "Position | None", trade: "Trade | None") -> "Chain":
    about = trade or position
    assert about is not None, "the caller found one of them"
    decision = store.decisions.get(about.decision_id) if about.decision_id else None
    orders = store.orders.for_position(about.id)
    closes = [d for d in store.decisions.all(symbol=about.symbol) if d.position_id == about.id]
    return _chain(store, about.symbol, decision, orders, closes=closes, position=position, trade=trade)


def _of_decision(store: "Store", decision: "Decision | None", orders: "Sequence[Order]" = ()) -> "Chain":
    if decision is None:
        return _chain(store, orders[0].symbol, None, orders)
    orders = orders or store.orders.for_decision(decision.id)
    names = [decision.position_id, *(order.position_id for order in orders)]
    held = next((found for name in names if name and (found := store.positions.get(name))), None)
    if held is not None:
        return _of_position(store, held, store.trades.get(held.id))
    return _chain(store, decision.symbol, decision, orders)


def _of_candidate(store: "Store", candidate: "Candidate") -> "Chain":
    import msgspec

    chain = _chain(store, candidate.symbol, store.decisions.for_candidate(candidate.id), ())
    return msgspec.structs.replace(chain, **_seen(store, candidate))


def _chain(
    store: "Store",
    symbol: str,
    decision: "Decision | None",
    orders: "Sequence[Order]",
    *,
    closes: "Sequence[Decision]" = (),
    position: "Position | None" = None,
    trade: "Trade | None" = None,
) -> "Chain":
    """Everything around a decision and its orders."""
    from tradekit.reports.why import Chain

    entered = store.orders.for_decision(decision.id) if decision else []
    all_orders = {order.id: order for order in [*entered, *orders]}
    decisions = [*([decision] if decision else []), *closes]
    checks = {c.id: c for d in decisions for c in store.risk_checks.for_decision(d.id)}
    for order in all_orders.values():
        checks |= {c.id: c for c in store.risk_checks.for_order(order.id)}
    candidate = store.candidates.get(decision.candidate_id) if decision and decision.candidate_id else None
    refs = {
        *all_orders,
        *(d.id for d in decisions),
        *([position.id] if position else []),
        *([trade.id] if trade else []),
    }
    return Chain(
        **(_seen(store, candidate) if candidate else {}),
        decisions=decisions,
        checks=list(checks.values()),
        orders=list(all_orders.values()),
        fills=[fill for order in all_orders.values() for fill in store.fills.for_order(order.id)],
        events=_events(store, symbol, refs, [x.at for x in decisions] + [x.created_at for x in all_orders.values()]),
        position=position,
        trade=trade,
    )


def _seen(store: "Store", candidate: "Candidate") -> dict[str, Any]:
    """The candidate with its scan and the market of that moment."""
    snapshot = store.snapshots.latest(candidate.at)
    return {"candidate": candidate, "scan": store.scans.get(candidate.scan_id), "snapshot": snapshot}


def _events(store: "Store", symbol: str, refs: set[str], times: Sequence[datetime]) -> "list[Event]":
    """Events of the symbol that point at one of these records."""
    if not times:
        return []
    return [event for event in store.events.all(symbol=symbol, since=min(times)) if event.ref in refs]


def _hint(store: "Store", word: str) -> str:
    """The nearest things that the books do know."""
    from tradekit.reports.why import nearest

    ids = [trade.id for trade in store.trades.last(200)]
    ids += [order.id for order in store.orders.all(limit=200)]
    last = store.scans.all(limit=1)
    found = store.candidates.found(rejected=True, session=last[-1].session) if last else []
    names = {candidate.symbol for candidate in found}
    close = nearest(word, [*sorted(names), *ids])
    return (
        f"did you mean {', '.join(close)}?" if close else "tradekit trades, tradekit orders, tradekit candidates --all"
    )
