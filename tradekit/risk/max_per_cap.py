"""Not all of the desk in one class of companies."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, occupied, skip, veto


@dataclass(frozen=True)
class MaxPerCap:
    """Vetoes when `limit` positions of the entry's cap class are open or on their way; None: no limit."""

    limit: int | None = None
    name = "max-per-cap"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count the symbols of the same cap class; what universe.yaml gives no class is neither judged nor counted."""
        if self.limit is None:
            return skip(self.name, "switched off: risk.max_per_cap is not set")
        if entry.cap is None or not entry.listed:
            return skip(
                self.name,
                f"universe.yaml names no cap class for {entry.symbol}",
                limit=self.limit,
            )
        found = sum(view.listed and view.cap == entry.cap for view in occupied(book).values())
        words = f"{found} of {self.limit} {entry.cap} cap positions are open"
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; entries pass below {self.limit}",
            found=found,
            limit=self.limit,
        )
