"""Records with sensible defaults: a test names only what it is about.

Everything happens on 2026-02-13 (a Friday, 14:30Z to 21:00Z in New York) in AAPL; `at(35)` is 35 minutes after
the open. Numbers may be given as text: make_fill(price="100.25").
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from tradekit import model
from tradekit.model import (
    Account,
    Adjustment,
    Candidate,
    Decision,
    Event,
    Fill,
    Halt,
    Mark,
    Order,
    Position,
    PriceBar,
    Quote,
    RiskCheck,
    Run,
    Scan,
    Session,
    Slot,
    Trade,
)

SESSION = date(2026, 2, 13)
OPEN = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 2, 13, 21, 0, tzinfo=UTC)
D = Decimal
_numbers = count(1)


def at(minutes: float = 5, seconds: float = 0) -> datetime:
    """A time of the session: minutes and seconds after the open."""
    return OPEN + timedelta(minutes=minutes, seconds=seconds)


def make_session(**fields: Any) -> Session:
    return Session(**({"day": SESSION, "open": OPEN, "close": CLOSE, "half": False} | fields))


def make_bar(start: datetime | None = None, seconds: int = 60, **fields: Any) -> PriceBar:
    """A one-minute bar; what is not named follows `close` (100)."""
    start = start or at(5)
    close = float(fields.get("close", 100.0))
    open_ = float(fields.get("open", close))
    values = {
        "symbol": "AAPL",
        "start": start,
        "end": start + timedelta(seconds=seconds),
        "open": open_,
        "high": max(open_, close),
        "low": min(open_, close),
        "close": close,
        "volume": 10_000.0,
        "regular": True,
    }
    return PriceBar(**(values | fields))


def make_quote(bid: Any = "99.99", ask: Any = "100.01", **fields: Any) -> Quote:
    last = (D(bid) + D(ask)) / 2
    values = {"symbol": "AAPL", "at": at(), "last_at": at(), "source": "file", "assumed": True}
    return _make(Quote, values | {"bid": bid, "ask": ask, "last": last} | fields)


def make_scan(**fields: Any) -> Scan:
    values = {"session": SESSION, "at": at(), "strategy": "momentum", "cap": None, "type": "open"}
    values |= {"counts": {"universe": 1, "passed": 1}, "context": {}} | fields
    cap = f"-{values['cap']}" if values["cap"] else ""
    return _make(Scan, {"id": f"{_stamp(values)}-{values['strategy']}-{values['type']}{cap}"} | values)


def make_snapshot(**fields: Any) -> model.MarketSnapshot:
    values = {"at": at(), "benchmark": "SPY", "price": 600, "trend": 0.02, "sma20": 588.0, "volatility": 0.01}
    return _make(model.MarketSnapshot, values | {"breadth": 0.6, "regime": "up"} | fields)


def make_candidate(**fields: Any) -> Candidate:
    values = {"session": SESSION, "at": at(), "strategy": "momentum", "symbol": "AAPL", "cap": "mid", "price": 100}
    values |= {"score": 14.0, "passed": True, "reject_reason": None, "because": "up on volume"}
    values |= {"features": {"rvol": 2.0, "change": 0.02}} | fields
    stamp = _stamp(values)
    ids = {"id": f"{values['symbol']}-{stamp}-{values['strategy']}", "scan_id": f"{stamp}-{values['strategy']}-open"}
    return _make(Candidate, ids | values)


def make_decision(**fields: Any) -> Decision:
    """A pending BUY; `action="CLOSE"` with a position_id is about that position."""
    values = {"session": SESSION, "at": at(6), "symbol": "AAPL", "action": "BUY", "by": "rules", "score": 14.0}
    values |= {"conviction": 0.7, "intent": "day", "stop_price": None, "target_price": None, "order_kind": "limit"}
    values |= {"because": "score 14", "status": "pending", "strategy": "momentum", "cap": "mid", "price": 100}
    values |= {"rvol": 2.0, "position_id": None} | fields
    values.setdefault("expires_at", values["at"] + timedelta(minutes=5))
    subject = values["position_id"]
    if subject:
        ids = {"id": f"d-{subject}-{_stamp(values)}", "candidate_id": None}
    else:
        candidate = values.get("candidate_id") or f"{values['symbol']}-{_stamp(values)}-{values['strategy']}"
        ids = {"id": f"d-{candidate}", "candidate_id": candidate}
    return _make(Decision, ids | values)


def make_risk_check(**fields: Any) -> RiskCheck:
    values = {"id": f"r-{next(_numbers)}", "decision_id": None, "order_id": None, "at": at(6), "verdict": "approved"}
    return _make(RiskCheck, values | {"rule": "max-positions", "because": "0 of 6", "limits": {}} | fields)


def make_order(**fields: Any) -> Order:
    """A buy limit order of 10 at 100 that is open; without a decision."""
    n = next(_numbers)
    values = {"id": f"o{n}-entry-0", "client_order_id": f"{n:032x}", "session": SESSION, "symbol": "AAPL"}
    values |= {"side": "buy", "qty": 10, "type": "limit", "tif": "day", "limit_price": 100, "purpose": "entry"}
    values |= {"reason": "entry", "status": "open", "created_at": at(7)}
    if fields.get("side") == "sell":
        values |= {"id": f"o{n}-exit-0", "type": "market", "limit_price": None, "purpose": "exit", "reason": "target"}
    return _make(Order, values | fields)


def make_fill(**fields: Any) -> Fill:
    """A buy of 10 at 100 without a fee, of no order, a minute later each time."""
    n = next(_numbers)
    values = {"broker_fill_id": f"b{n:06d}", "order_id": None, "at": at(8), "symbol": "AAPL", "side": "buy"}
    values |= {"qty": 10, "price": 100, "fee": 0, "fee_asset": "USD", "fee_estimated": False, "session": SESSION}
    values |= fields
    return _make(Fill, {"id": f"f-{values['broker_fill_id']}"} | values)


def make_position(**fields: Any) -> Position:
    """A long position of 10 at 100 with the plan of a day trade: stop 0.9 %, target 2.6 %."""
    values = {"symbol": "AAPL", "side": "long", "qty": 10, "avg_price": 100, "opened_at": at(8), "session": SESSION}
    values |= {"strategy": "momentum", "cap": "mid", "intent": "day", "plan": {"stop": 0.009, "target": 0.026}}
    values |= {"stop_price": "99.10", "target_price": "102.60", "target_hit": False, "high": 100, "low": 100}
    values |= {"last_price": 100, "unrealized": 0, "decision_id": None, "master": False, "protected_by": None} | fields
    return _make(Position, {"id": f"{values['symbol']}-{_stamp(values, 'opened_at')}"} | values)


def make_mark(**fields: Any) -> Mark:
    values = {"position_id": f"AAPL-{_stamp({'at': at(8)})}", "at": at(10), "judged_to": at(10)}
    return _make(Mark, values | {"last_price": 100, "high": 100, "low": 100} | fields)


def make_trade(**fields: Any) -> Trade:
    """Bought 10 at 100, sold at 102 on the target."""
    values = {"symbol": "AAPL", "side": "long", "strategy": "momentum", "qty": 10, "entry_at": at(8)}
    values |= {"entry_price": 100, "exit_at": at(68), "exit_price": 102, "exit_reason": "target", "exits": []}
    values |= {"gross": 20, "fees": 0, "net": 20, "return_pct": 0.02, "planned_risk": 9, "r_multiple": 20 / 9}
    values |= {"mfe": 0.02, "mae": 0.0, "hold_s": 3600, "regime": "up", "session": SESSION, "decision_id": None}
    values |= {"strategy_version": None, "because": "up on volume"} | fields
    return _make(Trade, {"id": f"{values['symbol']}-{_stamp(values, 'entry_at')}"} | values)


def make_adjustment(kind: str = "deposit", **fields: Any) -> Adjustment:
    values = {"id": f"a-{next(_numbers)}", "at": at(1), "kind": kind, "symbol": None, "qty": None}
    return _make(Adjustment, values | {"amount": None, "ref": None} | fields)


def make_halt(**fields: Any) -> Halt:
    values = {"at": at(30), "kind": "manual", "reason": "news", "flatten": False, "by": "operator", "session": SESSION}
    values |= fields
    return _make(Halt, {"id": f"h-{_stamp(values)}-{values['kind']}"} | values)


def make_slot(**fields: Any) -> Slot:
    values = {"name": "open-scan", "session": SESSION, "due_at": at(5), "state": "done", "run_id": None}
    return _make(Slot, values | fields)


def make_account(**fields: Any) -> Account:
    values = {"at": at(60), "equity": 100_000, "cash": 99_000, "buying_power": 99_000, "desk_equity": 100_000}
    values |= {"exposure": 1000, "exposure_pct": 0.01, "positions": 1, "daily_pnl": 0, "daily_pnl_pct": 0.0}
    return _make(Account, values | {"peak_equity": 100_000, "drawdown": 0.0, "session": SESSION} | fields)


def make_run(**fields: Any) -> Run:
    values = {"command": "scan", "argv": "tradekit scan", "started_at": at(5), "clock": "virtual"}
    values |= {"code_version": "0.1.0", "settings_hash": "0" * 16} | fields
    return _make(Run, {"id": f"{values['started_at']:%Y%m%dT%H%M%S}-{values['command']}"} | values)


def make_event(**fields: Any) -> Event:
    values = {"id": f"e#{next(_numbers)}", "at": at(9), "session": SESSION, "run_id": None, "kind": "fill"}
    return _make(Event, values | fields)


def _make(kind: type, values: dict[str, Any]) -> Any:
    """Numbers and texts become Decimal where the record's field is one."""
    hints = kind.__annotations__
    return kind(
        **{
            name: D(str(value))
            if "Decimal" in str(hints.get(name))
            and isinstance(value, int | float | str)
            and not isinstance(value, bool)
            else value
            for name, value in values.items()
        }
    )


def _stamp(values: dict[str, Any], name: str = "at") -> str:
    found: datetime = values[name]
    return found.astimezone(UTC).strftime("%Y%m%dT%H%M")
