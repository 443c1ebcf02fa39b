"""No time stop that the exit checks are too rare to keep."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_positive, skip, unknown, veto


@dataclass(frozen=True)
class ExitInterval:
    """Vetoes a plan whose max_hold_s is shorter than `multiple` exit checks."""

    multiple: float = 5.0
    name = "exit-interval"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the plan's longest hold with the interval of the exit passes."""
        if entry.max_hold_s is None:
            return skip(self.name, "the plan has no time stop", multiple=self.multiple)
        if not (is_positive(entry.max_hold_s) and is_positive(book.exit_interval_s)):
            return unknown(
                self.name,
                f"max_hold_s is {entry.max_hold_s}, exits run each {book.exit_interval_s} s",
            )
        need = self.multiple * book.exit_interval_s
        numbers = {
            "max_hold_s": entry.max_hold_s,
            "needed_s": need,
            "interval_s": book.exit_interval_s,
        }
        found = f"the plan holds for {entry.max_hold_s} s, exits are checked each {book.exit_interval_s} s"
        if entry.max_hold_s >= need:
            return approve(self.name, found, **numbers)
        ask = f"hold at least {need:.0f} s or run monitor-exits more often"
        return veto(self.name, f"{found}; {ask}", **numbers)
