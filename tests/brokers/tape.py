"""A recorded tape in memory and a paper account over it; times are New York's, on 13 February 2026."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tradekit.brokers.base import OrderRequest
from tradekit.brokers.paper.broker import PaperBroker
from tradekit.calendar import Calendar, ExchangeCalendar
from tradekit.clock import ManualClock
from tradekit.config import PaperSettings
from tradekit.model import PriceBar, Session

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2026, 2, 13)  # a Friday; Monday the 16th is a holiday
D = Decimal


def at(text: str, day: date = DAY) -> datetime:
    """`9:35`, `9:35:30` or `16 9:35` (another day of the month) as UTC."""
    *other, clock = text.split()
    if other:
        day = day.replace(day=int(other[0]))
    parts = [int(part) for part in clock.split(":")] + [0]
    return datetime(day.year, day.month, day.day, *parts[:3], tzinfo=NEW_YORK).astimezone(UTC)


def session(day: date, close: str = "16:00") -> Session:
    return Session(day, at("9:30", day), at(close, day), close != "16:00")


SESSIONS = [
    session(date(2026, 2, 11)),
    session(date(2026, 2, 12)),
    session(DAY),
    session(date(2026, 2, 17), "13:00"),  # a half day of our own making
    session(date(2026, 2, 18)),
]
CALENDAR = ExchangeCalendar(SESSIONS, "America/New_York")


class Tape:
    """A BarSource over a list of bars."""

    def __init__(self, bars: Sequence[PriceBar], seconds: int = 60) -> None:
        self.bars, self.seconds = sorted(bars, key=lambda bar: (bar.start, bar.symbol)), seconds

    def played(self, symbol: str, since: datetime, until: datetime) -> Sequence[PriceBar]:
        return [bar for bar in self.bars if bar.symbol == symbol and bar.start >= since and bar.end <= until]

    def last(self, symbol: str, at: datetime) -> PriceBar | None:
        seen = [bar for bar in self.bars if bar.symbol == symbol and bar.end <= at]
        return seen[-1] if seen else None

    def bar_seconds(self, symbol: str, session: date) -> int | None:
        return self.seconds


def bar(
    start: str,
    open: float,
    high: float | None = None,
    low: float | None = None,
    close: float | None = None,
    *,
    volume: float = 1e6,
    symbol: str = "AAPL",
    seconds: int = 60,
    day: date = DAY,
    regular: bool = True,
) -> PriceBar:
    """A bar; what is not given equals the open."""
    begin = at(start, day)
    high, low, close = (open if price is None else price for price in (high, low, close))
    end = begin + timedelta(seconds=seconds)
    return PriceBar(symbol, begin, end, open, high, low, close, volume, regular)


YESTERDAY = bar("12 15:59", 100.0)


def venue(
    path: Path,
    bars: Sequence[PriceBar],
    *,
    now: str = "9:35",
    seconds: int = 60,
    calendar: Calendar = CALENDAR,
    exit_interval_s: int = 60,
    half_spread: float = 0.0002,
    currency: str = "USD",
    tick: str = "0.01",
    lot: str = "1",
    synchronous: str = "OFF",
    ticks: Mapping[str, Decimal] | None = None,
    **settings: Any,
) -> tuple[PaperBroker, ManualClock]:
    """A new (or the existing) account at `now` over yesterday's last bar and `bars`."""
    path.mkdir(exist_ok=True)
    clock = ManualClock(at(now))
    broker = PaperBroker(
        path / "paper.db", bars=Tape([YESTERDAY, *bars], seconds), clock=clock, calendar=calendar,
        settings=PaperSettings(**settings), currency=currency, tick=D(tick), half_spread_of=lambda _: half_spread,
        exit_interval_s=exit_interval_s, synchronous=synchronous, create=True, lot=D(lot),
        ticks=ticks,
    )  # fmt: skip
    return broker, clock


def order(side: str = "buy", qty: str | int = 10, type: str = "market", id: str = "c1", **more: Any) -> OrderRequest:
    """An order for AAPL, day unless said otherwise; prices may be text."""
    for name in ("limit_price", "stop_price", "trail_pct", "decision_price"):
        if isinstance(more.get(name), str):
            more[name] = D(more[name])
    fields = {"symbol": "AAPL", "tif": "day", "client_order_id": id, **more}
    return OrderRequest(side=side, qty=D(qty), type=type, **fields)  # type: ignore[arg-type]
