"""No position too large for the desk."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_positive, percent, ratio, unknown, veto


@dataclass(frozen=True)
class PositionSize:
    """Vetoes an order worth more than `limit` of desk equity."""

    limit: float = 0.10
    name = "position-size"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare quantity x limit price with desk equity."""
        if not (is_positive(book.equity) and is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(
                self.name,
                f"desk equity is {book.equity}, the order {entry.qty} at {entry.limit_price}",
            )
        size = ratio(entry.qty * entry.limit_price, book.equity)  # type: ignore[arg-type]
        found = f"{entry.qty} at {entry.limit_price} is {percent(size)} of desk equity"
        if size <= self.limit:
            return approve(
                self.name,
                f"{found}, {percent(self.limit)} allowed",
                size=size,
                limit=self.limit,
            )
        return veto(
            self.name,
            f"{found}; at most {percent(self.limit)} would pass",
            size=size,
            limit=self.limit,
        )
