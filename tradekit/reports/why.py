"""The whole chain behind a trade, an order or a symbol, as records: what happened, when, and the sentence why."""

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from tradekit.model import (
    Candidate,
    Decision,
    Event,
    Fill,
    MarketSnapshot,
    Order,
    Position,
    Record,
    RiskCheck,
    Scan,
    Trade,
)

ORDER_OF_STEPS = (
    "market", "scan", "candidate", "decision", "risk", "exit", "event", "order", "fill", "position", "trade",
)  # fmt: skip
TOLD = frozenset({"fill", "veto", "order.intended", "order.sent", "trade.closed"})  # events that only repeat a record


class Step(Record, frozen=True, kw_only=True):
    """One link of the chain. `data` are the numbers of that moment, under the names of the record they come from."""

    step: str
    at: datetime | None
    id: str
    because: str
    data: dict[str, Any] = {}


class Chain(Record, frozen=True, kw_only=True):
    """Everything that the books know about one subject; what is missing has not happened."""

    scan: Scan | None = None
    snapshot: MarketSnapshot | None = None
    candidate: Candidate | None = None
    decisions: Sequence[Decision] = ()
    checks: Sequence[RiskCheck] = ()
    orders: Sequence[Order] = ()
    fills: Sequence[Fill] = ()
    events: Sequence[Event] = ()
    position: Position | None = None
    trade: Trade | None = None


def why(chain: Chain) -> list[Step]:
    """The chain in the order it happened; at the same moment causes come before their effects."""
    told = {event.ref for event in chain.events if event.kind == "exit"}
    steps = [
        *_market(chain),
        *_candidate(chain.candidate),
        *(_decision(decision) for decision in chain.decisions),
        *(_check(check) for check in chain.checks),
        *(_order(order, order.id in told or order.purpose == "entry") for order in chain.orders),
        *(_fill(fill) for fill in chain.fills),
        *(_event(event) for event in chain.events if event.kind not in TOLD),
        *_end(chain),
    ]
    return sorted(steps, key=_when)


def nearest(word: str, ids: Sequence[str], n: int = 5) -> list[str]:
    """Known ids that look like `word`, best first."""
    upper = {id.upper(): id for id in ids}
    close = get_close_matches(word.upper(), list(upper), n=n, cutoff=0.5)
    inside = [id for id in upper if word.upper() in id and id not in close]
    return [upper[id] for id in [*close, *inside]][:n]


def _when(step: Step) -> tuple[bool, datetime | None, int]:
    return step.at is None, step.at, ORDER_OF_STEPS.index(step.step)


def _market(chain: Chain) -> list[Step]:
    found = []
    if chain.snapshot is not None:
        s = chain.snapshot
        seen = f"{s.benchmark} at {_number(s.price)}" + (", yesterday's close" if s.stale else "")
        data = _facts(s, "benchmark", "price", "trend", "sma20", "volatility", "breadth", "regime", "stale")
        found.append(Step(step="market", at=s.at, id=s.at.isoformat(), because=f"{seen}: regime {s.regime}", data=data))
    if chain.scan is not None:
        c = chain.scan
        text = f"{c.type} scan by {c.strategy}" + (f", {c.cap} caps" if c.cap else "")
        found.append(Step(step="scan", at=c.at, id=c.id, because=text, data=dict(c.counts)))
    return found


def _candidate(c: Candidate | None) -> list[Step]:
    if c is None:
        return []
    text = f"passed: {c.because}" if c.passed else f"rejected by {c.reject_reason or 'the scan'}: {c.because}"
    data = _facts(c, "strategy", "symbol", "cap", "price", "score", "stop_price", "target_price") | dict(c.features)
    return [Step(step="candidate", at=c.at, id=c.id, because=text, data=data)]


