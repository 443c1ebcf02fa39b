"""The desk's drawdown from its own P&L: deposits, foreign holdings and a new allocation do not move it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tradekit.desk.desk import Desk
from tradekit.model import Adjustment, Position
from tradekit.money import ZERO, book, dec

PEAK = "peak"  # meta: total P&L and desk equity at the highest point since the last resume


class Peak(NamedTuple):
    """P&L since the desk began, and the desk equity that it stood on, in the quote currency."""

    pnl: Decimal
    equity: Decimal


def total_pnl(desk: Desk, positions: Sequence[Position], prices: dict[str, Decimal]) -> Decimal | None:
    """P&L since the desk began, fees included: closed trades, and open ones at `prices`. None: one is unknown."""
    total = desk.store.trades.net_total()
    cash, moved = desk.store.fills.cash_of_open(desk.settings.desk.currency), _moved(desk, positions)
    for position in positions:
        price = prices.get(position.symbol)
        if price is None:
            return None
        total += cash.get(position.id, ZERO) + _open_pnl(position, price, moved.get(position.symbol, ()))
    return book(total, desk.settings.desk.currency)


def _moved(desk: Desk, positions: Sequence[Position]) -> dict[str, list[Adjustment]]:
    """What moved shares without a fill since the oldest of the positions was opened, by symbol."""
    found: dict[str, list[Adjustment]] = {}
    if positions:
        for row in desk.store.adjustments.all(since=min(position.opened_at for position in positions)):
            if row.symbol is not None:
                found.setdefault(row.symbol, []).append(row)
    return found


def _open_pnl(position: Position, price: Decimal, adjustments: Sequence[Adjustment]) -> Decimal:
    """What an open position is worth at `price`, and what came and went with shares that were taken over."""
    won = position.qty * price if position.side == "long" else -position.qty * price
    for moved in adjustments:
        if moved.at < position.opened_at:
            continue
        if moved.kind == "adopt":
            won -= moved.amount or ZERO
        elif moved.kind in ("release", "external"):
            won += moved.amount if moved.amount is not None else (moved.qty or ZERO) * position.avg_price
    return won


def peak(desk: Desk) -> Peak | None:
    """The highest point since the last resume; None before the first one was noted."""
    text = desk.store.meta.get(PEAK)
    if text is None:
        return None
    pnl, _, equity = text.partition(" ")
    return Peak(dec(pnl), dec(equity))


def fallen(desk: Desk, pnl: Decimal, equity: Decimal) -> tuple[Decimal, float]:
    """(peak in terms of today's desk equity, fraction lost since the peak); 0 at a new high."""
    known = peak(desk)
    if known is None or known.pnl <= pnl or known.equity <= 0:
        return equity, 0.0
    lost = known.pnl - pnl
    return equity + lost, float(lost / known.equity)


def note_peak(desk: Desk, pnl: Decimal | None, equity: Decimal | None) -> None:
    """Write a new high down; anything else writes nothing."""
    known = peak(desk)
    if pnl is not None and equity is not None and (known is None or pnl > known.pnl):
        desk.store.meta.set(PEAK, f"{pnl} {equity}")


def forget_peak(desk: Desk) -> None:
    """The drawdown counts from the next look on: `resume`."""
    desk.store.meta.set(PEAK, None)
