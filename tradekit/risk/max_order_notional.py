"""A ceiling in money for any one order."""

from dataclasses import dataclass
from decimal import Decimal

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_positive, skip, unknown, veto


@dataclass(frozen=True)
class MaxOrderNotional:
    """Vetoes an order worth more than `limit` in the desk's currency; None: no limit."""

    limit: Decimal | None = None
    currency: str = "USD"
    name = "max-order-notional"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare quantity x limit price with the ceiling."""
        if self.limit is None:
            return skip(self.name, "switched off: risk.max_order_notional is not set")
        if not (is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(self.name, f"the order is {entry.qty} at {entry.limit_price}")
        worth = entry.qty * entry.limit_price
        found = f"the order is worth {worth:,.2f} {self.currency}"
        if worth <= self.limit:
            return approve(
                self.name,
                f"{found}, {self.limit:,.2f} allowed",
                found=worth,
                limit=self.limit,
            )
        ask = f"at most {self.limit:,.2f} {self.currency} would pass"
        return veto(self.name, f"{found}; {ask}", found=worth, limit=self.limit)
