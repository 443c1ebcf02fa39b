"""The same buy is not sent twice."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class Duplicate:
    """Vetoes when an entry order for the symbol was written in the last `within_s` seconds."""

    within_s: int = 60
    name = "duplicate"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look for a recent entry order of the same symbol."""
        ages = [(book.at - at).total_seconds() for at, symbol in book.recent_entry_orders if symbol == entry.symbol]
        if not ages or min(ages) >= self.within_s:
            return approve(
                self.name,
                f"no entry order for {entry.symbol} in {self.within_s} s",
                within_s=self.within_s,
            )
        ask = f"entries pass in {self.within_s - min(ages):.0f} s"
        found = f"an entry order for {entry.symbol} was written {min(ages):.0f} s ago"
        return veto(self.name, f"{found}; {ask}", age_s=min(ages), within_s=self.within_s)
