"""The operator's own changes: cancel an order, change a position's plan. Both are logged."""

from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from tradekit.desk.book import as_plan, set_levels
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.extended import keep_bound
from tradekit.desk.frozen import MATCH, unfreeze, why_frozen
from tradekit.desk.match import candidates
from tradekit.desk.orders import SURE, cancel_and_wait, note
from tradekit.desk.protect import protect
from tradekit.desk.reconcile import reconcile
from tradekit.errors import UsageError
from tradekit.model import FINAL_STATUSES, Order, Position

PATIENCE = timedelta(minutes=15)  # with several orders that may be the one, this long nobody closes it by hand


def cancel(desk: Desk, name: str) -> Order:
    """Cancel one live order by our id, the venue's, or the client id. A final order is given back as it is."""
    reconcile(desk)
    order = desk.store.orders.get(name) or desk.store.orders.by_broker_id(name) or desk.store.orders.by_client_id(name)
    if order is None:
        near = get_close_matches(name, [o.id for o in desk.store.orders.live()], 3)
        raise UsageError(
            f"there is no order {name}",
            f"did you mean {', '.join(near)}?" if near else "tradekit orders --live",
        )
    if order.status in FINAL_STATUSES:
        return order
    event(desk, "operator.cancel", symbol=order.symbol, ref=order.id)
    if order.status == "unknown" and order.broker_order_id is None and why_frozen(desk, order.symbol, MATCH):
        return _close_by_hand(desk, order)
    found = cancel_and_wait(desk, order, "asked by the operator")
    position = desk.store.positions.get(order.position_id) if order.position_id else None
    if position is not None and order.reason == "decision" and found.status in FINAL_STATUSES:
        keep_bound(desk, position, None)  # the CLOSE that it was said for is over
    return found


def _close_by_hand(desk: Desk, order: Order) -> Order:
    """An order that froze its symbol, and of which the operator knows that it is not there. UsageError while the venue
    still may have it.
    """
    found = candidates(desk, order, desk.broker.open_orders())
    patience = PATIENCE if found else SURE
    if desk.clock.now() - order.created_at < patience:
        names = ", ".join(sorted(answer.broker_order_id for answer in found)) or "nothing yet"
        raise UsageError(
            f"{order.id} may still be at the venue, which shows {names}",
            f"cancel it there; after {patience.total_seconds() / 60:.0f} minutes this closes it here",
        )
    error = "closed by the operator, who knows what became of it"
    closed = note(desk, order, status="expired", error=error, kind="order.closed-by-hand")
    unfreeze(desk, MATCH, order.symbol, "closed by the operator")
    return closed


@dataclass(frozen=True)
class PlanOptions:
    """New levels: `stop` and `target` are prices, `trail` a fraction under the high, `hold_s` seconds."""

    symbol: str
    stop: float | None = None
    target: float | None = None
    trail: float | None = None
    hold_s: int | None = None


def plan(desk: Desk, options: PlanOptions) -> Position:
    """Change the exit plan of an open position; without changes it only shows it."""
    reconcile(desk)
    position = desk.store.positions.open_for(options.symbol)
    if position is None:
        raise UsageError(
            f"{options.symbol} is no position of this desk",
            "tradekit positions shows what is managed",
        )
    changes = _changes(options)
    if not changes:
        return position
    _check(position, options)
    new = as_plan(position.plan, **changes)
    if new == as_plan(position.plan):
        return position  # the same levels again change nothing
    with desk.store.transaction():
        desk.store.positions.set_plan(position.id, new, position.stop_price, position.target_price)
        set_levels(desk, position.id)
        event(
            desk,
            "operator.plan",
            symbol=position.symbol,
            ref=position.id,
            **{k: str(v) for k, v in changes.items()},
        )
    changed = desk.store.positions.get(position.id) or position
    protect(desk, changed, desk.store.marks.get(position.id))
    return desk.store.positions.get(position.id) or changed


def _changes(options: PlanOptions) -> dict[str, object]:
    found = {
        "stop_price": options.stop,
        "target_price": options.target,
        "trail": options.trail,
        "max_hold_s": options.hold_s,
    }
    return {key: value for key, value in found.items() if value is not None}


def _check(position: Position, options: PlanOptions) -> None:
    price = float(position.last_price or position.avg_price)
    if options.stop is not None and not 0 < options.stop < price:
        raise UsageError(
            f"plan: a stop of {options.stop:g} is not below the price of {price:g}",
            "tradekit liquidate SYMBOL sells now",
        )
    if options.target is not None and options.target <= price:
        raise UsageError(
            f"plan: a target of {options.target:g} is not above the price of {price:g}",
            "tradekit liquidate SYMBOL sells now",
        )
    if options.trail is not None and not 0 < options.trail < 1:
        raise UsageError(
            f"plan: --trail {options.trail:g} is not a fraction",
            "write 0.015 for 1.5 %",
        )
    if options.hold_s is not None and options.hold_s <= 0:
        raise UsageError(f"plan: --hold {options.hold_s} is not a time", "write 30m, 4h or 48h")
