"""No entry outside the session, and no on-open order that the venue would refuse."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, unknown, veto


@dataclass(frozen=True)
class MarketOpen:
    """Vetoes outside open <= now < close; an on-open order instead must come `cutoff_s` before the open."""

    cutoff_s: int = 120
    name = "market-open"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare now with the session's open and close."""
        if book.session is None:
            return veto(self.name, "no session today; entries pass when the calendar has one")
        if book.around_the_clock:
            return approve(self.name, "this market never closes")
        if book.open_at is None or book.close_at is None:
            return unknown(self.name, f"the hours of the session {book.session} are not known")
        hours = {"at": book.at, "open_at": book.open_at, "close_at": book.close_at}
        to_open = (book.open_at - book.at).total_seconds()
        if entry.on_open:
            if to_open > self.cutoff_s:
                return approve(self.name, f"the open is {to_open:.0f} s away", **hours)
            ask = f"on-open orders go until {self.cutoff_s} s before the open"
            return veto(self.name, f"the open is {to_open:.0f} s away; {ask}", **hours)
        if to_open > 0:
            return veto(
                self.name,
                f"the session opens in {to_open:.0f} s; entries pass from then on",
                **hours,
            )
        if book.at >= book.close_at:
            return veto(
                self.name,
                "the session is closed; entries pass in the next one",
                **hours,
            )
        return approve(
            self.name,
            f"the session is open, {(book.close_at - book.at).total_seconds():.0f} s left",
            **hours,
        )
