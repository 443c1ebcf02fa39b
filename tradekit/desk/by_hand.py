"""What a human must do when the books cannot be written: said on stderr, where no full disk is in the way."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert
from tradekit.errors import StoreError
from tradekit.model import Order, Position

LEAVING = ("monitor-exits", "liquidate")  # the commands whose failure leaves positions to a human


def ask_to_sell(desk: Desk, order: Order, problem: StoreError) -> None:
    """An exit was due and its intent could not be written, so nothing was sent."""
    _alert(
        desk,
        "exit-by-hand",
        f"{words(order)} was NOT sent, for it could not be written down ({problem.message}): send it by hand",
        order,
    )


def tell_sent(desk: Desk, order: Order, problem: StoreError) -> None:
    """An order is at the venue, or may be, and its answer could not be written."""
    _alert(
        desk,
        "order-not-written",
        f"{words(order)} is or may be at the venue as {order.client_order_id}; its answer could not be written down "
        f"({problem.message}): look there before anything else is sent, then: tradekit reconcile",
        order,
    )


def words(order: Order) -> str:
    """`SELL 99 AAA market day (exit: hard-stop)`: what a human types at the venue."""
    prices = [f"{name} {price}" for name, price in (("limit", order.limit_price), ("stop", order.stop_price)) if price]
    kind = " ".join([order.type, *prices, order.tif])
    return f"{order.side.upper()} {order.qty} {order.symbol} {kind} ({order.purpose}: {order.reason})"


def positions_left(path: Path) -> Iterator[str]:
    """One line for each open position of a desk whose books cannot be written but can be read; else none."""
    from tradekit.store import open_store

    with suppress(StoreError):
        store = open_store(path, readonly=True)
        try:
            resting = {order.position_id: order for order in store.orders.live() if order.side == "sell"}
            for position in store.positions.open():
                yield _line(position, resting.get(position.id))
        finally:
            store.close()


def _line(position: Position, order: Order | None) -> str:
    levels = [
        f"{name} {level}"
        for name, level in (("stop", position.stop_price), ("target", position.target_price))
        if level is not None
    ]
    there = "nothing of it is at the venue" if order is None else f"at the venue: {words(order)}"
    held = f"{position.qty} {position.symbol} {position.side} at {position.avg_price}"
    return f"BY HAND: {', '.join([held, *levels])}; {there}"


def _alert(desk: Desk, kind: str, message: str, order: Order) -> None:
    with suppress(StoreError):  # said first, then written where that is possible
        alert(desk, kind, message, symbol=order.symbol, ref=order.id)
