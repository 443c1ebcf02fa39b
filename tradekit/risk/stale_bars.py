"""No entry on features made of old bars."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, unknown, veto


@dataclass(frozen=True)
class StaleBars:
    """Vetoes when the symbol's last bar ended more than `timeframes` bars ago."""

    timeframes: float = 2.0
    name = "stale-bars"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the last bar's age with its own length."""
        if entry.on_open:
            return skip(self.name, "an on-open order is decided on the last complete session")
        end, seconds = (
            book.bar_end.get(entry.symbol),
            book.bar_seconds.get(entry.symbol),
        )
        if end is None or not seconds or seconds <= 0:
            return unknown(self.name, f"{entry.symbol} has no bar of known length today")
        age, limit = (book.at - end).total_seconds(), self.timeframes * seconds
        numbers = {"age_s": age, "limit_s": limit, "bar_s": seconds}
        if age <= limit:
            return approve(
                self.name,
                f"the last bar ended {age:.0f} s ago, {limit:.0f} s allowed",
                **numbers,
            )
        ask = f"a bar that ended at most {limit:.0f} s ago ({self.timeframes:g} x {seconds} s) would pass"
        return veto(
            self.name,
            f"the last bar of {entry.symbol} ended {age:.0f} s ago; {ask}",
            **numbers,
        )
