"""A desk whose positions do well leaves them alone."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, veto


@dataclass(frozen=True)
class SkipBuysWhenHealthy:
    """Vetoes when at least `positions` are held and all were scored below `alert` within `within_s` seconds."""

    on: bool = False
    positions: int = 3
    within_s: int = 2100
    alert: int = 3
    name = "skip-buys-when-healthy"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look for a held position that is not known to be healthy."""
        if not self.on:
            return skip(self.name, "switched off: risk.skip_buys_when_healthy is not set")
        held = [view for view in book.holdings if not view.working]
        if len(held) < self.positions:
            return approve(
                self.name,
                f"{len(held)} positions are held, fewer than {self.positions}",
                held=len(held),
            )
        for view in held:
            if view.reversal_score is None or view.reversal_at is None:
                return approve(
                    self.name,
                    f"{view.symbol} has no reversal score yet",
                    held=len(held),
                )
            age = (book.at - view.reversal_at).total_seconds()
            if age > self.within_s:
                return approve(
                    self.name,
                    f"the score of {view.symbol} is {age:.0f} s old",
                    held=len(held),
                    age_s=age,
                )
            if view.reversal_score >= self.alert:
                return approve(
                    self.name,
                    f"{view.symbol} weakens: reversal score {view.reversal_score}",
                    held=len(held),
                )
        ask = f"entries pass once one scores {self.alert} or more, or fewer than {self.positions} are held"
        return veto(
            self.name,
            f"all {len(held)} positions are healthy; {ask}",
            held=len(held),
            alert=self.alert,
        )
