"""No order that the account cannot pay."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, entry_fee, is_not_negative, is_positive, unknown, veto


@dataclass(frozen=True)
class BuyingPower:
    """Vetoes an order that costs, with the fee of its side, more than the broker's buying power."""

    currency: str = "USD"
    name = "buying-power"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare quantity x limit price + fee with the buying power."""
        power = book.buying_power
        if power is None or not (is_not_negative(power) and is_not_negative(book.fee_rate)):
            return unknown(self.name, f"buying power is {power}, the fee rate {book.fee_rate}")
        if not (is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(self.name, f"the order is {entry.qty} at {entry.limit_price}")
        cost = entry.qty * entry.limit_price + entry_fee(entry, book)
        found = f"the order costs {cost:,.2f} {self.currency} of {power:,.2f} buying power"
        if cost <= power:
            return approve(self.name, found, cost=cost, limit=power)
        return veto(
            self.name,
            f"{found}; free {cost - power:,.2f} {self.currency} or buy less",
            cost=cost,
            limit=power,
        )
