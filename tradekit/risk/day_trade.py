"""The rule pack of the day for accounts whose day trades are counted."""

from dataclasses import dataclass

from tradekit.money import dec
from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_not_negative,
    is_positive,
    skip,
    unknown,
    veto,
)


@dataclass(frozen=True)
class DayTrade:
    """Vetoes what the account's day-trade regime would punish.

    `broker`: day trades left as the broker reports them (none reported: no limit). `legacy`: the same counter,
    which must be known, under `legacy_equity`. `settled-cash`: buys with settled money only, so that no sale of
    the day is a good-faith violation.
    """

    rule: str = "broker"
    currency: str = "USD"
    legacy_equity: float = 25_000.0  # USD: under it a margin account had three day trades in five sessions
    name = "day-trade"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Apply the chosen rule pack."""
        if self.rule == "none":
            return skip(self.name, "switched off by risk.day_trade_rule")
        if self.rule == "settled-cash":
            return self._settled(entry, book)
        if entry.intent != "day":
            return skip(self.name, f"a {entry.intent} entry is no day trade", pack=self.rule)
        if self.rule == "legacy":
            return self._legacy(book)
        if book.day_trades_left is None:
            return approve(self.name, "the broker reports no limit of day trades", pack=self.rule)
        return self._left(book)

    def _legacy(self, book: Book) -> Verdict:
        if not is_positive(book.equity):
            return unknown(self.name, f"equity is {book.equity}", pack=self.rule)
        if book.equity >= dec(self.legacy_equity):  # type: ignore[operator]
            return approve(
                self.name,
                f"equity is at least {self.legacy_equity:,.0f} {self.currency}",
                pack=self.rule,
            )
        return self._left(book)

    def _left(self, book: Book) -> Verdict:
        left = book.day_trades_left
        if left is None:
            return unknown(self.name, "the number of day trades left is not known", pack=self.rule)
        if left > 0:
            return approve(self.name, f"{left} day trades are left", left=left, pack=self.rule)
        ask = "a swing plan, or a day trade that drops out of the five sessions, would pass"
        return veto(self.name, f"{left} day trades are left; {ask}", left=left, pack=self.rule)

    def _settled(self, entry: Proposal, book: Book) -> Verdict:
        cash = book.settled_cash
        if cash is None or not (is_not_negative(cash) and is_positive(entry.qty) and is_positive(entry.limit_price)):
            return unknown(self.name, f"settled cash is {cash}", pack=self.rule)
        cost = entry.qty * entry.limit_price
        found = f"the order costs {cost:,.2f} {self.currency}, {cash:,.2f} are settled"
        if cost <= cash:
            return approve(self.name, found, cost=cost, limit=cash, pack=self.rule)
        return veto(
            self.name,
            f"{found}; wait for settlement or buy less",
            cost=cost,
            limit=cash,
            pack=self.rule,
        )
