"""A desk holds a handful of positions, not a market."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, occupied, veto


@dataclass(frozen=True)
class MaxPositions:
    """Vetoes when `limit` positions are open or on their way."""

    limit: int = 6
    name = "max-positions"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count the symbols that are held or have a working entry."""
        views = occupied(book).values()
        found, working = len(views), sum(view.working for view in views)
        words = f"{found} of {self.limit} positions are open" + (f" ({working} still working)" if working else "")
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; entries pass below {self.limit}",
            found=found,
            limit=self.limit,
        )
