"""No entry beside shares that are not the desk's."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, veto


@dataclass(frozen=True)
class HeldUnmanaged:
    """Vetoes a symbol that the account holds, or has orders in, outside the desk."""

    on: bool = True
    name = "held-unmanaged"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up among the unmanaged ones."""
        if not self.on:
            return skip(self.name, "switched off by risk.held_unmanaged")
        if entry.symbol in book.unmanaged:
            ask = "entries pass once they are gone, or adopted"
            return veto(
                self.name,
                f"the account has {entry.symbol} shares or orders that are not the desk's; {ask}",
            )
        return approve(self.name, f"the account has nothing of its own in {entry.symbol}")
