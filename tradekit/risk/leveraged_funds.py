"""Funds that multiply or invert their index need other rules than these."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, skip, veto


@dataclass(frozen=True)
class LeveragedFunds:
    """Vetoes symbols whose `kind` in universe.yaml is leveraged or inverse."""

    on: bool = True
    name = "leveraged-funds"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Look at the symbol's kind."""
        if not self.on:
            return skip(self.name, "switched off by risk.leveraged_funds")
        if entry.kind in ("leveraged", "inverse"):
            ask = "risk.leveraged_funds: true would let it pass"
            return veto(
                self.name,
                f"{entry.symbol} is a fund of kind {entry.kind}; {ask}",
                kind=entry.kind,
            )
        return approve(self.name, f"{entry.symbol} is not marked as a leveraged or inverse fund")
