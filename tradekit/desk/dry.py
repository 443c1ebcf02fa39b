"""The venue of a dry run: reads are real, orders and cancels go nowhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from tradekit.brokers.base import (
    Broker,
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Capabilities,
    CashFlow,
    OrderRequest,
)
from tradekit.clock import Clock
from tradekit.model import LIVE_STATUSES


class DryBroker:
    """Says yes to every order and forgets it; what was cancelled looks cancelled from then on. The rest comes from the
    venue behind it.
    """

    def __init__(self, venue: Broker, clock: Clock) -> None:
        self._venue, self._clock = venue, clock
        self._cancelled: set[str] = set()

    @property
    def name(self) -> str:
        return self._venue.name

    @property
    def capabilities(self) -> Capabilities:
        return self._venue.capabilities

    def account(self) -> BrokerAccount:
        return self._venue.account()

    def positions(self) -> Sequence[BrokerPosition]:
        return self._venue.positions()

    def submit(self, order: OrderRequest) -> BrokerOrder:
        now = self._clock.now()
        return BrokerOrder(
            broker_order_id=f"dry-{order.client_order_id[:8]}",
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            side=order.side,
            qty=order.qty,
            type=order.type,
            tif=order.tif,
            limit_price=order.limit_price,
            stop_price=order.stop_price,
            status="open",
            raw_status="dry-run",
            filled_qty=Decimal(0),
            avg_price=None,
            submitted_at=now,
            updated_at=now,
        )

    def cancel(self, broker_order_id: str) -> None:
        """At once, here alone: a stop that makes room for a sale must not keep the sale out of the answer."""
        self._cancelled.add(broker_order_id)

    def order(self, client_order_id: str) -> BrokerOrder | None:
        return self._seen(self._venue.order(client_order_id))

    def order_by_broker_id(self, broker_order_id: str) -> BrokerOrder | None:
        return self._seen(self._venue.order_by_broker_id(broker_order_id))

    def open_orders(self) -> Sequence[BrokerOrder]:
        return [order for order in self._venue.open_orders() if order.broker_order_id not in self._cancelled]

    def orders_since(self, since: datetime) -> Sequence[BrokerOrder]:
        return [self._cancelled_or(order) for order in self._venue.orders_since(since)]

    def _seen(self, order: BrokerOrder | None) -> BrokerOrder | None:
        return None if order is None else self._cancelled_or(order)

    def _cancelled_or(self, order: BrokerOrder) -> BrokerOrder:
        if order.broker_order_id in self._cancelled and order.status in LIVE_STATUSES:
            return msgspec.structs.replace(order, status="cancelled", raw_status="dry-run")
        return order

    def fills_since(self, since: datetime) -> Sequence[BrokerFill]:
        return self._venue.fills_since(since)

    def cash_flows_since(self, since: datetime) -> Sequence[CashFlow]:
        return self._venue.cash_flows_since(since)

    def guard(self, levels: Mapping[str, Decimal | None]) -> None:
        """A dry run guards nothing."""
