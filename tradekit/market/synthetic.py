"""A made-up market from a seed: daily history and a day of minute bars, for the demo and for anyone without data.

Every symbol draws a character for the day (most drift, some gap and run, gap and fade, gap and rest, fall or trend),
then its minutes follow a random walk with that character's drift, noise and volume around a common market factor.
What a strategy earns on it means nothing.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from tradekit.calendar import Calendar
from tradekit.errors import UsageError
from tradekit.market.bars import BarStore
from tradekit.market.panel import NORMAL_MINUTES, SHARE
from tradekit.model import Record, Session

STEPS = 4  # points of the price path inside a minute
EARLY = 6  # minutes in which a gap attracts buyers
TICK = 0.01
PRE_MARKET = 60  # minutes before the open with a trade now and then
MARKET_DRIFT = 0.0015  # a day
MARKET_NOISE = 0.006
MINUTE_NOISE = 0.0002  # of the market factor
HALTED = 0.03  # share of symbols that stand still for a while
THIN = 0.01  # share of minutes without a trade

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Character:
    """How a symbol behaves on the day; ranges are uniform, moves are fractions of the price."""

    share: float  # of all symbols
    gap: tuple[float, float]
    busy: tuple[float, float]  # times the usual volume
    early: tuple[float, float]  # move in the first minutes
    move: tuple[float, float]  # move from there to the turn
    turn: tuple[float, float]  # when that is over, as a share of the session
    after: tuple[float, float]  # move from there to the close
    noise: float  # a minute
    pull: float  # how strongly the price goes back to its path, a minute
    trend: tuple[float, float]  # drift a day in the ten sessions before


CHARACTERS = {
    "drifter": Character(
        0.66, (-0.006, 0.006), (0.7, 1.3), (-0.002, 0.002), (-0.01, 0.01), (0.3, 0.9), (-0.01, 0.01), 0.0006, 0.0,
        (-0.004, 0.004),
    ),
    "gap-runner": Character(
        0.07, (0.02, 0.06), (2.5, 5.0), (0.001, 0.008), (0.03, 0.07), (0.2, 0.6), (-0.045, -0.02), 0.0006, 0.05,
        (0.000, 0.010),
    ),
    "gap-fader": Character(
        0.06, (0.02, 0.06), (2.5, 5.0), (0.001, 0.008), (-0.05, -0.015), (0.1, 0.7), (-0.01, 0.01), 0.0006, 0.05,
        (0.000, 0.010),
    ),
    "gap-rester": Character(
        0.06, (0.02, 0.06), (2.5, 5.0), (0.001, 0.008), (-0.002, 0.006), (0.3, 0.7), (-0.003, 0.003), 0.0004, 0.12,
        (0.000, 0.010),
    ),
    "faller": Character(
        0.08, (-0.06, -0.02), (2.0, 4.0), (-0.008, 0.004), (-0.03, 0.02), (0.2, 0.8), (-0.01, 0.02), 0.0008, 0.0,
        (-0.010, 0.002),
    ),
    "climber": Character(
        0.07, (-0.002, 0.008), (1.2, 2.2), (-0.001, 0.004), (0.01, 0.04), (0.5, 0.95), (-0.01, 0.005), 0.0006, 0.02,
        (0.000, 0.006),
    ),
}  # fmt: skip
NAMES = tuple(CHARACTERS)


class Synthetic(Record, frozen=True, kw_only=True):
    """What was made; `bars` counts those that were not there before."""

    source: str
    seed: int
    session: date
    symbols: int
    history: int
    bars: int
    characters: dict[str, int]


@dataclass(frozen=True)
class Cast:
    """The symbols of a market: one array element each; the first is the benchmark."""

    names: list[str]
    kind: NDArray[np.intp]  # index into NAMES
    price: Array  # yesterday's close
    volume: Array  # shares on a usual day
    beta: Array
    noise: Array  # own daily deviation

    def draw(self, rng: np.random.Generator, field: str) -> Array:
        """A number for each symbol from its character's range."""
        low, high = np.array([getattr(CHARACTERS[name], field) for name in NAMES]).T
        drawn: Array = rng.uniform(low[self.kind], high[self.kind])
        return drawn

    def constant(self, field: str) -> Array:
        """A character's number for each symbol."""
        numbers: Array = np.array([getattr(CHARACTERS[name], field) for name in NAMES])[self.kind]
        return numbers


