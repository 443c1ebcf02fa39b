"""No entry right after another one, or right after a close, in the same symbol."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class SymbolCooldown:
    """Vetoes within `wait_s` of the symbol's last close; on a market that never closes within `around_the_clock_s`."""

    wait_s: int = 60
    around_the_clock_s: int = 86400
    name = "symbol-cooldown"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the time since the last close of the symbol with the wait."""
        wait = self.around_the_clock_s if book.around_the_clock else self.wait_s
        at = book.last_closed_at.get(entry.symbol)
        if at is None:
            return approve(
                self.name,
                f"no close of {entry.symbol} in the last {wait} s",
                limit_s=wait,
            )
        since = (book.at - at).total_seconds()
        if since >= wait:
            return approve(
                self.name,
                f"{entry.symbol} was closed {since:.0f} s ago",
                since_s=since,
                limit_s=wait,
            )
        ask = f"entries pass in {wait - since:.0f} s"
        return veto(
            self.name,
            f"{entry.symbol} was closed {since:.0f} s ago; {ask}",
            since_s=since,
            limit_s=wait,
        )
