"""No entry on a day that has lost enough."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_number, percent, ratio, unknown, veto


@dataclass(frozen=True)
class DailyLoss:
    """Vetoes when realised and open P&L since the previous close reach minus `limit` of the equity at that close."""

    limit: float = 0.02
    name = "daily-loss"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the day's P&L with the limit."""
        if not (is_number(book.equity) and is_number(book.day_pnl)):
            return unknown(self.name, f"desk equity is {book.equity}, the day's P&L {book.day_pnl}")
        before = book.equity - book.day_pnl  # type: ignore[operator]
        if before <= 0:
            return unknown(self.name, f"desk equity at the previous close is {before}")
        loss = ratio(-book.day_pnl, before)  # type: ignore[operator]
        found = f"the day stands at {-loss * 100:+.2f} % of the previous close's desk equity"
        if loss < self.limit:
            return approve(
                self.name,
                f"{found}, above -{percent(self.limit)}",
                loss=loss,
                limit=self.limit,
            )
        ask = f"entries pass above -{percent(self.limit)} or in the next session"
        return veto(self.name, f"{found}; {ask}", loss=loss, limit=self.limit)
