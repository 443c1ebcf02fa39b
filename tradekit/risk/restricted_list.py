"""Some names are not for this desk."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class RestrictedList:
    """Vetoes symbols on `restricted`, and those missing from `allowed` where that list is given (empty: all)."""

    restricted: tuple[str, ...] = ()
    allowed: tuple[str, ...] | None = None
    name = "restricted-list"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look the symbol up in both lists."""
        if entry.symbol in self.restricted:
            return veto(
                self.name,
                f"{entry.symbol} is on risk.restricted; take it off the list to trade it",
            )
        if self.allowed is not None and entry.symbol not in self.allowed:
            return veto(
                self.name,
                f"{entry.symbol} is not on risk.allowed; put it on the list to trade it",
            )
        return approve(self.name, f"{entry.symbol} is on no list against it")
