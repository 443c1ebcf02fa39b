"""No entry in a symbol that another desk of this account trades."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class OtherDesk:
    """Vetoes a symbol that another desk on the same account owns."""

    name = "other-desk"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up among the other desks' ones."""
        if entry.symbol in book.other_desk:
            return veto(
                self.name,
                f"another desk of this account owns {entry.symbol}; close or release it there",
            )
        return approve(self.name, f"no other desk owns {entry.symbol}")