def generate(
    store: BarStore, *, seed: int, symbols: int = 200, session: date, calendar: Calendar, history: int = 60,
    source: str = "synthetic", benchmark: str = "SPY",
) -> Synthetic:  # fmt: skip
    """Write `history` daily bars and one session of minute bars for `symbols` symbols, the benchmark first.

    The same arguments give the same bars. Raises UsageError when `session` is none, Findings when the source holds
    other bars already.
    """
    hours = calendar.on(session)
    if hours is None:
        raise UsageError(f"{session} is not a session of this calendar", "choose a trading day")
    rng = np.random.default_rng([seed, session.toordinal(), symbols])
    cast = _cast(rng, symbols, benchmark, calendar.around_the_clock)
    past = calendar.before(session, history)
    bars = _minutes(rng, cast, hours, calendar.around_the_clock)
    with store.writing() as writer:
        if past:
            days = _days(rng, cast, len(past))
            for t, one in enumerate(past):
                writer.daily(source, one.day.isoformat(), cast.names, days[:, t])
        for name, rows in zip(cast.names, bars, strict=True):
            writer.intraday(source, 60, name, session.isoformat(), rows)
    counts = np.bincount(cast.kind[1:], minlength=len(NAMES))
    return Synthetic(
        source=source,
        seed=seed,
        session=session,
        symbols=symbols,
        history=len(past),
        bars=writer.added,
        characters={name: int(n) for name, n in zip(NAMES, counts, strict=True)},
    )


def _cast(rng: np.random.Generator, n: int, benchmark: str, around_the_clock: bool) -> Cast:
    """Who is there: names, characters, sizes."""
    shares = np.array([CHARACTERS[name].share for name in NAMES])
    kind = rng.choice(len(NAMES), size=n, p=shares / shares.sum())
    kind[0] = NAMES.index("drifter")
    price = np.clip(np.exp(rng.normal(np.log(60), 0.8, n)), 8, 900)
    turnover = np.clip(np.exp(rng.normal(np.log(60e6), 0.8, n)), 18e6, 3e9)
    price[0], turnover[0] = 500.0, 3e10
    beta = rng.uniform(0.5, 1.5, n)
    noise = rng.uniform(0.008, 0.02, n)
    beta[0], noise[0] = 1.0, 0.001
    return Cast(
        _names(rng, n, benchmark, around_the_clock), kind, _cents(price), np.rint(turnover / price), beta, noise
    )


def _names(rng: np.random.Generator, n: int, benchmark: str, around_the_clock: bool) -> list[str]:
    """Tickers that can be spoken: BAKO, TUVE; pairs against USD on 24/7 desks."""
    consonants, vowels = list("BDFGHKLMNPRSTVZ"), list("AEIOU")
    spoken = [a + b + c + d for a in consonants for b in vowels for c in consonants for d in vowels]
    picked = [spoken[k] for k in rng.choice(len(spoken), size=n - 1, replace=False)]
    return [benchmark, *(name + "/USD" if around_the_clock else name for name in picked)]


def _days(rng: np.random.Generator, cast: Cast, days: int) -> Array:
    """[5, day, symbol]: daily bars that end at yesterday's close."""
    n = len(cast.names)
    market = rng.normal(MARKET_DRIFT, MARKET_NOISE, (days, 1))
    returns = cast.beta * market + rng.normal(0.0, cast.noise, (days, n))
    trend = cast.draw(rng, "trend")
    trend[0] = 0.0
    returns[-10:] += trend
    path = np.cumsum(returns, axis=0)
    close = _cents(cast.price * np.exp(path - path[-1]))
    before = np.vstack([_cents(close[:1] / np.exp(returns[:1])), close[:-1]])
    opens = _cents(before * np.exp(rng.normal(0.0, cast.noise / 4, (days, n)) + returns / 4))
    reach = np.abs(rng.normal(0.0, cast.noise / 2, (2, days, n)))
    high = np.maximum(np.maximum(opens, close), _cents(np.maximum(opens, close) * np.exp(reach[0])))
    low = np.minimum(np.minimum(opens, close), _cents(np.minimum(opens, close) * np.exp(-reach[1])))
    volume = np.rint(cast.volume * np.exp(rng.normal(0.0, 0.2, (days, n)) - 0.02))
    return np.stack([opens, high, low, close, volume])


def _minutes(rng: np.random.Generator, cast: Cast, hours: Session, around_the_clock: bool) -> list[Array]:
    """Rows [n, 6] of each symbol: a few minutes of the pre-market, then the session's without the halted ones."""
    n, m = len(cast.names), hours.minutes
    first = _cents(cast.price * (1 + np.where(np.arange(n) == 0, rng.normal(0.001, 0.002), cast.draw(rng, "gap"))))
    path = first[:, None] * np.exp(_path(rng, cast, m))
    points = _cents(path).reshape(n, m, STEPS)
    opens = np.concatenate([first[:, None], points[:, :-1, -1]], axis=1)
    volume = _volume(rng, cast, m)
    rows = np.empty((n, m, 6))
    rows[:, :, 0] = hours.open.timestamp() + 60.0 * np.arange(m)
    rows[:, :, 1] = opens
    rows[:, :, 2] = np.maximum(opens, points.max(axis=2))
    rows[:, :, 3] = np.minimum(opens, points.min(axis=2))
    rows[:, :, 4] = points[:, :, -1]
    rows[:, :, 5] = volume
    traded = _traded(rng, n, m)
    early = [np.empty((0, 6))] * n if around_the_clock else _pre_market(rng, cast, hours, first)
    return [np.concatenate([early[k], rows[k][traded[k]]]) for k in range(n)]


