"""No entry too far under the desk's peak."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_not_negative, percent, unknown, veto


@dataclass(frozen=True)
class Drawdown:
    """Vetoes when desk equity is `limit` or more under its peak since the last `resume`."""

    limit: float = 0.08
    name = "drawdown"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the drawdown with the limit."""
        down = book.drawdown
        if down is None or not is_not_negative(down):
            return unknown(self.name, f"the drawdown is {down}")
        found = f"desk equity is {percent(down)} under its peak"
        if down < self.limit:
            return approve(
                self.name,
                f"{found}, the limit is {percent(self.limit)}",
                found=down,
                limit=self.limit,
            )
        ask = f"entries pass under {percent(self.limit)}, or after `tradekit resume` set a new peak"
        return veto(self.name, f"{found}; {ask}", found=down, limit=self.limit)
