"""No limit far from where the market is."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_positive, percent, ratio, unknown, veto


@dataclass(frozen=True)
class PriceCollar:
    """Vetoes a limit price more than `limit` away from the fresh reference, either way."""

    limit: float = 0.05
    name = "price-collar"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the limit price with the reference."""
        if not (is_positive(entry.limit_price) and is_positive(entry.reference)):
            return unknown(
                self.name,
                f"the limit is {entry.limit_price}, the reference {entry.reference}",
            )
        away = ratio(entry.limit_price - entry.reference, entry.reference)
        found = f"the limit of {entry.limit_price} is {away * 100:+.2f} % from {entry.reference}"
        if abs(away) <= self.limit:
            return approve(
                self.name,
                f"{found}, {percent(self.limit)} allowed",
                away=away,
                limit=self.limit,
            )
        return veto(
            self.name,
            f"{found}; at most {percent(self.limit)} would pass",
            away=away,
            limit=self.limit,
        )
