"""What every broker adapter offers. An adapter translates, nothing else; the desk keeps the rules.

Errors: OrderRejected (the venue said no), BrokerError (it did not answer: a failed read is never an
empty list), AmbiguousSend (a submit whose outcome is unknown), AuthError.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from tradekit.model import OrderStatus, OrderType, Record, Side, Tif


class Capabilities(Record, frozen=True, kw_only=True):
    """What a venue can do; the desk asks this, never the venue's name."""

    client_ids: Literal["unique", "open-only", "none"] = "unique"
    order_types: frozenset[str] = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})
    tifs: frozenset[str] = frozenset({"day", "gtc", "ioc", "opg", "cls"})
    extended_hours: bool = False
    extended_before_s: float = 19800.0  # they begin so long before the open: 04:00 New York
    extended_after_s: float = 14400.0  # and end so long after the close
    live: bool = False  # real money
    settle_s: float = (
        10.0  # how long a cancel may take to become final; 0: asking again sooner than the next bar is idle
    )
    grace_s: float = 10.0  # an order that two looks this far apart did not show has not arrived
    min_qty: Decimal = Decimal(0)  # less than this cannot be sold: dust
    min_notional: Decimal = Decimal(0)  # nor less than this much money's worth
    taker: float | None = None  # fee of an order that takes, a fraction of notional; None: the venue does not say


class OrderRequest(Record, frozen=True, kw_only=True):
    """What goes to the venue. `decision_price` and `trigger_at` are for simulated venues.

    A sell that a hard or trailing stop asked for carries the level that was touched (`decision_price`) and
    the start of the bar that touched it (`trigger_at`): where the simulated venue's bars are longer than the exit
    pass interval it fills inside that bar, since a desk that watched live would have seen the level go by.
    Live venues ignore both.
    """

    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    type: OrderType
    tif: Tif
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_pct: Decimal | None = None  # a fraction
    extended_hours: bool = False
    decision_price: Decimal | None = None
    trigger_at: datetime | None = None


class BrokerOrder(Record, frozen=True, kw_only=True):
    broker_order_id: str
    client_order_id: str | None
    symbol: str
    side: Side
    qty: Decimal
    type: str
    tif: str
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: OrderStatus
    raw_status: str
    filled_qty: Decimal
    avg_price: Decimal | None
    submitted_at: datetime
    updated_at: datetime
    triggered_at: datetime | None = None  # a stop whose level was touched
    reason: str | None = None  # why it was rejected, cancelled, expired


class BrokerFill(Record, frozen=True, kw_only=True):
    broker_fill_id: str
    broker_order_id: str
    client_order_id: str | None
    at: datetime
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    fee_estimated: bool


class BrokerPosition(Record, frozen=True, kw_only=True):
    symbol: str
    qty: Decimal  # negative: short
    available: Decimal  # not held by working sell orders
    avg_price: Decimal | None


class BrokerAccount(Record, frozen=True, kw_only=True):
    account_id: str
    cash: Decimal
    equity: Decimal | None  # None: some price is unknown
    buying_power: Decimal
    last_equity: Decimal | None  # at the previous session's close
    currency: str


class CashFlow(Record, frozen=True, kw_only=True):
    """Money or shares that came or went without a trade: paper deposit/hold, dividends, fees."""

    ref: str
    at: datetime
    kind: str
    symbol: str | None
    qty: Decimal | None
    amount: Decimal | None


class Broker(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def account(self) -> BrokerAccount: ...

    def positions(self) -> Sequence[BrokerPosition]: ...

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send once. A client_order_id that the venue knows already returns the order it has."""
        ...

    def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel; whether it worked is read from the order afterwards. Unknown order: BrokerError."""
        ...

    def order(self, client_order_id: str) -> BrokerOrder | None:
        """By our id, among open and closed orders; None: the venue does not know it (yet)."""
        ...

    def order_by_broker_id(self, broker_order_id: str) -> BrokerOrder | None:
        """By the venue's own id: the way to a known order where client ids are reused or do not exist."""
        ...

    def open_orders(self) -> Sequence[BrokerOrder]:
        """All working orders of the account, also those that are not the desk's."""
        ...

    def orders_since(self, since: datetime) -> Sequence[BrokerOrder]:
        """Orders submitted or updated at or after `since`, open and closed."""
        ...

    def fills_since(self, since: datetime) -> Sequence[BrokerFill]:
        """Fills at or after `since`, oldest first."""
        ...

    def cash_flows_since(self, since: datetime) -> Sequence[CashFlow]: ...

    def guard(self, levels: Mapping[str, Decimal | None]) -> None:
        """The desk's own software stops by symbol, None where the position is gone; symbols not named stay.

        A simulated venue judges them together with resting stops inside one long bar, highest first;
        live venues do nothing.
        """
        ...
