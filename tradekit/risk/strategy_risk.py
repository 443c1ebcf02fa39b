"""No trade that risks too much of the desk."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import approve, is_positive, percent, ratio, unknown, veto


@dataclass(frozen=True)
class StrategyRisk:
    """Vetoes when the loss from the limit price to the stop exceeds `limit` of desk equity; no stop risks it all."""

    limit: float = 0.005
    name = "strategy-risk"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare quantity x stop distance with desk equity."""
        if not (is_positive(book.equity) and is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(
                self.name,
                f"desk equity is {book.equity}, the order {entry.qty} at {entry.limit_price}",
            )
        distance = entry.limit_price if entry.stop_price is None else entry.limit_price - entry.stop_price
        if not is_positive(distance):
            return unknown(self.name, f"the stop distance is {distance}")
        risk = ratio(entry.qty * distance, book.equity)  # type: ignore[arg-type]
        numbers = {"risk": risk, "limit": self.limit, "stop_distance": distance}
        to = "with no stop, all of it" if entry.stop_price is None else f"to the stop at {entry.stop_price}"
        found = f"the order risks {percent(risk)} of desk equity ({to})"
        if risk <= self.limit:
            return approve(self.name, f"{found}, {percent(self.limit)} allowed", **numbers)
        return veto(
            self.name,
            f"{found}; at most {percent(self.limit)} passes: a nearer stop or fewer shares",
            **numbers,
        )
