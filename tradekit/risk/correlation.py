"""Not the same bet twice under two names."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_number, occupied, skip, unknown, veto

LEAST_DAYS = 20  # fewer common days say nothing about how two symbols move


@dataclass(frozen=True)
class Correlation:
    """Vetoes when daily returns over `days` move with a held symbol's at more than `limit`; None: off."""

    limit: float | None = None
    days: int = 60
    name = "correlation"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Correlate the symbol with each held one."""
        if self.limit is None:
            return skip(self.name, "switched off: risk.correlation is not set")
        ours, worst = book.returns.get(entry.symbol), (-1.0, "")
        held = [symbol for symbol in occupied(book) if symbol != entry.symbol]
        for symbol in held:
            found = _correlation(ours, book.returns.get(symbol), self.days)
            if found is None:
                return unknown(
                    self.name,
                    f"the correlation of {entry.symbol} and {symbol} over {self.days} days",
                )
            worst = max(worst, (found, symbol))
        if not held:
            return approve(self.name, "nothing is held to move with", limit=self.limit)
        words = f"{entry.symbol} moves with {worst[1]} at {worst[0]:.2f} over {self.days} days"
        if worst[0] <= self.limit:
            return approve(
                self.name,
                f"{words}, {self.limit:.2f} allowed",
                found=worst[0],
                limit=self.limit,
            )
        ask = f"at most {self.limit:.2f} would pass: close {worst[1]} first"
        return veto(self.name, f"{words}; {ask}", found=worst[0], limit=self.limit)


def _correlation(a: Sequence[float] | None, b: Sequence[float] | None, days: int) -> float | None:
    """Pearson's, over the last `days` returns both have; None where it is not defined."""
    n = min(len(a or ()), len(b or ()), days)
    if a is None or b is None or n < LEAST_DAYS or not all(map(is_number, [*a[-n:], *b[-n:]])):
        return None
    x, y = a[-n:], b[-n:]
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    together = math.fsum((p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True))
    spread = math.sqrt(math.fsum((p - mean_x) ** 2 for p in x) * math.fsum((q - mean_y) ** 2 for q in y))
    return together / spread if spread > 0 else None
