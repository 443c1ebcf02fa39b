"""How a check answers: approve, veto or skip, and what it may believe about a number."""

import math
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from tradekit.money import dec
from tradekit.risk.base import Book, HeldView, Proposal, Verdict


def approve(rule: str, because: str, **limits: Any) -> Verdict:
    """The rule has nothing against the entry; `limits` are the numbers it compared."""
    return Verdict(rule=rule, approved=True, because=because, limits=plain(limits))


def veto(rule: str, because: str, **limits: Any) -> Verdict:
    """The rule refuses the entry; `because` says what would have to change."""
    return Verdict(rule=rule, approved=False, because=because, limits=plain(limits))


def skip(rule: str, because: str, **limits: Any) -> Verdict:
    """The rule cannot apply to this entry, lets it pass, and says why."""
    return Verdict(rule=rule, approved=True, because=because, limits=plain(limits), skipped=True)


def unknown(rule: str, what: str, **limits: Any) -> Verdict:
    """A missing input refuses an entry; `what` names the input and where it would come from."""
    return veto(rule, f"{what}: unknown refuses an entry", **limits)


def is_number(x: object) -> bool:
    """True for a finite int, float or Decimal; None, NaN, infinities, flags and texts are no numbers."""
    if isinstance(x, bool):
        return False
    if isinstance(x, Decimal):
        return x.is_finite()
    return isinstance(x, (int, float)) and math.isfinite(x)


def is_positive(x: object) -> bool:
    """True for a finite number above zero."""
    return is_number(x) and x > 0  # type: ignore[operator]


def is_not_negative(x: object) -> bool:
    """True for a finite number at or above zero."""
    return is_number(x) and x >= 0  # type: ignore[operator]


def ratio(part: Decimal | float, whole: Decimal | float) -> float:
    """part / whole as a float; the caller has checked that both are numbers and `whole` is not zero."""
    return float(part) / float(whole)


def percent(fraction: float) -> str:
    """0.0312 as `3.12 %`."""
    return f"{fraction * 100:.2f} %"


def occupied(book: Book) -> dict[str, HeldView]:
    """One view per symbol that is held, or may be by a working entry; the held one where both exist."""
    views: dict[str, HeldView] = {}
    for view in book.holdings:
        if view.symbol not in views or not view.working:
            views[view.symbol] = view
    return views


def working_only(book: Book) -> Iterator[HeldView]:
    """Working entries of symbols that are not held yet: each may still become an entry with a fill."""
    return (view for view in occupied(book).values() if view.working)


def entry_fee(entry: Proposal, book: Book) -> Decimal:
    """What the buy costs in fees, quote currency."""
    return entry.qty * entry.limit_price * dec(book.fee_rate) / 2 if entry.fee_in is None else entry.fee_in


def round_trip_fees(entry: Proposal, book: Book) -> float:
    """The fees of buying and of selling it again, as a fraction of the notional."""
    if entry.fee_in is None or entry.fee_out is None or not is_positive(entry.qty):
        return book.fee_rate
    return ratio(entry.fee_in + entry.fee_out, entry.qty * entry.limit_price)


def plain(limits: dict[str, Any]) -> dict[str, Any]:
    """Limits as JSON knows them: numbers without float noise, times as texts, NaN as null."""
    return {name: _plain(value) for name, value in limits.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, (Decimal, float)):
        number = float(value)
        return float(f"{number:.10g}") if math.isfinite(number) else None
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
