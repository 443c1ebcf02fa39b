"""No entry where crossing the spread costs too much."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_positive,
    percent,
    ratio,
    skip,
    unknown,
    veto,
)


@dataclass(frozen=True)
class Spread:
    """Vetoes a spread above `large` of the mid (`small` for small caps), or above `of_stop` of the stop distance."""

    large: float = 0.003
    small: float = 0.008
    of_stop: float = 0.25
    name = "spread"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the spread with the mid and with the way to the stop."""
        if entry.on_open:
            return skip(self.name, "an on-open order trades in the auction, which has no spread")
        quote = book.quotes.get(entry.symbol)
        if quote is None or not (is_positive(quote.bid) and is_positive(quote.ask)):
            return unknown(self.name, f"{entry.symbol} has no usable quote")
        limit = self.small if entry.cap == "small" else self.large
        width = quote.ask - quote.bid
        spread = ratio(width, quote.mid)
        numbers = {
            "spread": spread,
            "limit": limit,
            "of_stop_limit": self.of_stop,
            "assumed": quote.assumed,
        }
        found = f"the spread is {percent(spread)}" + (" (assumed)" if quote.assumed else "")
        if not 0 <= spread <= limit:
            return veto(self.name, f"{found}; at most {percent(limit)} would pass", **numbers)
        if entry.stop_price is None:
            return approve(
                self.name,
                f"{found}, {percent(limit)} allowed; no stop to compare it with",
                **numbers,
            )
        distance = entry.limit_price - entry.stop_price
        if not is_positive(distance):
            return unknown(self.name, f"the stop distance is {distance}")
        part = ratio(width, distance)
        numbers["of_stop"] = part
        if part <= self.of_stop:
            why = f"{found}, {percent(limit)} allowed, and {percent(part)} of the way to the stop"
            return approve(self.name, why, **numbers)
        ask = f"at most {percent(self.of_stop)} would pass: a wider stop or a tighter market"
        return veto(
            self.name,
            f"{found}, which is {percent(part)} of the way to the stop; {ask}",
            **numbers,
        )
