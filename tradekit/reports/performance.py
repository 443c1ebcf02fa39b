"""Metrics since inception and rolling, against the benchmark, and what the trades say by every way to sort them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tradekit import metrics as m
from tradekit.metrics import Tally
from tradekit.model import Performance, Record
from tradekit.reports.exits import money

WINDOWS = (7, 30, 90)  # calendar days
KEYS = ("strategy", "version", "cap", "regime", "hour", "hold")  # what the tallies are keyed by, in this order
HOLDS = ("under 5 min", "5 to 30 min", "30 min to 2 h", "2 h to a day", "1 to 5 days", "longer")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FEW = 20  # sessions or trades under which a number says little


class Window(Record, frozen=True, kw_only=True):
    """Returns of a stretch of sessions, fractions; null where n is too small. `benchmark_` over the same days."""

    window: str  # inception, 7d, 30d, 90d
    first: date | None
    last: date | None
    n: int  # returns
    gaps: int  # sessions without a row
    total_return: float | None
    annual_return: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    max_drawdown: float | None
    longest_drawdown: int | None  # sessions
    calmar: float | None
    ulcer: float | None
    value_at_risk: float | None
    expected_shortfall: float | None
    benchmark: str | None
    benchmark_n: int
    benchmark_return: float | None
    benchmark_max_drawdown: float | None
    beta: float | None
    alpha: float | None
    correlation: float | None
    up_capture: float | None
    down_capture: float | None
    information_ratio: float | None
    exposure: float | None  # mean share of desk equity at the close
    note: str


class Slice(Record, frozen=True, kw_only=True):
    """Trades that have something in common; money in the desk's currency."""

    by: str
    key: str
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    win_rate_low: float | None  # 95 % interval
    win_rate_high: float | None
    gross: Decimal
    fees: Decimal
    net: Decimal
    expectancy: Decimal | None
    profit_factor: float | None
    average_r: float | None
    average_hold_s: float | None
    best: Decimal | None
    worst: Decimal | None
    t_statistic: float | None
    note: str


class Holding(Record, frozen=True, kw_only=True):
    """Trades beside the benchmark over the very same minutes: did picking and timing add anything?"""

    by: str
    trades: int
    known: int  # trades for whose whole time the benchmark has bars
    average_return: float | None
    benchmark_average_return: float | None
    difference: float | None
    beat: float | None  # share of trades that did better than the benchmark
    note: str


def windows(rows: Sequence[Performance], sessions: Sequence[date] = (), *, periods: int = 252) -> list[Window]:
    """Since inception and the last 7, 30, 90 days up to the newest row. `sessions`: all there were, for the gaps."""
    known = sorted(rows, key=lambda row: row.session)
    if not known:
        return [_window("inception", [], sessions, periods)]
    last = known[-1].session
    found = [_window("inception", known, sessions, periods)]
    for days in WINDOWS:
        part = [row for row in known if row.session > last - timedelta(days=days)]
        found.append(_window(f"{days}d", part, sessions, periods))
    return found


def _window(name: str, rows: Sequence[Performance], sessions: Sequence[date], periods: int) -> Window:
    with_return = [row for row in rows if row.pnl_pct is not None]
    returns = [row.pnl_pct for row in with_return if row.pnl_pct is not None]
    pairs = [(row.pnl_pct, row.benchmark_return) for row in with_return if row.benchmark_return is not None]
    ours, theirs = [x for x, _ in pairs if x is not None], [y for _, y in pairs]
    exposures = [row.exposure_pct for row in rows if row.exposure_pct is not None]
    first, last = (rows[0].session, rows[-1].session) if rows else (None, None)
    expected = sum(first <= day <= last for day in sessions) if first and last else 0
    n, year = len(returns), len(returns) >= FEW
    return Window(
        window=name,
        first=first,
        last=last,
        n=n,
        gaps=max(0, expected - len(rows)),
        total_return=m.cumulative(returns),
        annual_return=m.annual_return(returns, periods) if year else None,
        volatility=m.volatility(returns, periods),
        sharpe=m.sharpe(returns, periods) if year else None,
        sortino=m.sortino(returns, periods) if year else None,
        max_drawdown=m.max_drawdown(returns),
        longest_drawdown=m.longest_drawdown(returns) if returns else None,
        calmar=m.calmar(returns, periods) if year else None,
        ulcer=m.ulcer(returns),
        value_at_risk=m.value_at_risk(returns) if year else None,
        expected_shortfall=m.expected_shortfall(returns) if year else None,
        benchmark=next((row.benchmark for row in reversed(rows) if row.benchmark), None),
        benchmark_n=len(theirs),
        benchmark_return=m.cumulative(theirs),
        benchmark_max_drawdown=m.max_drawdown(theirs),
        beta=m.beta(ours, theirs) if len(theirs) >= FEW else None,
        alpha=m.alpha(ours, theirs, periods) if len(theirs) >= FEW else None,
        correlation=m.correlation(ours, theirs) if len(theirs) >= FEW else None,
        up_capture=m.capture(ours, theirs, up=True, periods=periods) if len(theirs) >= FEW else None,
        down_capture=m.capture(ours, theirs, up=False, periods=periods) if len(theirs) >= FEW else None,
        information_ratio=m.information_ratio(ours, theirs) if len(theirs) >= FEW else None,
        exposure=m.mean(exposures),
        note="" if year else f"{n} sessions: too few for ratios ({FEW})" if n else "no daily rows: jobs snapshot",
    )


