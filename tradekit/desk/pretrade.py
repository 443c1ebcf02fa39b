"""The last check before the wire: `send` asks it for every order, so no caller can forget it.

A buy passes only with its proposal, which the whole risk gate judges here, in the transaction that writes the intent.
A sell passes when its numbers are sound and the shares are the desk's, at the venue, and not promised elsewhere.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from tradekit.desk.desk import Desk
from tradekit.desk.frozen import why_frozen
from tradekit.desk.venue import Seen
from tradekit.model import Order
from tradekit.money import DIGITS, ZERO

if TYPE_CHECKING:
    from tradekit.risk.base import Proposal, Verdict

SELLING = frozenset({"exit", "liquidate", "protect"})
LARGEST = Decimal(10) ** 12  # of anything: beyond it a number is a slip


class Ask(NamedTuple):
    """An entry as the gate sees it. `bought` counts this run's entries so far; `record` gets what the rules said, in
    the transaction of the intent, and writes it down.
    """

    proposal: "Proposal"
    bought: int
    record: "Callable[[Sequence[Verdict]], None]"


def refuse(desk: Desk, order: Order, seen: Seen, ask: Ask | None) -> str | None:
    """Why this order must not go out; None: it may; empty: the risk gate said no and its veto is written down.

    Called inside the transaction that writes the intent.
    """
    because = unsound(order)
    if because is not None:
        return because
    if order.side == "buy":
        return _refuse_buy(desk, order, seen, ask)
    return refuse_sell(desk, order, seen)


def unsound(order: Order) -> str | None:
    """What is wrong with an order's own numbers and words, whatever the books say."""
    wrong = [name for name in ("qty", "limit_price", "stop_price", "trail_pct") if not _sound(getattr(order, name))]
    if order.qty is None or wrong:
        return f"{', '.join(wrong) or 'qty'} must be finite, above 0 and have at most {DIGITS} digits"
    if (order.side == "buy") != (order.purpose == "entry") or (order.side == "sell") != (order.purpose in SELLING):
        return f"a {order.side} order cannot serve as {order.purpose}"
    if not order.symbol.strip():
        return "it names no symbol"
    return None


def _sound(x: Decimal | None) -> bool:
    if x is None:
        return True
    return (
        isinstance(x, Decimal) and x.is_finite() and 0 < x < LARGEST and len(x.normalize().as_tuple().digits) <= DIGITS
    )


def _refuse_buy(desk: Desk, order: Order, seen: Seen, ask: Ask | None) -> str | None:
    if ask is None:
        return "no risk rule was asked; an entry needs a gate"
    wanted = ask.proposal
    if (wanted.symbol, wanted.qty, wanted.decision_id) != (order.symbol, order.qty, order.decision_id):
        return "it is not the order that was proposed"
    if order.limit_price != (None if wanted.on_open else wanted.limit_price):
        return f"its limit of {order.limit_price} is not the {wanted.limit_price} that was proposed"
    verdicts = _judge(desk, ask, seen)
    ask.record(verdicts)
    return None if all(verdict.approved for verdict in verdicts) else ""


def _judge(desk: Desk, ask: Ask, seen: Seen) -> "list[Verdict]":
    from tradekit.desk.state import regime_now, risk_book
    from tradekit.risk import checks, judge
    from tradekit.risk.base import Verdict

    because = why_frozen(desk, ask.proposal.symbol)
    if because is not None:
        return [Verdict(rule="frozen", approved=False, because=because)]
    settings = desk.settings
    rules = checks(settings.risk, reversal_alert=settings.exits.reversal_alert, currency=settings.desk.currency)
    symbols = [ask.proposal.symbol]
    book = risk_book(desk, symbols, regime=regime_now(desk), entries_this_scan=ask.bought, seen=seen)
    found = judge(ask.proposal, book, rules)
    return list(found) or [Verdict(rule="gate", approved=False, because="no risk rule was asked")]


def refuse_sell(desk: Desk, order: Order, seen: Seen) -> str | None:
    """Why this sell must not go out (also: not again); the order itself is not counted as working."""
    from tradekit.risk import exit_gate

    position = desk.store.positions.get(order.position_id) if order.position_id else None
    if position is None or position.symbol != order.symbol or position.side != "long":
        return f"{order.position_id} is no long position in {order.symbol}"
    free = min(position.qty, sellable(desk, order.symbol, seen, without=order.id))
    verdict = exit_gate(order.qty, free, order.limit_price or order.stop_price)
    return None if verdict.approved else verdict.because


def sellable(desk: Desk, symbol: str, seen: Seen, *, without: str | None = None) -> Decimal:
    """min(owned, what the venue has now) less every working or unknown sell but `without`."""
    owned = desk.store.owned().get(symbol, ZERO)
    promised = sum(
        (
            order.qty - order.filled_qty
            for order in desk.store.orders.live_for(symbol)
            if order.side == "sell" and order.id != without
        ),
        ZERO,
    )
    return min(owned, seen.qty(symbol)) - promised