def _path(rng: np.random.Generator, cast: Cast, m: int) -> Array:
    """[symbol, minute x STEPS]: log price over the open: the character's plan, the market, noise pulled back."""
    n = len(cast.names)
    minute = np.arange(1, m * STEPS + 1) / STEPS
    early, move, after = cast.draw(rng, "early"), cast.draw(rng, "move"), cast.draw(rng, "after")
    turn = np.maximum(cast.draw(rng, "turn") * m, EARLY + 1)
    for part in (early, move, after):
        part[0] = rng.normal(0.0, 0.002)
    plan = np.empty((n, m * STEPS))
    for k in range(n):
        plan[k] = np.interp(
            minute, [0, EARLY, turn[k], m], [0.0, early[k], early[k] + move[k], early[k] + move[k] + after[k]]
        )
    lively = 0.7 + 0.9 * (2 * minute / m - 1) ** 2  # busier at both ends
    market = np.cumsum(rng.normal(0.0, MINUTE_NOISE / STEPS**0.5, m * STEPS) * lively)
    sigma = np.where(np.arange(n) == 0, 0.0, cast.constant("noise")) / STEPS**0.5
    shocks = rng.normal(0.0, 1.0, (n, m * STEPS)) * sigma[:, None] * lively
    keep = 1.0 - cast.constant("pull") / STEPS
    own = np.empty_like(shocks)
    level = np.zeros(n)
    for t in range(m * STEPS):
        level = level * keep + shocks[:, t]
        own[:, t] = level
    path: Array = plan + cast.beta[:, None] * market + own
    return path


def _volume(rng: np.random.Generator, cast: Cast, m: int) -> Array:
    """[symbol, minute] shares, U-shaped like the share table, noisy; at least one share."""
    at = np.arange(m + 1) * NORMAL_MINUTES / m
    share = np.diff(np.interp(at, [x for x, _ in SHARE], [y for _, y in SHARE]))
    busy = cast.draw(rng, "busy")
    busy[0] = 1.0
    whole_day = cast.volume * busy * (m / NORMAL_MINUTES if m < NORMAL_MINUTES else 1.0)
    noise = np.exp(rng.normal(0.0, 0.4, (len(cast.names), m)) - 0.08)
    return np.maximum(1.0, np.rint(whole_day[:, None] * share * noise))


def _traded(rng: np.random.Generator, n: int, m: int) -> NDArray[np.bool_]:
    """[symbol, minute]: where there is a bar; a few minutes are quiet, a few symbols are halted for a while."""
    traded = rng.random((n, m)) >= THIN
    halted = rng.random(n) < HALTED
    start = rng.integers(m // 6, m - m // 6, n)
    length = rng.integers(5, 20, n)
    for k in np.flatnonzero(halted):
        traded[k, start[k] : start[k] + length[k]] = False
    traded[0] = True
    traded[:, 0] = traded[:, -1] = True
    return traded


def _pre_market(rng: np.random.Generator, cast: Cast, hours: Session, first: Array) -> list[Array]:
    """Sparse minutes before the open, on the way from yesterday's close to the first price; busier where it gaps."""
    found = []
    starts = hours.open.timestamp() - 60.0 * np.arange(PRE_MARKET, 0, -1)
    for k, price in enumerate(first):
        gap = abs(price / cast.price[k] - 1)
        there = np.flatnonzero(rng.random(PRE_MARKET) < min(0.6, 0.05 + 12 * gap))
        way = np.minimum(1.0, (there + 20) / PRE_MARKET)
        last = _cents(cast.price[k] + (price - cast.price[k]) * way + rng.normal(0.0, 0.0007, len(there)) * price)
        opens = _cents(last * (1 + rng.normal(0.0, 0.0003, len(there))))
        volume = np.maximum(1.0, np.rint(cast.volume[k] * 0.0002 * rng.random(len(there))))
        high, low = np.maximum(opens, last), np.minimum(opens, last)
        found.append(np.stack([starts[there], opens, high, low, last, volume], axis=1))
    return found


def _cents(price: Array) -> Array:
    """Rounded to the tick, at least one, as the doubles that stand for those decimals."""
    return np.maximum(TICK, np.round(price, 2))