def slices(tallies: Sequence[Tally], zone: ZoneInfo) -> list[Slice]:
    """All trades, then by strategy, version, cap, regime, hour and weekday of entry, holding time. Keys as in KEYS."""
    found = [_slice("all", "all", m.merged(tallies))] if tallies else []
    clock = _clock(zone)
    sorts: list[tuple[str, Callable[[Tally], str], Callable[[str], object] | None]] = [
        ("strategy", lambda t: t.key[0] or "none", None),
        ("version", lambda t: f"{t.key[0] or 'none'} {t.key[1] or 'unknown'}", None),
        ("cap", lambda t: t.key[2] or "unknown", None),
        ("regime", lambda t: t.key[3] or "unknown", None),
        ("hour", lambda t: clock(t.key[4])[0], None),
        ("weekday", lambda t: clock(t.key[4])[1], WEEKDAYS.index),
        ("holding time", lambda t: HOLDS[int(t.key[5] or 0)], HOLDS.index),
    ]
    for name, key, order in sorts:
        groups: dict[str, list[Tally]] = defaultdict(list)
        for tally in tallies:
            groups[key(tally)].append(tally)
        for each in sorted(groups, key=order):  # type: ignore[arg-type]
            found.append(_slice(name, each, m.merged(groups[each])))
    return found


def holding(returns: Sequence[tuple[float, float | None]], benchmark: str | None) -> Holding:
    """(our return, the benchmark's over the same minutes) of each trade together."""
    pairs = [(ours, theirs) for ours, theirs in returns if theirs is not None]
    ours, theirs = m.mean([x for x, _ in pairs]), m.mean([y for _, y in pairs])
    return Holding(
        by=f"against {benchmark or 'no benchmark'} over our own holding times",
        trades=len(returns),
        known=len(pairs),
        average_return=ours,
        benchmark_average_return=theirs,
        difference=None if ours is None or theirs is None else ours - theirs,
        beat=sum(x > y for x, y in pairs) / len(pairs) if pairs else None,
        note="few" if len(pairs) < FEW else "",
    )


def _slice(by: str, key: str, t: Tally) -> Slice:
    low, high = m.interval(t.wins, t.n) or (None, None)
    each = m.expectancy(t)
    return Slice(
        by=by,
        key=key,
        trades=t.n,
        wins=t.wins,
        losses=t.losses,
        win_rate=t.wins / t.n if t.n else None,
        win_rate_low=low,
        win_rate_high=high,
        gross=money(t.gross),
        fees=money(t.fees),
        net=money(t.net),
        expectancy=None if each is None else money(each),
        profit_factor=m.profit_factor(t.won, t.lost),
        average_r=t.r / t.rs if t.rs else None,
        average_hold_s=t.hold_s / t.n if t.n else None,
        best=money(t.best) if t.n else None,
        worst=money(t.worst) if t.n else None,
        t_statistic=m.t_statistic(t) if t.n >= FEW else None,
        note="few" if t.n < FEW else "",
    )


def _clock(zone: ZoneInfo) -> Callable[[str | None], tuple[str, str]]:
    """`2026-02-13T14` (UTC) as (hour, weekday) of the exchange; each stamp is turned once."""
    known: dict[str | None, tuple[str, str]] = {}

    def found(stamp: str | None) -> tuple[str, str]:
        if stamp not in known:
            at = datetime.fromisoformat(f"{stamp}:00:00+00:00").astimezone(zone)
            known[stamp] = (f"{at:%H}:00", WEEKDAYS[at.weekday()])
        return known[stamp]

    return found
