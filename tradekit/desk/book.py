"""Turn what the venue executed into fills, positions and trades, each exactly once."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from tradekit.base.crashpoint import crash_point
from tradekit.brokers.base import BrokerFill
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, event
from tradekit.desk.plans import level_now, plan_of, price_levels
from tradekit.ids import fill_id, position_id
from tradekit.model import Fill, Mark, Order

if TYPE_CHECKING:
    from tradekit.store import Booked, Opening


def book_fills(desk: Desk, fills: Iterable[BrokerFill]) -> "list[Booked]":
    """Book the fills of our own orders that are not booked yet; somebody else's are left alone."""
    booked = []
    for fill in fills:
        if desk.store.fills.known(fill.broker_fill_id):
            continue
        order = _order_of(desk, fill)
        if order is not None:
            booked.append(_book(desk, order, fill))
    return booked


def _order_of(desk: Desk, fill: BrokerFill) -> Order | None:
    if fill.client_order_id:
        return desk.store.orders.by_client_id(fill.client_order_id)
    return desk.store.orders.by_broker_id(fill.broker_order_id)


def _book(desk: Desk, order: Order, found: BrokerFill) -> "Booked":
    fill = Fill(
        id=fill_id(found.broker_fill_id),
        broker_fill_id=found.broker_fill_id,
        order_id=order.id,
        at=found.at,
        symbol=found.symbol,
        side=found.side,
        qty=found.qty,
        price=found.price,
        fee=found.fee,
        fee_asset=found.fee_asset,
        fee_estimated=found.fee_estimated,
        session=desk.calendar.day(found.at),
    )
    with desk.store.transaction():
        booked = desk.store.book_fill(fill, opening(order) if order.purpose == "entry" else None)
        if not booked.new:
            return booked
        event(
            desk,
            "fill",
            symbol=fill.symbol,
            ref=order.id,
            side=fill.side,
            qty=str(fill.qty),
            price=str(fill.price),
        )
        if order.raw_status not in (None, "filled") and order.filled_qty + fill.qty >= order.qty:
            desk.store.orders.change(order.id, raw_status=None)  # the venue's word is from before the fill
        if order.purpose == "entry" and booked.position is not None:
            set_levels(desk, booked.position.id)
        if booked.amended or order.status in ("cancelled", "expired", "rejected"):
            alert(
                desk,
                "late-fill",
                f"{fill.symbol}: a fill of {order.id} was booked after it was {order.status}",
                symbol=fill.symbol,
                ref=order.id,
            )
        if booked.trade is not None and not booked.amended:
            trade = booked.trade
            event(
                desk,
                "trade.closed",
                symbol=fill.symbol,
                ref=trade.id,
                net=str(trade.net),
                reason=trade.exit_reason,
            )
            desk.count("closed")
    crash_point("fill_committed")
    desk.count("fills")
    return booked


def opening(order: Order) -> "Opening":
    """What the first fill of an entry opens: the plan travelled with the order."""
    from tradekit.store import Opening

    facts = order.plan
    return Opening(
        position_id=order.position_id or position_id(order.symbol, order.created_at),
        strategy=facts.get("strategy"),
        cap=facts.get("cap"),
        intent=facts.get("intent", "day"),
        plan=facts.get("plan", {}),
        stop_price=None,
        target_price=None,
        decision_id=order.decision_id,
        master=bool(facts.get("master", False)),
        regime=facts.get("regime"),
        strategy_version=facts.get("strategy_version"),
        because=order.because,
    )


def set_levels(desk: Desk, name: str) -> None:
    """Stop and target follow from the average fill price; the first mark dates from the entry."""
    position = desk.store.positions.get(name)
    if position is None:
        return
    stop, target = price_levels(desk, position)
    desk.store.positions.set_plan(name, position.plan, stop, target)
    mark = desk.store.marks.get(name)
    if mark is None:
        mark = Mark(
            position_id=name,
            at=desk.clock.now(),
            judged_to=position.opened_at,
            last_price=position.avg_price,
            high=position.avg_price,
            low=position.avg_price,
        )
    desk.store.marks.save([msgspec.structs.replace(mark, stop_price=level_now(desk, position, mark))])


def as_plan(plan: dict[str, object], **changes: object) -> dict[str, object]:
    """A position's plan with some fields changed; validated."""
    return msgspec.to_builtins(msgspec.structs.replace(plan_of(plan), **changes))  # type: ignore[no-any-return]
