"""No entry on a number that is missing, NaN, infinite or negative where it cannot be."""

from collections.abc import Iterator
from dataclasses import dataclass

from tradekit.risk.base import Book, Proposal, Verdict
from tradekit.risk.verdicts import (
    approve,
    is_not_negative,
    is_number,
    is_positive,
    veto,
)

BEST_SCORE = 20  # the scale that all strategies share
FAR_TARGET = 10  # a target beyond this many times the price is a slip, not a plan


@dataclass(frozen=True)
class FiniteInputs:
    """Vetoes when an input that some rule reads is no sound number; nothing is clipped or guessed."""

    name = "finite-inputs"

    def check(self, entry: Proposal, book: Book) -> Verdict:
        """Name every unsound field of the proposal and of the book."""
        wrong = [
            *_texts(entry),
            *_prices(entry),
            *_levels(entry),
            *_book(book),
            *_quote(entry, book),
        ]
        if wrong:
            return veto(
                self.name,
                f"{', '.join(wrong)}: give sound numbers and propose again",
                wrong=wrong,
            )
        return approve(
            self.name,
            "every number of the proposal and the book is finite and in range",
        )


def _texts(entry: Proposal) -> Iterator[str]:
    for field in ("decision_id", "symbol"):
        text = getattr(entry, field)
        if not isinstance(text, str) or not text.strip():
            yield f"{field} is {text!r}"
    if entry.intent not in ("day", "swing"):
        yield f"intent is {entry.intent!r}, not day or swing"


def _prices(entry: Proposal) -> Iterator[str]:
    for field in ("qty", "limit_price", "reference"):
        if not is_positive(getattr(entry, field)):
            yield f"{field} is {getattr(entry, field)}"
    for field in ("stop_price", "target_price", "max_hold_s"):
        value = getattr(entry, field)
        if value is not None and not is_positive(value):
            yield f"{field} is {value}"
    for field in ("fee_in", "fee_out"):
        value = getattr(entry, field)
        if value is not None and not is_not_negative(value):
            yield f"{field} is {value}"
    if entry.score is not None and not (is_not_negative(entry.score) and entry.score <= BEST_SCORE):
        yield f"score is {entry.score}, not within 0 and {BEST_SCORE}"


def _levels(entry: Proposal) -> Iterator[str]:
    """A long entry has its stop below and its target above what it pays."""
    if not is_positive(entry.limit_price):
        return
    if is_positive(entry.stop_price) and entry.stop_price >= entry.limit_price:  # type: ignore[operator]
        yield f"stop_price {entry.stop_price} is not below the limit of {entry.limit_price}"
    if is_positive(entry.target_price) and entry.target_price <= entry.limit_price:  # type: ignore[operator]
        yield f"target_price {entry.target_price} is not above the limit of {entry.limit_price}"
    if is_positive(entry.target_price) and entry.target_price > FAR_TARGET * entry.limit_price:  # type: ignore[operator]
        yield f"target_price {entry.target_price} is over {FAR_TARGET} times the limit of {entry.limit_price}"


def _book(book: Book) -> Iterator[str]:
    if not is_positive(book.equity):
        yield f"desk equity is {book.equity}"
    if not is_number(book.day_pnl):
        yield f"the day's P&L is {book.day_pnl}"
    counts = (
        "drawdown",
        "fee_rate",
        "loss_streak",
        "reject_streak",
        "entries_today",
        "entries_this_scan",
    )
    for field in (*counts, "buying_power", "exit_interval_s"):
        if not is_not_negative(getattr(book, field)):
            yield f"{field} is {getattr(book, field)}"


def _quote(entry: Proposal, book: Book) -> Iterator[str]:
    quote = book.quotes.get(entry.symbol)
    if quote is None:
        return  # stale-quote says so
    if not (is_positive(quote.bid) and is_positive(quote.ask)):
        yield f"the quote is {quote.bid} x {quote.ask}"
    elif quote.ask < quote.bid:
        yield f"the quote is crossed: {quote.bid} x {quote.ask}"
