"""No entry while somebody has halted the desk, or while the halts cannot be read."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, veto


@dataclass(frozen=True)
class KillSwitch:
    """Vetoes while a halt by hand is open; halts that cannot be read count as open."""

    name = "kill-switch"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look for an open manual halt."""
        if book.halts is None:
            return veto(
                self.name,
                "the halts could not be read, which counts as halted; repair the store (doctor)",
            )
        for halt in book.halts:
            if halt.kind == "manual" and halt.cleared_at is None:
                return veto(
                    self.name, f"halted by {halt.by}: {halt.reason}; `tradekit resume` would let entries pass",
                    halt=halt.id, since=halt.at,
                )  # fmt: skip
        return approve(self.name, "no halt by hand is open")
