"""The desk keeps part of its money out of the market."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_not_negative,
    is_positive,
    percent,
    ratio,
    unknown,
    veto,
)


@dataclass(frozen=True)
class Exposure:
    """Vetoes when positions, working entries and this order exceed `limit` of desk equity together, or `cap`."""

    limit: float = 0.60
    cap: float = 1.0
    name = "exposure"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Add the order to what is held and working, at last prices."""
        if not (is_positive(book.equity) and is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(
                self.name,
                f"desk equity is {book.equity}, the order {entry.qty} at {entry.limit_price}",
            )
        total = entry.qty * entry.limit_price
        for view in book.holdings:
            if view.notional is None or not is_not_negative(view.notional):
                return unknown(
                    self.name,
                    f"{view.symbol} has no fresh price, so the exposure is not known",
                )
            total += view.notional
        limit = min(self.limit, self.cap)
        share = ratio(total, book.equity)  # type: ignore[arg-type]
        found = f"with this order {percent(share)} of desk equity would be in the market"
        numbers = {"exposure": share, "limit": limit, "cap": self.cap}
        if share <= limit:
            return approve(self.name, f"{found}, {percent(limit)} allowed", **numbers)
        return veto(
            self.name,
            f"{found}; at most {percent(limit)} passes: close something or buy less",
            **numbers,
        )
