"""No entry after too many losing trades in a row."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, unknown, veto


@dataclass(frozen=True)
class ConsecutiveLosses:
    """Vetoes when the last `limit` counted trades all lost; break-even neither counts nor resets."""

    limit: int = 6
    name = "consecutive-losses"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the streak with the limit."""
        if not is_not_negative(book.loss_streak):
            return unknown(self.name, f"the losing streak is {book.loss_streak}")
        found = f"{book.loss_streak} losing trades in a row"
        if book.loss_streak < self.limit:
            return approve(
                self.name,
                f"{found}, {self.limit} halt entries",
                found=book.loss_streak,
                limit=self.limit,
            )
        ask = f"entries stop at {self.limit}; `tradekit resume` starts a new count"
        return veto(self.name, f"{found}; {ask}", found=book.loss_streak, limit=self.limit)
