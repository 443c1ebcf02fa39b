"""A small day of records for the reports: one momentum trade in AAPL, in by 14:36, out by its trail at 15:30 UTC."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tradekit.model import Candidate, Decision, Event, Fill, Order, Position, RiskCheck, Run, Scan, Session, Trade

D = Decimal
DAY = date(2026, 2, 13)
OPEN = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 2, 13, 21, 0, tzinfo=UTC)
SESSION = Session(DAY, OPEN, CLOSE, False)
SCAN = "20260213T1435-momentum-open"


def at(text: str) -> datetime:
    """`14:35` or `14:35:02` UTC of the day."""
    return datetime.fromisoformat(f"2026-02-13T{text}+00:00")


def candidate(symbol: str = "AAPL", **changes: Any) -> Candidate:
    fields: dict[str, Any] = {
        "id": f"{symbol}-20260213T1435-momentum", "scan_id": SCAN, "session": DAY, "at": at("14:35"),
        "strategy": "momentum", "symbol": symbol, "cap": "mid", "price": D(100), "score": 15.0, "passed": True,
        "reject_reason": None, "because": "surge 2.1", "features": {"rvol": 2.1},
    }  # fmt: skip
    return Candidate(**{**fields, **changes})


def rejected(symbol: str, reason: str, score: float | None = None) -> Candidate:
    return candidate(symbol, passed=False, reject_reason=reason, score=score, because=f"too little: {reason}")


def decision(symbol: str = "AAPL", **changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "id": f"d-{symbol}-20260213T1435-momentum", "candidate_id": f"{symbol}-20260213T1435-momentum",
        "position_id": None, "session": DAY, "at": at("14:35"), "expires_at": at("14:40"), "symbol": symbol,
        "action": "BUY", "by": "rules", "score": 15.0, "conviction": 0.75, "intent": "day", "stop_price": None,
        "target_price": None, "order_kind": "limit", "because": "score 15 of 20 with a breakout", "status": "used",
        "strategy": "momentum", "price": D(100),
    }  # fmt: skip
    return Decision(**{**fields, **changes})


def check(symbol: str = "AAPL", verdict: str = "approved", rule: str = "gate", **changes: Any) -> RiskCheck:
    fields: dict[str, Any] = {
        "id": f"d-{symbol}-20260213T1435-momentum-{rule}", "decision_id": f"d-{symbol}-20260213T1435-momentum",
        "order_id": None, "at": at("14:35:01"), "verdict": verdict, "rule": rule, "because": "42 rules passed",
        "limits": {},
    }  # fmt: skip
    return RiskCheck(**{**fields, **changes})


def order(symbol: str = "AAPL", **changes: Any) -> Order:
    """The entry: 90 shares, decided at 100, filled at 100.10."""
    fields: dict[str, Any] = {
        "id": f"d-{symbol}-20260213T1435-momentum-entry-0", "client_order_id": f"c-{symbol}",
        "decision_id": f"d-{symbol}-20260213T1435-momentum", "position_id": f"{symbol}-20260213T1435", "session": DAY,
        "symbol": symbol, "side": "buy", "qty": D(90), "type": "limit", "tif": "day", "limit_price": D("100.30"),
        "purpose": "entry", "reason": "entry", "status": "filled", "filled_qty": D(90), "avg_price": D("100.10"),
        "decision_price": D(100), "created_at": at("14:35:02"), "submitted_at": at("14:35:03"),
    }  # fmt: skip
    return Order(**{**fields, **changes})


def exit_order(**changes: Any) -> Order:
    """The exit: the trail asked for 102.00, the bid gave 101.90."""
    fields: dict[str, Any] = {
        "id": "AAPL-20260213T1435-exit-0", "client_order_id": "c-exit", "side": "sell", "type": "market",
        "limit_price": None, "purpose": "exit", "reason": "trailing-stop", "avg_price": D("101.90"),
        "decision_price": D(102), "created_at": at("15:30"), "submitted_at": at("15:30"), "trigger_at": at("15:29"),
    }  # fmt: skip
    return order(**{**fields, **changes})


def fill(id: str, order_id: str, when: str, price: str, qty: int = 90, side: str = "buy", **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "id": f"f-{id}", "broker_fill_id": id, "order_id": order_id, "at": at(when), "symbol": "AAPL", "side": side,
        "qty": D(qty), "price": D(price), "fee": D(0), "fee_asset": "USD", "fee_estimated": False, "session": DAY,
    }  # fmt: skip
    return Fill(**{**fields, **changes})


FILLS = [
    fill("1", order().id, "14:36", "100.00", 45),
    fill("2", order().id, "14:37", "100.20", 45),
    fill("3", "AAPL-20260213T1435-exit-0", "15:31", "101.90", side="sell", fee=D("0.27"), fee_estimated=True),
]


def trade(symbol: str = "AAPL", **changes: Any) -> Trade:
    """(101.90 - 100.10) x 90 = 162.00, less 0.27."""
    fields: dict[str, Any] = {
        "id": f"{symbol}-20260213T1435", "symbol": symbol, "side": "long", "strategy": "momentum", "qty": D(90),
        "entry_at": at("14:36"), "entry_price": D("100.10"), "exit_at": at("15:31"), "exit_price": D("101.90"),
        "exit_reason": "trailing-stop", "exits": [], "gross": D(162), "fees": D("0.27"), "net": D("161.73"),
        "return_pct": 0.01798, "planned_risk": D("81.08"), "r_multiple": 1.9947, "mfe": 0.03, "mae": -0.002,
        "hold_s": 3300, "regime": "up", "session": DAY, "decision_id": f"d-{symbol}-20260213T1435-momentum",
        "strategy_version": None, "because": "low 101.95 reached 1.5 % under the high",
    }  # fmt: skip
    return Trade(**{**fields, **changes})


def position(symbol: str = "MSFT", **changes: Any) -> Position:
    fields: dict[str, Any] = {
        "id": f"{symbol}-20260213T1435", "symbol": symbol, "side": "long", "qty": D(10), "avg_price": D(200),
        "opened_at": at("14:36"), "session": DAY, "strategy": "momentum", "cap": "mid", "intent": "day", "plan": {},
        "stop_price": D(198), "target_price": D(205), "target_hit": False, "high": D(201), "low": D(199),
        "last_price": D("200.5"), "unrealized": D(5), "decision_id": None, "master": False, "protected_by": None,
    }  # fmt: skip
    return Position(**{**fields, **changes})


def scan(**changes: Any) -> Scan:
    fields: dict[str, Any] = {
        "id": SCAN, "session": DAY, "at": at("14:35"), "strategy": "momentum", "cap": None, "type": "open",
        "counts": {}, "context": {},
    }  # fmt: skip
    return Scan(**{**fields, **changes})


def run(when: str, command: str = "monitor-exits", **changes: Any) -> Run:
    fields: dict[str, Any] = {
        "id": f"20260213T{when.replace(':', '')}-{command}", "command": command, "argv": command,
        "started_at": at(when), "ended_at": at(when), "exit_code": 0, "clock": "virtual", "code_version": "0",
        "settings_hash": "",
    }  # fmt: skip
    return Run(**{**fields, **changes})


def event(kind: str, when: str = "15:00", **changes: Any) -> Event:
    fields: dict[str, Any] = {"id": f"{kind}-{when}", "at": at(when), "session": DAY, "run_id": None, "kind": kind}
    return Event(**{**fields, **changes})
