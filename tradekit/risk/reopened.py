"""No entry in the first minutes after a symbol's halt."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class Reopened:
    """Vetoes until `wait_s` seconds after the symbol's reopening."""

    wait_s: int = 300
    name = "reopened"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the time since the reopening with the wait."""
        at = book.reopened_at.get(entry.symbol)
        if at is None:
            return approve(self.name, f"{entry.symbol} was not halted today", limit_s=self.wait_s)
        since = (book.at - at).total_seconds()
        if since >= self.wait_s:
            return approve(
                self.name,
                f"reopened {since:.0f} s ago",
                since_s=since,
                limit_s=self.wait_s,
            )
        ask = f"entries pass in {self.wait_s - since:.0f} s"
        return veto(
            self.name,
            f"{entry.symbol} reopened {since:.0f} s ago; {ask}",
            since_s=since,
            limit_s=self.wait_s,
        )
