"""Not all of the desk in one sector."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, occupied, skip, veto


@dataclass(frozen=True)
class MaxPerSector:
    """Vetoes when `limit` positions of the entry's sector are open or on their way."""

    limit: int = 2
    name = "max-per-sector"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count the symbols of the same sector; those of unknown sector are not counted."""
        if entry.sector is None:
            return skip(
                self.name,
                f"universe.yaml names no sector for {entry.symbol}",
                limit=self.limit,
            )
        found = sum(view.sector == entry.sector for view in occupied(book).values())
        words = f"{found} of {self.limit} positions in {entry.sector} are open"
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; entries pass below {self.limit}",
            found=found,
            limit=self.limit,
        )
