"""Desks as people find them in the evening: with much, little or nothing to tell. Times are minutes after the open."""

from datetime import date, timedelta
from pathlib import Path

from tests.desk.world import SESSIONS, World
from tests.make import OPEN, SESSION, D, make_adjustment, make_fill, make_order, make_risk_check, make_scan
from tests.make import make_candidate as a_candidate
from tests.make import make_decision as a_decision
from tradekit.model import Performance
from tradekit.store import Opening, Store, open_store

YESTERDAY = date(2026, 2, 12)
PLAN = {"stop": 0.01, "target": 0.03, "after_target": "exit", "intent": "day", "flat_before_close_s": 900}


def traded(
    store: Store,
    symbol: str,
    entry: str,
    exit_: str | None,
    reason: str = "hard-stop",
    *,
    day: date = SESSION,
    minutes: tuple[float, float] = (8, 68),
    qty: int = 10,
    fee: str = "0",
) -> str:
    """Scan, candidate, decision, orders and fills of one trade (or of an open position); its id."""
    shift = day - SESSION
    opened, closed = (OPEN + shift + timedelta(minutes=m) for m in minutes)
    at = opened - timedelta(minutes=2)
    scan = make_scan(at=at, session=day, counts={"universe": 1, "passed": 1})
    store.scans.add(scan)
    candidate = a_candidate(symbol=symbol, at=at, session=day, price=entry, scan_id=scan.id)
    store.candidates.add(candidate)
    decision = a_decision(candidate_id=candidate.id, symbol=symbol, at=at, session=day, status="used", plan=PLAN)
    store.decisions.add(decision)
    store.risk_checks.add(make_risk_check(decision_id=decision.id, rule="gate", at=at))
    name = f"{symbol}-{at:%Y%m%dT%H%M}"
    buy = make_order(id=f"{decision.id}-entry-0", decision_id=decision.id, position_id=name, symbol=symbol, session=day,
                     qty=qty, created_at=opened, decision_price=entry, plan={"strategy": "momentum"})  # fmt: skip
    store.orders.add(buy)
    opens = Opening(position_id=name, strategy="momentum", cap="mid", intent="day", plan=PLAN,
                    stop_price=round(D(entry) * D("0.99"), 2), target_price=round(D(entry) * D("1.03"), 2),
                    decision_id=decision.id, regime="up", strategy_version="0.1.0", because="up on volume")  # fmt: skip
    fill = make_fill(order_id=buy.id, symbol=symbol, at=opened, session=day, price=entry, qty=qty, fee=fee)
    store.book_fill(fill, opens)
    if exit_ is not None:
        sell = make_order(id=f"{name}-exit-0", side="sell", position_id=name, symbol=symbol, session=day, qty=qty,
                          created_at=closed, decision_price=exit_, reason=reason)  # fmt: skip
        store.orders.add(sell)
        store.book_fill(make_fill(order_id=sell.id, symbol=symbol, at=closed, session=day, side="sell", price=exit_,
                                  qty=qty, fee=fee))  # fmt: skip
    return name


def day_row(day: date, equity: float, pnl: float, benchmark: float | None = 0.001) -> Performance:
    return Performance(
        session=day, at=OPEN + (day - SESSION) + timedelta(hours=6.5), equity=D(str(equity)),
        desk_equity=D(str(equity)), cash=D(str(equity)), exposure=D(0), exposure_pct=0.0, positions=0,
        pnl=D(str(pnl)), pnl_pct=pnl / (equity - pnl), realized=D(str(pnl)), fees=D(0), flow=D(0), trades=1, wins=0,
        drawdown=0.0, benchmark="SPY", benchmark_close=D(600), benchmark_return=benchmark, rebuilt=False,
    )  # fmt: skip


def make_desk(path: Path, kind: str) -> Path:
    """`empty`, `losers`, `open` or `mixed`."""
    world = World(path)
    text = (path / "desk.yaml").read_text().replace("benchmark: null", "benchmark: SPY")
    (path / "desk.yaml").write_text(text)
    drift = [(100 + i * 0.01, 100.3 + i * 0.01, 99.8 + i * 0.01, 100.1 + i * 0.01) for i in range(390)]
    for symbol in ("AAPL", "MSFT", "NVDA", "GOOG"):
        world.add(symbol, drift)
        world.add(symbol, drift, day=YESTERDAY)
    world.add("SPY", [600] * 390)
    world.add("SPY", [600] * 390, day=YESTERDAY)
    store = open_store(path / "desk.db", synchronous="OFF")
    store.meta.set("clock_at", f"{SESSION}T22:00:00Z")
    store.book_adjustment(make_adjustment("deposit", amount=D(100000), at=OPEN - timedelta(days=2)),
                          session=date(2026, 2, 11))  # fmt: skip
    if kind in ("losers", "mixed"):
        traded(store, "MSFT", "100", "99", day=YESTERDAY, fee="0.25")
        traded(store, "AAPL", "100", "98.9", minutes=(9, 12))
    if kind == "mixed":
        traded(store, "AAPL", "100", "103", "target", day=YESTERDAY)
        traded(store, "NVDA", "100", "101", "end-of-day", minutes=(15, 300))
        store.days.add(day_row(date(2026, 2, 11), 100000, 0))
        store.days.add(day_row(YESTERDAY, 100019.5, 19.5))
        store.days.add(day_row(SESSION, 100018.5, -1.0, -0.002))
        check = a_decision(symbol="GOOG", status="refused")
        store.scans.add(make_scan())
        store.candidates.add(a_candidate(symbol="GOOG", scan_id=make_scan().id))
        store.decisions.add(check)
        store.risk_checks.add(make_risk_check(decision_id=check.id, verdict="vetoed", rule="spread",
                                              because="the spread is 0.5 %", limits={"found": 0.005}))  # fmt: skip
    if kind in ("open", "mixed"):
        traded(store, "GOOG", "100", None, minutes=(20, 0))
    store.close()
    return path


def all_desks(folder: Path) -> dict[str, Path]:
    """A desk of each kind."""
    assert SESSIONS
    return {kind: make_desk(folder / kind, kind) for kind in ("empty", "losers", "open", "mixed")}