def _decision(d: Decision) -> Step:
    data = _facts(
        d, "score", "conviction", "intent", "price", "rvol", "order_kind", "stop_price", "target_price", "expires_at",
        "status", "plan",
    )  # fmt: skip
    return Step(step="decision", at=d.at, id=d.id, because=f"{d.action} by {d.by}: {d.because} ({d.status})", data=data)


def _check(c: RiskCheck) -> Step:
    return Step(step="risk", at=c.at, id=c.id, because=f"{c.verdict} by {c.rule}: {c.because}", data=dict(c.limits))


def _order(o: Order, told: bool) -> Step:
    """An order; its own sentence is left out where the decision or the exit has just told it."""
    at_price = f" at {_number(o.limit_price)}" if o.limit_price else ""
    at_price += f", stop {_number(o.stop_price)}" if o.stop_price else ""
    asked = (
        f"{o.side} {_number(o.qty)} {o.symbol} {o.type.replace('_', '-')}{at_price}, {o.tif} ({o.purpose}, {o.reason})"
    )
    text = asked if told or not o.because else f"{asked}: {o.because}"
    end = f"; {o.status}" + (f", {o.error}" if o.error else "")
    data = _facts(
        o, "status", "qty", "filled_qty", "avg_price", "limit_price", "stop_price", "decision_price", "fees",
        "client_order_id", "broker_order_id", "created_at", "submitted_at", "updated_at", "error", "run_id",
    )  # fmt: skip
    return Step(step="order", at=o.created_at, id=o.id, because=text + end, data=data)


def _fill(f: Fill) -> Step:
    text = f"{'bought' if f.side == 'buy' else 'sold'} {_number(f.qty)} {f.symbol} at {_number(f.price)}"
    text += f", fee {_number(f.fee)} {f.fee_asset}" + (" (estimated)" if f.fee_estimated else "")
    return Step(step="fill", at=f.at, id=f.id, because=text, data=_facts(f, "qty", "price", "fee", "order_id"))


def _event(e: Event) -> Step:
    if e.kind == "exit":
        text = f"{e.data.get('rule')}: {e.data.get('because')}"
        return Step(step="exit", at=e.at, id=e.id, because=text, data=dict(e.data))
    text = str(e.data.get("message") or e.data.get("because") or e.data.get("error") or "")
    return Step(step="event", at=e.at, id=e.id, because=f"{e.kind}: {text}" if text else e.kind, data=dict(e.data))


def _end(chain: Chain) -> list[Step]:
    trade, position = chain.trade, chain.position
    if trade is not None:
        text = f"closed by {trade.exit_reason}: net {_number(trade.net)}"
        text += "" if trade.return_pct is None else f", {trade.return_pct * 100:+.2f} %"
        text += "" if trade.r_multiple is None else f", {trade.r_multiple:+.2f} R"
        data = _facts(
            trade, "qty", "entry_at", "entry_price", "exit_at", "exit_price", "exit_reason", "exits", "gross", "fees",
            "net", "return_pct", "planned_risk", "r_multiple", "mfe", "mae", "hold_s", "regime",
        )  # fmt: skip
        return [Step(step="trade", at=trade.exit_at, id=trade.id, because=text, data=data)]
    if position is not None:
        text = f"open: {_number(position.qty)} at {_number(position.avg_price)}, stop {_number(position.stop_price)}"
        text += f", target {_number(position.target_price)}" + (" hit, trailing" if position.target_hit else "")
        data = _facts(
            position, "qty", "avg_price", "last_price", "unrealized", "stop_price", "target_price", "target_hit",
            "high", "low", "plan", "protected_by",
        )  # fmt: skip
        return [Step(step="position", at=None, id=position.id, because=text, data=data)]
    return []


def _facts(record: Record, *names: str) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in names}
    return {name: msgspec.to_builtins(v) if isinstance(v, list | dict) else v for name, v in values.items()}


def _number(x: object) -> str:
    """A price or quantity as people read it; `-` where it is unknown."""
    if x is None:
        return "-"
    text = format(x, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
