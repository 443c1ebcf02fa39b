"""Performance numbers from returns and from trades: pure functions of floats. sources in docs/metrics.md.

Returns are fractions of one period each, oldest first. What the data cannot say is None, never 0 or an infinity.
Deviations are sample ones (divided by n - 1) where a function does not say otherwise; the risk-free rate is 0.
"""

from collections.abc import Sequence
from itertools import compress
from math import ceil, floor, fsum, isfinite, log1p, sqrt
from typing import NamedTuple

Returns = Sequence[float]


class Tally(NamedTuple):
    """Trades that have something in common, counted and summed; `key` says what. Money in the desk's currency."""

    key: tuple[str | None, ...]
    n: int
    wins: int
    losses: int
    gross: float
    fees: float
    net: float
    won: float  # sum of the net of the winners
    lost: float  # of the losers, below 0
    squares: float  # sum of net squared
    hold_s: float  # sum
    rs: int  # how many know their R
    r: float  # sum of R
    best: float
    worst: float


def merged(tallies: Sequence[Tally], key: tuple[str | None, ...] = ()) -> Tally:
    """Several groups as one."""
    if not tallies:
        return Tally(key, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0)
    _, n, wins, losses, gross, fees, net, won, lost, squares, hold_s, rs, r, best, worst = zip(*tallies, strict=True)
    return Tally(
        key,
        sum(n),
        sum(wins),
        sum(losses),
        fsum(gross),
        fsum(fees),
        fsum(net),
        fsum(won),
        fsum(lost),
        fsum(squares),
        fsum(hold_s),
        sum(rs),
        fsum(r),
        max(compress(best, n), default=0.0),
        min(compress(worst, n), default=0.0),
    )


# of returns


def mean(values: Returns) -> float | None:
    """The arithmetic mean; None of nothing."""
    return fsum(values) / len(values) if values else None


def deviation(values: Returns, ddof: int = 1) -> float | None:
    """The standard deviation; None of fewer than ddof + 1 values."""
    n = len(values)
    if n <= ddof:
        return None
    middle = fsum(values) / n
    return sqrt(fsum((x - middle) ** 2 for x in values) / (n - ddof))


def cumulative(returns: Returns) -> float | None:
    """The return of the whole: product of (1 + r), less 1."""
    return growth(returns)[-1] - 1 if returns else None


def growth(returns: Returns) -> list[float]:
    """What 1 became after each period."""
    found, value = [], 1.0
    for x in returns:
        value *= 1 + x
        found.append(value)
    return found


def annual_return(returns: Returns, periods: int = 252) -> float | None:
    """The compound return a year: (1 + cumulative) ** (periods / n) - 1; None after a total loss."""
    whole = cumulative(returns)
    return None if whole is None or whole <= -1 else float((1 + whole) ** (periods / len(returns)) - 1)


def volatility(returns: Returns, periods: int = 252) -> float | None:
    """The deviation of returns, a year."""
    found = deviation(returns)
    return None if found is None else found * sqrt(periods)


def sharpe(returns: Returns, periods: int = 252) -> float | None:
    """Mean over deviation, a year (Sharpe 1994); None where returns do not vary."""
    spread, middle = deviation(returns), mean(returns)
    return None if not spread or middle is None or _flat(spread, returns) else middle / spread * sqrt(periods)


def sortino(returns: Returns, periods: int = 252) -> float | None:
    """Mean over downside deviation, a year (Sortino and Price 1994): the root of the mean of min(r, 0) ** 2."""
    if len(returns) < 2:
        return None
    below = sqrt(fsum(min(x, 0.0) ** 2 for x in returns) / len(returns))
    return fsum(returns) / len(returns) / below * sqrt(periods) if below else None


def drawdowns(returns: Returns) -> list[float]:
    """How far below its peak (1 at the start included) the growth stands after each period, as fractions <= 0."""
    found, peak = [], 1.0
    for value in growth(returns):
        peak = max(peak, value)
        found.append(value / peak - 1)
    return found


def max_drawdown(returns: Returns) -> float | None:
    """The deepest of `drawdowns`."""
    return min(drawdowns(returns)) if returns else None


def longest_drawdown(returns: Returns) -> int:
    """Periods from a peak to the next one, the longest; one that is not over counts to the end."""
    longest = run = 0
    for depth in drawdowns(returns):
        run = run + 1 if depth < 0 else 0
        longest = max(longest, run)
    return longest


def calmar(returns: Returns, periods: int = 252) -> float | None:
    """Annual return over the deepest drawdown (Young 1991); None without a drawdown."""
    depth, year = max_drawdown(returns), annual_return(returns, periods)
    return year / -depth if depth and year is not None else None


def ulcer(returns: Returns) -> float | None:
    """The root of the mean square of drawdowns (Martin 1987), divided by n - 1 as quantstats does."""
    if len(returns) < 2:
        return None
    return sqrt(fsum(depth**2 for depth in drawdowns(returns)) / (len(returns) - 1))


def omega(returns: Returns) -> float | None:
    """Sum of gains over sum of losses at a threshold of 0 (Keating and Shadwick 2002); of trades: profit factor."""
    lost = -fsum(x for x in returns if x < 0)
    return fsum(x for x in returns if x > 0) / lost if lost else None


def quantile(values: Returns, share: float) -> float | None:
    """The value below which `share` of them lie, linear between neighbours (Hyndman and Fan 1996, type 7)."""
    if not values:
        return None
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    low, high = floor(place), ceil(place)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def tail_ratio(returns: Returns) -> float | None:
    """The 95th percentile over the 5th, both as sizes."""
    high, low = quantile(returns, 0.95), quantile(returns, 0.05)
    return abs(high) / abs(low) if high is not None and low else None


