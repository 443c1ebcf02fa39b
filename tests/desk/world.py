"""A small world for the desk's steps: a real store, the paper venue, hand-made bars, a clock that we move."""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

import numpy as np

from tradekit.clock import ManualClock
from tradekit.desk.open import build
from tradekit.model import Decision, Session
from tradekit.store import open_store

DAY = date(2026, 2, 13)
OPEN = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)  # 09:30 in New York
SESSIONS = [
    Session(
        date(2026, 1, 5) + timedelta(days=i),
        OPEN - timedelta(days=39 - i),
        OPEN - timedelta(days=39 - i, hours=-6.5),
        False,
    )
    for i in range(60)
    if (date(2026, 1, 5) + timedelta(days=i)).weekday() < 5
]
NO_COSTS = """
paper: {half_spread: 0.0, slippage: 0.0, participation: 1.0, fees: []}
market: {tick: 0.01}
risk: {min_turnover: 0, too_late_s: 0}
"""


def at(text: str) -> datetime:
    """09:35 or 09:35:30, New York time on the day."""
    hours, minutes, *seconds = (int(part) for part in text.split(":"))
    return datetime(2026, 2, 13, hours + 5, minutes, *seconds, tzinfo=UTC)


class World:
    """One desk in a folder. Bars are given as (open, high, low, close) from 09:30 on; a single number is a flat bar."""

    def __init__(self, path: Path, settings: str = NO_COSTS) -> None:
        self.path = path
        self.bars: dict[tuple[str, int], list[tuple[float, float, float, float, float]]] = {}
        text = "desk: {benchmark: null}\n" + settings
        path.mkdir(parents=True, exist_ok=True)
        (path / "locks").mkdir()
        (path / "desk.yaml").write_text(text)
        (path / "universe.yaml").write_text("large: []\n")
        for name in ("desk.yaml", "universe.yaml"):
            (path / name).chmod(0o600)
        store = open_store(path / "desk.db", create=True, synchronous="OFF")
        with store.transaction():
            store.meta.set("desk_id", "0123456789abcdef")
            store.sessions.replace(SESSIONS, date(2026, 1, 1), date(2026, 3, 31))
        store.close()

    def add(
        self,
        symbol: str,
        bars: list,
        *,
        minutes: int = 1,
        volume: float = 100_000.0,
        day: date = DAY,
        since: str = "09:30",
    ) -> None:
        """Write bars of one symbol for one day into bars.db; times run on from `since`."""
        from tradekit.market.bars import BarStore

        start = at(since).timestamp() + (day - DAY).total_seconds()
        rows = []
        for i, bar in enumerate(bars):
            if bar is None:
                continue
            o, h, low, c = (bar,) * 4 if isinstance(bar, (int, float)) else bar
            rows.append((start + i * minutes * 60, o, h, low, c, volume))
        with BarStore(self.path / "bars.db", create=True) as store, store.writing() as writer:
            writer.intraday("file", minutes * 60, symbol, day.isoformat(), np.array(rows))
            flat = np.array([[rows[0][1]]] * 4 + [[10_000_000.0]])
            for session in SESSIONS:
                if day == DAY and session.day < DAY:
                    writer.daily("file", session.day.isoformat(), [symbol], flat)

    @contextmanager
    def desk(self, when: str = "09:30"):
        """The desk, with its clock at a New York time of the day."""
        store = open_store(self.path / "desk.db", synchronous="OFF")
        desk = build(self.path, store, clock=ManualClock(at(when)))
        desk.said = []
        desk.say = desk.said.append
        try:
            yield desk
        finally:
            store.close()


def decide(desk, symbol: str, price: float, *, when: datetime | None = None, score: float = 15.0, **plan) -> Decision:
    """A pending BUY, as `decide` would leave it; `plan` is the exit plan."""
    now = when or desk.clock.now()
    intent = plan.get("intent", "day")
    decision = Decision(
        id=f"d-{symbol}-{now:%Y%m%dT%H%M}-momentum",
        candidate_id=None,
        position_id=None,
        session=desk.calendar.day(now),
        at=now,
        expires_at=now + timedelta(minutes=5),
        symbol=symbol,
        action="BUY",
        by="rules",
        score=score,
        conviction=0.7,
        intent=intent,
        stop_price=None,
        target_price=None,
        order_kind=plan.pop("order_kind", "limit"),
        because="a test",
        status="pending",
        strategy="momentum",
        cap="mid",
        price=D(str(price)),
        rvol=2.0,
        plan={"intent": intent, "flat_before_close_s": 900, **plan},
    )
    desk.store.decisions.add(decision)
    return decision


def passes(desk, first: str, last: str, step_s: int = 60):
    """monitor-exits once a minute from `first` to `last`, both included; the orders by time of day."""
    from tradekit.desk.monitor_exits import monitor_exits

    out = []
    when, end = at(first), at(last)
    while when <= end:
        desk.clock.set(when)
        out += [(f"{when - timedelta(hours=5):%H:%M}", order) for order in monitor_exits(desk)]
        when += timedelta(seconds=step_s)
    return out
