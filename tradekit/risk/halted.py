"""No entry in a symbol that does not trade."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class Halted:
    """Vetoes while the venue has halted the symbol."""

    name = "halted"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up among the halted ones."""
        if entry.symbol in book.halted:
            return veto(self.name, f"{entry.symbol} is halted; entries pass after its reopening")
        return approve(self.name, f"{entry.symbol} is not halted")
