"""The market around a scan: the benchmark against its average, its volatility, breadth and the regime."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import log, sqrt
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradekit.market.market import Market
    from tradekit.strategies.base import Panel

DAYS = 20
HALF_HOUR_S = 1800
HALF_HOUR_SESSIONS = 20
HALF_HOUR_MIN = 10


def context(
    market: "Market",
    benchmark: str | None,
    symbols: Sequence[str],
    at: datetime,
    session: date,
    panel: "Panel | None" = None,
    band: float = 0.01,
) -> dict[str, Any]:
    """benchmark, price, trend, sma20, volatility, breadth, regime, stale.

    `trend` is price / SMA20 - 1; `volatility` the deviation of 20 daily log returns, annualised (252 or 365 days);
    `breadth` the share of `symbols` above yesterday's close, among those with both prices. Without a visible
    benchmark bar today the price is yesterday's close and `stale` is true; without history the regime is unknown.
    """
    closes = market.closes(benchmark, session, DAYS + 1) if benchmark else []
    today = market.today(benchmark, session, at) if benchmark else None
    stale = benchmark is not None and today is None
    price = today.close if today else closes[-1] if closes else None
    sma20 = fmean(closes[-DAYS:]) if len(closes) >= DAYS else None
    return {
        "benchmark": benchmark,
        "price": clean(price),
        "trend": clean(price / sma20 - 1 if price and sma20 else None),
        "sma20": clean(sma20),
        "volatility": clean(_volatility(closes, 365 if market.calendar.around_the_clock else 252)),
        "breadth": clean(_breadth(market, symbols, at, session, panel)),
        "regime": regime(price, sma20, band),
        "stale": stale,
    }


def regime(price: float | None, sma20: float | None, band: float = 0.01) -> str:
    """up, down or sideways by the distance to SMA20, `band` as a fraction of it; unknown without both."""
    if price is None or sma20 is None:
        return "unknown"
    if price > sma20 * (1 + band):
        return "up"
    return "down" if price < sma20 * (1 - band) else "sideways"


def _volatility(closes: list[float], days: int) -> float | None:
    if len(closes) <= DAYS:
        return None
    return stdev(log(b / a) for a, b in pairwise(closes)) * sqrt(days)


def _breadth(
    market: "Market",
    symbols: Sequence[str],
    at: datetime,
    session: date,
    panel: "Panel | None",
) -> float | None:
    if panel is not None and len(panel.time) > 1:
        import numpy as np

        price, before = panel.today.price[-1], panel.close[-2]
        both = ~np.isnan(price) & ~np.isnan(before)
        return float((price[both] > before[both]).mean()) if both.any() else None
    above = []
    yesterday = market.calendar.previous(session)
    for symbol in symbols if yesterday else []:
        now, then = (
            market.today(symbol, session, at),
            market.row(symbol, yesterday.day, session) if yesterday else None,
        )
        if now and then:
            above.append(now.close > then.close)
    return sum(above) / len(above) if above else None


def half_hour_range(market: "Market", symbol: str, session: date, at: datetime) -> tuple[float, float] | None:
    """((high - low) / open of the last complete half hour, the mean of that half hour over earlier sessions).

    Half hours are counted from the open. The mean takes the last 20 sessions and needs at least 10 of them; None
    before the first half hour is over, without bars in it, or without those sessions.
    """
    hours = market.calendar.on(session)
    if hours is None:
        return None
    k = int((min(at, hours.close) - hours.open).total_seconds()) // HALF_HOUR_S
    if k < 1:
        return None
    offset = timedelta(seconds=(k - 1) * HALF_HOUR_S)
    now = _range(market, symbol, hours.day, hours.open + offset)
    past = [_range(market, symbol, s.day, s.open + offset) for s in market.calendar.before(session, HALF_HOUR_SESSIONS)]
    known = [x for x in past if x is not None]
    return (now, fmean(known)) if now is not None and len(known) >= HALF_HOUR_MIN else None


def _range(market: "Market", symbol: str, day: date, since: datetime) -> float | None:
    until = since + timedelta(seconds=HALF_HOUR_S)
    bars = [bar for bar in market.day_bars(symbol, day, until) if bar.start >= since]
    if not bars:
        return None
    return (max(bar.high for bar in bars) - min(bar.low for bar in bars)) / bars[0].open


def clean(x: float | None) -> float | None:
    """Without float noise: ten significant digits."""
    return None if x is None else float(f"{x:.10g}")
