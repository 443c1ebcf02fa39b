"""No entry whose target does not pay for its costs."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_not_negative,
    is_positive,
    percent,
    ratio,
    round_trip_fees,
    skip,
    unknown,
    veto,
)


@dataclass(frozen=True)
class RoomToProfit:
    """Vetoes a target nearer than `multiple` x (fees both ways + spread), as fractions of the limit price."""

    multiple: float = 3.0
    name = "room-to-profit"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the way to the target with the costs of the round trip."""
        if entry.target_price is None:
            return skip(self.name, "the plan has no target", multiple=self.multiple)
        if not (is_positive(entry.limit_price) and is_positive(entry.target_price)):
            return unknown(
                self.name,
                f"the limit is {entry.limit_price}, the target {entry.target_price}",
            )
        spread = _spread(entry, book)
        if spread is None or not is_not_negative(book.fee_rate):
            return unknown(self.name, f"the spread is {spread}, the fee rate {book.fee_rate}")
        room = ratio(entry.target_price - entry.limit_price, entry.limit_price)
        fees = round_trip_fees(entry, book)
        need = self.multiple * (fees + spread)
        numbers = {
            "room": room,
            "needed": need,
            "fees": fees,
            "spread": spread,
            "multiple": self.multiple,
        }
        costs = f"{self.multiple:g} x (fees {percent(fees)} + spread {percent(spread)})"
        if room >= need:
            return approve(
                self.name,
                f"the target is {percent(room)} away, {percent(need)} needed: {costs}",
                **numbers,
            )
        ask = f"it would have to be {percent(need)}: {costs}"
        return veto(self.name, f"the target is {percent(room)} away; {ask}", **numbers)


def _spread(entry: Proposal, book: Book) -> float | None:
    """The spread as a fraction of the limit price; 0 in an auction, None when unknown."""
    if entry.on_open:
        return 0.0
    quote = book.quotes.get(entry.symbol)
    if quote is None or not (is_positive(quote.bid) and is_positive(quote.ask)) or quote.ask < quote.bid:
        return None
    return ratio(quote.ask - quote.bid, entry.limit_price)
