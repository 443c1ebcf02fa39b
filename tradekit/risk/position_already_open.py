"""One position per symbol."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, occupied, veto


@dataclass(frozen=True)
class PositionAlreadyOpen:
    """Vetoes a symbol that the desk holds, or may hold by an entry that is still working."""

    name = "position-already-open"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up among the holdings and the working entries."""
        view = occupied(book).get(entry.symbol)
        if view is None:
            return approve(self.name, f"the desk has no position in {entry.symbol}")
        if view.working:
            return veto(
                self.name,
                f"an entry for {view.qty} {entry.symbol} is working; wait for its end or cancel it",
            )
        return veto(
            self.name,
            f"the desk holds {view.qty} {entry.symbol}; close it before another entry",
        )
