"""One scan does not fill the desk."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, unknown, veto


@dataclass(frozen=True)
class MaxPerScan:
    """Vetoes when `limit` entries of this run of enter have passed."""

    limit: int = 3
    name = "max-per-scan"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the entries of this run with the limit."""
        found = book.entries_this_scan
        if not is_not_negative(found):
            return unknown(self.name, f"the number of entries of this scan is {found}")
        words = f"{found} of {self.limit} entries of this scan are used"
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; the next scan may enter again",
            found=found,
            limit=self.limit,
        )
