"""The venue as it was read a moment ago, so that no transaction waits for the network."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tradekit.brokers.base import BrokerAccount, BrokerOrder, BrokerPosition
from tradekit.desk.desk import Desk
from tradekit.money import ZERO


class Seen(NamedTuple):
    """What the account holds; `account` and `orders` are read for entries only."""

    positions: Sequence[BrokerPosition]
    account: BrokerAccount | None = None
    orders: Sequence[BrokerOrder] = ()

    def qty(self, symbol: str) -> Decimal:
        """Shares of a symbol in the account, the desk's and others'."""
        return sum((held.qty for held in self.positions if held.symbol == symbol), ZERO)


def look(desk: Desk, *, for_entry: bool) -> Seen:
    """Read the venue. Raises BrokerError: a failed read is never an empty list."""
    if not for_entry:
        return Seen(desk.broker.positions())
    return Seen(desk.broker.positions(), desk.broker.account(), desk.broker.open_orders())
