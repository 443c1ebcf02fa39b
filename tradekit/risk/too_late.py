"""No day trade that has no day left."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, unknown, veto


@dataclass(frozen=True)
class TooLate:
    """Vetoes day intents in the last `before_close_s` seconds of the session."""

    before_close_s: int = 3600
    name = "too-late"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the time to the close with the limit."""
        if entry.intent != "day":
            return skip(
                self.name,
                f"a {entry.intent} entry may stay overnight",
                limit_s=self.before_close_s,
            )
        if book.around_the_clock:
            return skip(self.name, "this market never closes", limit_s=self.before_close_s)
        if book.close_at is None:
            return unknown(
                self.name,
                "the session's close is not known",
                limit_s=self.before_close_s,
            )
        left = (book.close_at - book.at).total_seconds()
        numbers = {"left_s": left, "limit_s": self.before_close_s}
        if left > self.before_close_s:
            return approve(
                self.name,
                f"{left:.0f} s to the close, {self.before_close_s} s needed",
                **numbers,
            )
        ask = f"a day entry needs more than {self.before_close_s} s: next session, or a swing plan"
        return veto(self.name, f"{left:.0f} s to the close; {ask}", **numbers)
