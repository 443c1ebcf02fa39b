"""No entry while an automatic halt is open."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class OpenHalt:
    """Vetoes while a halt that a loss, a drawdown, a streak or anything else raised is open."""

    name = "halt"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look for an open halt of any kind but manual, which is kill-switch's."""
        if book.halts is None:
            return veto(
                self.name,
                "the halts could not be read, which counts as halted; repair the store (doctor)",
            )
        for halt in book.halts:
            if halt.kind != "manual" and halt.cleared_at is None:
                ends = "it ends with the session" if halt.kind == "daily-loss" else "`tradekit resume` would end it"
                return veto(
                    self.name,
                    f"{halt.kind} halt: {halt.reason}; {ends}",
                    halt=halt.id,
                    since=halt.at,
                )
        return approve(self.name, "no automatic halt is open")
