"""A proposal and a book that every rule approves, to be bent one field at a time."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tradekit.model import Halt, Quote
from tradekit.risk.base import Book, HeldView, Proposal

D = Decimal
AT = datetime(2026, 2, 13, 15, 0, tzinfo=UTC)  # 10:00 in New York
OPEN = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 2, 13, 21, 0, tzinfo=UTC)
DAY = date(2026, 2, 13)


def proposal(**changes: Any) -> Proposal:
    """90 shares at 100.00, stop 99.10, target 102.60, on a desk of 100,000."""
    fields: dict[str, Any] = {
        "decision_id": "d-AAPL-20260213T1500-momentum",
        "symbol": "AAPL",
        "qty": D(90),
        "limit_price": D(100),
        "reference": D("99.70"),
        "stop_price": D("99.10"),
        "target_price": D("102.60"),
        "intent": "day",
        "strategy": "momentum",
        "cap": "large",
        "sector": "technology",
        "kind": None,
        "score": 15.0,
        "max_hold_s": None,
        "on_open": False,
    }
    return Proposal(**{**fields, **changes})


def quote(bid: str = "99.68", ask: str = "99.72", at: datetime = AT, assumed: bool = True) -> Quote:
    mid = (D(bid) + D(ask)) / 2
    return Quote(symbol="AAPL", at=at, bid=D(bid), ask=D(ask), last=mid, last_at=at, source="file", assumed=assumed)


def held(symbol: str = "MSFT", **changes: Any) -> HeldView:
    """50 shares worth 5,000, opened today."""
    fields: dict[str, Any] = {
        "symbol": symbol, "qty": D(50), "notional": D(5000), "cap": "large", "sector": "software", "session": DAY,
        "working": False, "reversal_score": None, "reversal_at": None,
    }  # fmt: skip
    return HeldView(**{**fields, **changes})


def halt(kind: str = "manual", **changes: Any) -> Halt:
    fields: dict[str, Any] = {
        "id": f"h-20260213T1450-{kind}", "at": AT - timedelta(minutes=10), "kind": kind, "reason": "a bad feeling",
        "flatten": False, "by": "operator",
    }  # fmt: skip
    return Halt(**{**fields, **changes})


def book(**changes: Any) -> Book:
    """Half an hour into a quiet session with nothing held."""
    fields: dict[str, Any] = {
        "at": AT,
        "session": DAY,
        "open_at": OPEN,
        "close_at": CLOSE,
        "around_the_clock": False,
        "equity": D(100000),
        "buying_power": D(100000),
        "day_pnl": D(0),
        "drawdown": 0.0,
        "halts": [],
        "holdings": [],
        "unmanaged": frozenset(),
        "other_desk": frozenset(),
        "quotes": {"AAPL": quote()},
        "bar_end": {"AAPL": AT},
        "bar_seconds": {"AAPL": 60},
        "turnover": {"AAPL": 50_000_000.0},
        "recent_volume": {"AAPL": 5000.0},
        "halted": frozenset(),
        "reopened_at": {},
        "closed_today": frozenset(),
        "last_closed_at": {},
        "entries_today": 0,
        "entries_today_by_symbol": {},
        "entries_this_scan": 0,
        "recent_entry_orders": [],
        "loss_streak": 0,
        "reject_streak": 0,
        "regime": "up",
        "fee_rate": 0.0,
        "day_trades_left": None,
        "settled_cash": None,
        "returns": {},
        "exit_interval_s": 60,
    }
    return Book(**{**fields, **changes})


def bent(entry: Proposal | Book, **changes: Any) -> Any:
    return msgspec.structs.replace(entry, **changes)
