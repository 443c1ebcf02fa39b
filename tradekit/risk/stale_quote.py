"""No entry on an old price."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, unknown, veto


@dataclass(frozen=True)
class StaleQuote:
    """Vetoes quotes older than `limit_s`; a quote made of bars may be one bar old, counted from the bar's end."""

    limit_s: float = 20.0
    name = "stale-quote"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the quote's age with the limit."""
        if entry.on_open:
            return skip(self.name, "an on-open order takes the auction's price, not the quote's")
        quote = book.quotes.get(entry.symbol)
        if quote is None:
            return unknown(self.name, f"{entry.symbol} has no quote")
        made_at, limit = quote.at, self.limit_s
        if quote.assumed:  # made of a bar: a desk that is fed by bars never sees anything younger
            made_at = book.bar_end.get(entry.symbol, quote.at)
            limit = max(limit, float(book.bar_seconds.get(entry.symbol) or 0))
        age = (book.at - made_at).total_seconds()
        if age < -limit:
            return veto(
                self.name,
                f"the quote is dated {-age:.0f} s ahead; check the clocks",
                age_s=age,
                limit_s=limit,
            )
        if age <= limit:
            return approve(
                self.name,
                f"the quote is {age:.0f} s old, {limit:.0f} s allowed",
                age_s=age,
                limit_s=limit,
            )
        ask = f"a quote of at most {limit:.0f} s would pass"
        return veto(
            self.name,
            f"the quote of {entry.symbol} is {age:.0f} s old; {ask}",
            age_s=age,
            limit_s=limit,
        )
