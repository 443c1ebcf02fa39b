"""No second trade in a symbol on one day."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, veto


@dataclass(frozen=True)
class ClosedToday:
    """Vetoes a symbol whose position was closed in this session."""

    on: bool = True
    name = "closed-today"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up among today's closed trades."""
        if not self.on:
            return skip(self.name, "switched off by risk.closed_today")
        if entry.symbol in book.closed_today:
            return veto(
                self.name,
                f"{entry.symbol} was traded and closed today; entries pass in the next session",
            )
        return approve(self.name, f"{entry.symbol} was not closed today")
