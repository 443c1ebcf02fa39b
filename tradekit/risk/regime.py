"""Fewer positions in a worse market."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, occupied, veto

POSITIONS = {"up": 6, "sideways": 4, "down": 2, "dead": 0}


@dataclass(frozen=True)
class Regime:
    """Vetoes when as many positions are open or on their way as the market's regime bears."""

    positions: Mapping[str, int] = field(default_factory=lambda: dict(POSITIONS))
    name = "regime"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the positions with the regime's limit; an unknown regime counts as sideways."""
        known = book.regime if book.regime in POSITIONS else "sideways"
        limit = self.positions.get(known, POSITIONS[known])
        found = len(occupied(book))
        words = f"the market is {known}, {found} of {limit} positions are open"
        if found < limit:
            return approve(self.name, words, found=found, limit=limit, regime=known)
        return veto(
            self.name,
            f"{words}; fewer positions or a better market",
            found=found,
            limit=limit,
            regime=known,
        )
