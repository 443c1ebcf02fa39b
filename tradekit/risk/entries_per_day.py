"""A desk that buys all day is not choosing."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, unknown, veto, working_only


@dataclass(frozen=True)
class EntriesPerDay:
    """Vetoes after `limit` entries with a fill in this session; a working entry counts, since it may fill."""

    limit: int = 12
    name = "entries-per-day"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count today's filled and working entries."""
        if not is_not_negative(book.entries_today):
            return unknown(self.name, f"the number of today's entries is {book.entries_today}")
        found = book.entries_today + sum(1 for _ in working_only(book))
        words = f"{found} of {self.limit} entries of the day are used"
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; entries pass in the next session",
            found=found,
            limit=self.limit,
        )
