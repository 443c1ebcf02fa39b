"""No order that would move the market, and none where nobody trades."""

from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_not_negative,
    is_positive,
    percent,
    ratio,
    unknown,
    veto,
)


@dataclass(frozen=True)
class Liquidity:
    """Vetoes a median 20-day turnover below `turnover` (`turnover_small` for small caps), an order above
    `turnover_share` of it, and, but for on-open orders, one above `recent_share` of the last five minutes' volume."""

    turnover: float = 10_000_000.0
    turnover_small: float = 3_000_000.0
    turnover_share: float = 0.01
    recent_share: float = 0.10
    currency: str = "USD"
    sessions: int = 10  # with a daily bar, that the turnover takes
    name = "liquidity"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Compare the symbol's turnover with its floor, and the order with the turnover and the recent volume."""
        usual = book.turnover.get(entry.symbol)
        if usual is None or not is_not_negative(usual):
            few = f"; it takes daily bars of {self.sessions} of the last 20 sessions" if usual is None else ""
            return unknown(self.name, f"the median 20-day turnover of {entry.symbol} is {usual}{few}")
        floor = self.turnover_small if entry.cap == "small" else self.turnover
        if usual < floor or not is_positive(usual):
            ask = f"at least {floor:,.0f} {self.currency} would pass"
            return veto(self.name, f"the usual turnover is {usual:,.0f} {self.currency} a day; {ask}",
                        turnover=usual, floor=floor)  # fmt: skip
        return self._share(entry, book, usual, floor)

    def _share(self, entry: Proposal, book: Book, usual: float, floor: float) -> Verdict:
        part = ratio(entry.qty * entry.limit_price, usual)
        numbers = {
            "turnover": usual,
            "floor": floor,
            "share": part,
            "share_limit": self.turnover_share,
        }
        found = f"the order is {percent(part)} of the usual turnover of {usual:,.0f} {self.currency} a day"
        if not 0 < part <= self.turnover_share:
            return veto(
                self.name,
                f"{found}; at most {percent(self.turnover_share)} would pass",
                **numbers,
            )
        if entry.on_open:  # the auction is liquid, the minutes before it are not: pre-market volume says nothing
            return approve(
                self.name,
                f"{found}; an on-open order trades in the auction, not in the last five minutes",
                **numbers,
            )
        recent = book.recent_volume.get(entry.symbol)
        if recent is None or not is_not_negative(recent):
            return unknown(
                self.name,
                f"the volume of the last five minutes of {entry.symbol} is {recent}",
                **numbers,
            )
        numbers |= {"recent_shares": recent, "recent_limit": self.recent_share}
        if float(entry.qty) <= self.recent_share * recent:
            return approve(
                self.name,
                f"{found}, and {entry.qty} of {recent:,.0f} shares in five minutes",
                **numbers,
            )
        ask = f"at most {self.recent_share * recent:,.0f} ({percent(self.recent_share)}) would pass"
        return veto(
            self.name,
            f"{entry.qty} shares against {recent:,.0f} traded in five minutes; {ask}",
            **numbers,
        )
