"""No symbol is bought over and over on one day."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, unknown, veto, working_only


@dataclass(frozen=True)
class EntriesPerSymbol:
    """Vetoes after `limit` entries with a fill in this symbol and session; a working entry counts."""

    limit: int = 1
    name = "entries-per-symbol"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Count today's filled and working entries of the symbol."""
        filled = book.entries_today_by_symbol.get(entry.symbol, 0)
        if not is_not_negative(filled):
            return unknown(self.name, f"the number of today's {entry.symbol} entries is {filled}")
        found = filled + sum(view.symbol == entry.symbol for view in working_only(book))
        words = f"{found} of {self.limit} entries in {entry.symbol} today are used"
        if found < self.limit:
            return approve(self.name, words, found=found, limit=self.limit)
        return veto(
            self.name,
            f"{words}; entries pass in the next session",
            found=found,
            limit=self.limit,
        )
