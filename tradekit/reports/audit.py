"""What stands between an open position and a loss that nobody watches: plan, protection, the broker's view."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from tradekit.model import LIVE_STATUSES, ExitPlan, Mark, Order, Position
from tradekit.money import ZERO
from tradekit.reports.footing import Finding

PATIENCE = 2  # exit passes that may be missed before a software plan counts as unwatched


def audit(
    positions: Sequence[Position],
    marks: Mapping[str, Mark],
    live: Sequence[Order],
    owned: Mapping[str, Decimal],
    held: Mapping[str, Decimal],
    working: Collection[str],
    *,
    now: datetime,
    open_since: datetime | None,
    exit_interval_s: int,
) -> list[Finding]:
    """Findings over open positions and live orders; empty: every position has a live exit plan and matches the broker.

    `marks` by position id; `held` is the broker's quantity by symbol; `working` the client ids of its working orders;
    `open_since` is when the session that is open now began, None while the market is closed.
    """
    findings = []
    for position in positions:
        findings += _plan(position)
        findings += _watched(position, marks.get(position.id), live, now, open_since, exit_interval_s)
        findings += _quantity(position, owned.get(position.symbol, ZERO), held.get(position.symbol, ZERO))
    findings += _orphans(positions, owned)
    findings += _orders(live, owned, working)
    return findings


def has_exit(plan: ExitPlan) -> bool:
    """Does anything in the plan ever sell?"""
    closes = plan.intent == "day" and plan.flat_before_close_s is not None
    levels = (plan.stop, plan.stop_price, plan.trail, plan.close_above, plan.target, plan.target_price, plan.stop_atr)
    return closes or plan.max_hold_s is not None or any(level is not None for level in levels)


def _plan(position: Position) -> list[Finding]:
    try:
        plan = msgspec.convert(position.plan, ExitPlan)
    except msgspec.ValidationError as error:
        return [_finding("exit-plan", position.symbol, f"its plan cannot be read: {error}", _set_plan(position))]
    if not has_exit(plan) and position.stop_price is None and position.target_price is None:
        return [_finding("exit-plan", position.symbol, "no rule of its plan ever sells", _set_plan(position))]
    return []


def _watched(
    position: Position,
    mark: Mark | None,
    live: Sequence[Order],
    now: datetime,
    open_since: datetime | None,
    exit_interval_s: int,
) -> list[Finding]:
    """It is being sold, a stop rests at the venue, or a pass has looked; while the market is closed all may wait.

    To sell, the desk cancels its own stop first: a position without one is on its way out while that sell is live.
    """
    if any(order.position_id == position.id and order.purpose in ("exit", "liquidate") for order in live):
        return []
    protector = next((order for order in live if order.id == position.protected_by), None)
    if position.protected_by is not None and protector is None:
        found = f"its stop {position.protected_by} no longer works"
        return [_finding("protection", position.symbol, found, "tradekit monitor-exits")]
    if protector is not None or open_since is None:
        return []
    seen = max(open_since, position.opened_at if mark is None else max(mark.at, position.opened_at))
    if now - seen <= timedelta(seconds=PATIENCE * exit_interval_s):
        return []
    found = f"no stop rests and no pass has looked since {seen:%H:%M:%S}Z"
    return [_finding("protection", position.symbol, found, "tradekit monitor-exits")]


def _quantity(position: Position, owned: Decimal, held: Decimal) -> list[Finding]:
    mine = position.qty if position.side == "long" else -position.qty
    findings = []
    if mine != owned:
        found = f"the position says {mine}, fills and adjustments {owned}"
        findings.append(_finding("quantity", position.symbol, found, "tradekit reconcile"))
    if (held < mine) if mine > 0 else (held > mine):
        found = f"the desk manages {mine}, the broker has {held}"
        findings.append(_finding("quantity", position.symbol, found, "tradekit reconcile"))
    return findings


def _orphans(positions: Sequence[Position], owned: Mapping[str, Decimal]) -> list[Finding]:
    watched = {position.symbol for position in positions}
    return [
        _finding("quantity", symbol, f"{qty} owned without an open position", "tradekit reconcile")
        for symbol, qty in owned.items()
        if qty and symbol not in watched
    ]


def _orders(live: Sequence[Order], owned: Mapping[str, Decimal], working: Collection[str]) -> list[Finding]:
    """Orders whose fate is unknown, that only one side knows, or that together sell more than is owned."""
    findings = [
        _finding("unknown-order", order.id, f"{order.status}: nobody knows its fate", "tradekit reconcile")
        for order in live
        if order.status in ("unknown", "intended")
    ]
    ours = {order.client_order_id for order in live if order.status in LIVE_STATUSES}
    findings += [
        _finding("unknown-order", order.id, "the desk thinks it works, the broker does not", "tradekit reconcile")
        for order in live
        if order.status in ("open", "partially_filled") and order.client_order_id not in working
    ]
    findings += [
        _finding("unknown-order", client, "works at the broker, the desk does not know it", "tradekit reconcile")
        for client in sorted(set(working) - ours)
    ]
    selling: dict[str, Decimal] = {}
    for order in live:
        if order.side == "sell" and order.raw_status != "pending_cancel":
            selling[order.symbol] = selling.get(order.symbol, ZERO) + order.qty - order.filled_qty
    findings += [
        _finding("oversell", symbol, f"sells of {qty} work, {owned.get(symbol, ZERO)} are owned", "tradekit orders")
        for symbol, qty in sorted(selling.items())
        if qty > owned.get(symbol, ZERO)
    ]
    return findings


def _set_plan(position: Position) -> str:
    return f"tradekit plan {position.symbol} --stop PRICE"


def _finding(check: str, subject: str, found: str, fix: str) -> Finding:
    return Finding(check=check, subject=subject, found=found, fix=fix)
