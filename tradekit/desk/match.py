"""Which of the venue's orders is ours: by client id where the venue keeps one, else by what it is and when it came."""

from collections.abc import Sequence
from datetime import timedelta

from tradekit.brokers.base import BrokerOrder
from tradekit.desk.desk import Desk
from tradekit.model import Order

SKEW = timedelta(seconds=5)  # the venue's clock against ours
WINDOW = timedelta(seconds=60)  # an order that was on the wire at t has a venue time within this of t


def candidates(desk: Desk, order: Order, listed: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """The venue's orders that may be `order`: none, the one, or several that nobody can tell apart.

    `listed` are the working orders just read. Raises BrokerError where the venue does not answer.
    """
    ids = desk.broker.capabilities.client_ids
    if ids == "none":
        return _known(desk, order, listed) if order.broker_order_id else _alike(desk, order, listed)
    if ids == "unique":
        found = of(order, listed) or desk.broker.order(order.client_order_id)
        return [found] if found is not None else []
    return _same_client_id(desk, order, listed)


def of(order: Order, listed: Sequence[BrokerOrder]) -> BrokerOrder | None:
    """Our order among those listed: by client id, and by the venue's id where there is no other."""
    return Listing(listed).get(order)


class Listing:
    """Working orders just read, to be found by their ids."""

    def __init__(self, listed: Sequence[BrokerOrder]) -> None:
        self._by_client = {answer.client_order_id: answer for answer in listed if answer.client_order_id}
        self._by_broker = {answer.broker_order_id: answer for answer in listed}

    def get(self, order: Order) -> BrokerOrder | None:
        """Our order: the venue's id where it names no other client's order, else the client id."""
        found = self._by_broker.get(order.broker_order_id) if order.broker_order_id else None
        if found is not None and found.client_order_id in (None, "", order.client_order_id):
            return found
        return self._by_client.get(order.client_order_id)


def lookup(desk: Desk, order: Order) -> BrokerOrder | None:
    """An order that the venue has accepted before, as it is there now. None: it does not know it."""
    ids = desk.broker.capabilities.client_ids
    if ids == "unique" or (order.broker_order_id is None and ids != "none"):
        return desk.broker.order(order.client_order_id)
    found = desk.broker.order_by_broker_id(order.broker_order_id) if order.broker_order_id else None
    if found is not None or ids != "none":
        return found
    alike = _alike(desk, order, ())  # the id in its answer may have been a wrong one
    return alike[0] if len(alike) == 1 else None


def row_of(desk: Desk, answer: BrokerOrder) -> Order | None:
    """Our row of a venue's order, None for somebody else's."""
    if answer.client_order_id:
        return desk.store.orders.by_client_id(answer.client_order_id)
    return desk.store.orders.by_broker_id(answer.broker_order_id)


def _known(desk: Desk, order: Order, listed: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    found = of(order, listed) or lookup(desk, order)
    return [found] if found is not None else []


def _same_client_id(desk: Desk, order: Order, listed: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """Ids are unique among open orders only: the closed ones are asked too, before anything is sent again."""
    newest = desk.broker.order(order.client_order_id)
    pool = [*listed, *desk.broker.orders_since(order.created_at - SKEW), *([newest] if newest else [])]
    found = {x.broker_order_id: x for x in pool if x.client_order_id == order.client_order_id}
    if order.broker_order_id in found:
        return [found[order.broker_order_id]]
    return list(found.values())


def _alike(desk: Desk, order: Order, listed: Sequence[BrokerOrder]) -> list[BrokerOrder]:
    """No client ids: orders of this symbol, side, quantity and prices that came when ours was on the wire."""
    pool = [*listed, *desk.broker.orders_since(order.created_at - SKEW)]
    found = {x.broker_order_id: x for x in pool if _looks_like(order, x)}
    return [x for x in found.values() if desk.store.orders.by_broker_id(x.broker_order_id) is None]


def _looks_like(order: Order, answer: BrokerOrder) -> bool:
    sent = order.submitted_at or order.created_at
    return (
        not answer.client_order_id
        and (answer.symbol, answer.side, answer.qty) == (order.symbol, order.side, order.qty)
        and (answer.limit_price, answer.stop_price) == (order.limit_price, order.stop_price)
        and order.created_at - SKEW <= answer.submitted_at <= sent + WINDOW
    )
