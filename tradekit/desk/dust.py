"""Dust: what is held and is less than the venue sells. Marked as such once, neither sold nor given a stop."""

from decimal import Decimal

import msgspec

from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.prices import last_price
from tradekit.model import Mark, Position
from tradekit.store.positions import Marks

WORD = "dust: "


def too_small(desk: Desk, qty: Decimal, price: Decimal | None) -> str | None:
    """Why the venue does not take an order of `qty` at `price` (quote currency, None: unknown); None: it does."""
    can = desk.broker.capabilities
    if qty < can.min_qty:
        return f"{qty} is less than the {can.min_qty} that {desk.broker.name} trades at least"
    if can.min_notional and price is not None and qty * price < can.min_notional:
        return f"{qty} at {price} is less than the {can.min_notional} that {desk.broker.name} trades at least"
    return None


def is_dust(desk: Desk, position: Position) -> bool:
    """Too little for the venue to sell: marked as such once and left alone, until it is worth enough again."""
    can = desk.broker.capabilities
    if not can.min_qty and not can.min_notional:
        return False
    price = last_price(desk, position.symbol) if can.min_notional else None
    because = too_small(desk, position.qty, price)
    _mark(desk, position, because is not None)
    return because is not None


def _mark(desk: Desk, position: Position, small: bool) -> None:
    key, told = f"dust:{position.id}", str(position.qty) if small else None
    if desk.store.meta.get(key) != told:
        with desk.store.transaction():
            desk.store.meta.set(key, told)
            if small:
                event(desk, "dust", symbol=position.symbol, ref=position.id, qty=str(position.qty))
    mark = desk.store.marks.get(position.id)
    if mark is None:
        mark = Mark(position_id=position.id, at=desk.clock.now(), judged_to=desk.clock.now())
    was = mark.note or ""
    note = f"{WORD}{position.qty} is less than {desk.broker.name} sells"
    if small and was != note:
        desk.store.marks.save([msgspec.structs.replace(mark, note=note)], Marks.SAID)
    elif not small and was.startswith(WORD):
        desk.store.marks.save([msgspec.structs.replace(mark, note=None)], Marks.SAID)
