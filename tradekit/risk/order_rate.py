"""A runaway loop stops at the gate."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class OrderRate:
    """Vetoes when `limit` entry orders were written in the last `within_s` seconds."""

    limit: int = 20
    within_s: int = 60
    name = "order-rate"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count the entry orders of the last minute; one dated ahead of now counts as now."""
        found = sum((book.at - at).total_seconds() < self.within_s for at, _ in book.recent_entry_orders)
        words = f"{found} entry orders in the last {self.within_s} s"
        numbers = {"found": found, "limit": self.limit, "within_s": self.within_s}
        if found < self.limit:
            return approve(self.name, f"{words}, {self.limit} allowed", **numbers)
        return veto(
            self.name,
            f"{words}; entries pass below {self.limit}: wait a minute",
            **numbers,
        )
