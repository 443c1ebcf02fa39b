"""No entry while the venue refuses what we send."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, unknown, veto


@dataclass(frozen=True)
class RejectStreak:
    """Vetoes when the last `limit` orders were all rejected."""

    limit: int = 3
    name = "reject-streak"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the streak with the limit."""
        if not is_not_negative(book.reject_streak):
            return unknown(self.name, f"the streak of rejects is {book.reject_streak}")
        found = f"{book.reject_streak} rejected orders in a row"
        if book.reject_streak < self.limit:
            return approve(
                self.name,
                f"{found}, {self.limit} halt entries",
                found=book.reject_streak,
                limit=self.limit,
            )
        ask = f"entries stop at {self.limit}; look at `tradekit orders`, then `tradekit resume`"
        return veto(self.name, f"{found}; {ask}", found=book.reject_streak, limit=self.limit)