def value_at_risk(returns: Returns, share: float = 0.05) -> float | None:
    """The historical value at risk: that quantile of the returns, normally below 0."""
    return quantile(returns, share)


def expected_shortfall(returns: Returns, share: float = 0.05) -> float | None:
    """The mean of the worst returns: the floor((n - 1) x share) + 1 lowest, as empyrical counts them."""
    if not returns:
        return None
    count = int((len(returns) - 1) * share) + 1
    return fsum(sorted(returns)[:count]) / count


def stability(returns: Returns) -> float | None:
    """R squared of a straight line through cumulative log returns; None of fewer than two, or after a total loss."""
    if len(returns) < 2 or any(x <= -1 for x in returns):
        return None
    logs, total = [], 0.0
    for x in returns:
        total += log1p(x)
        logs.append(total)
    found = correlation(range(len(logs)), logs)
    return None if found is None else found**2


def win_rate(returns: Returns) -> float | None:
    """Share of gains among periods that were not flat."""
    moved = [x for x in returns if x != 0]
    return sum(x > 0 for x in moved) / len(moved) if moved else None


def payoff(returns: Returns) -> float | None:
    """The average gain over the average loss, as sizes."""
    won, lost = mean([x for x in returns if x > 0]), mean([x for x in returns if x < 0])
    return won / -lost if won is not None and lost else None


def geometric_mean(returns: Returns) -> float | None:
    """The compound return of one period."""
    whole = cumulative(returns)
    return None if whole is None or whole <= -1 else float((1 + whole) ** (1 / len(returns)) - 1)


def kelly(returns: Returns) -> float | None:
    """The share of capital that maximises growth of a binary bet (Kelly 1956): p - (1 - p) / payoff."""
    ratio, chance = payoff(returns), win_rate(returns)
    return (ratio * chance - (1 - chance)) / ratio if ratio and chance is not None else None


# against a benchmark: both over the same periods


def correlation(xs: Returns, ys: Returns) -> float | None:
    """Pearson's; None of fewer than two pairs or where one side does not vary."""
    n = len(xs)
    if n < 2 or n != len(ys):
        return None
    mx, my = fsum(xs) / n, fsum(ys) / n
    sxy = fsum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    sxx, syy = fsum((x - mx) ** 2 for x in xs), fsum((y - my) ** 2 for y in ys)
    return sxy / sqrt(sxx * syy) if sxx > 0 and syy > 0 else None


def beta(returns: Returns, benchmark: Returns) -> float | None:
    """Covariance with the benchmark over the benchmark's variance (Sharpe 1964)."""
    n = len(returns)
    if n < 2 or n != len(benchmark):
        return None
    mx, my = fsum(returns) / n, fsum(benchmark) / n
    varied = fsum((y - my) ** 2 for y in benchmark)
    return fsum((x - mx) * (y - my) for x, y in zip(returns, benchmark, strict=True)) / varied if varied else None


def alpha(returns: Returns, benchmark: Returns, periods: int = 252) -> float | None:
    """Jensen's alpha (1968): the mean of r - beta x benchmark, compounded over a year."""
    slope = beta(returns, benchmark)
    if slope is None:
        return None
    rest = fsum(x - slope * y for x, y in zip(returns, benchmark, strict=True)) / len(returns)
    return float((1 + rest) ** periods - 1) if rest > -1 else None


def capture(returns: Returns, benchmark: Returns, *, up: bool, periods: int = 252) -> float | None:
    """Annual return over the benchmark's, both over the periods in which the benchmark rose (or fell)."""
    pairs = [(x, y) for x, y in zip(returns, benchmark, strict=True) if (y > 0 if up else y < 0)]
    ours, theirs = annual_return([x for x, _ in pairs], periods), annual_return([y for _, y in pairs], periods)
    return ours / theirs if ours is not None and theirs else None


def information_ratio(returns: Returns, benchmark: Returns) -> float | None:
    """Mean over deviation of the difference to the benchmark, of one period (Grinold 1989), not of a year."""
    rest = [x - y for x, y in zip(returns, benchmark, strict=True)]
    spread, middle = deviation(rest), mean(rest)
    return middle / spread if spread and middle is not None else None


# of trades


def interval(wins: int, n: int, z: float = 1.959963984540054) -> tuple[float, float] | None:
    """Wilson's score interval (1927) of a share, 95 % by default; None of nothing."""
    if n == 0:
        return None
    share, square = wins / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z * sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def profit_factor(won: float, lost: float) -> float | None:
    """Money won over money lost; None without a loss."""
    return won / -lost if lost < 0 else None


def expectancy(t: Tally) -> float | None:
    """Money a trade."""
    return t.net / t.n if t.n else None


def t_statistic(t: Tally) -> float | None:
    """The mean net over its standard error (Student 1908); None of fewer than two trades or where they do not vary."""
    if t.n < 2:
        return None
    middle = t.net / t.n
    varied = (t.squares - t.n * middle * middle) / (t.n - 1)
    return middle / sqrt(varied / t.n) if varied > 1e-12 * max(1.0, middle * middle) else None


def finite(x: float | None) -> float | None:
    """None for what is no number."""
    return x if x is not None and isfinite(x) else None


def _flat(spread: float, values: Returns) -> bool:
    """A deviation that is only rounding: the same return each period."""
    return spread <= 1e-15 * max(abs(x) for x in values) * sqrt(len(values))
