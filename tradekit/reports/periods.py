"""Weeks and months: what was earned, against the benchmark, and how much of it came from where."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from tradekit.metrics import Tally, cumulative, max_drawdown, merged, profit_factor
from tradekit.model import Performance, Record
from tradekit.reports.exits import money


class Period(Record, frozen=True, kw_only=True):
    """A week (ISO, Monday to Sunday) or a month. Trades count in the session in which they closed."""

    period: str  # 2026-W07, 2026-02
    kind: str
    first: date  # its first and last session with a row or a trade
    last: date
    sessions: int
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    gross: Decimal
    fees: Decimal
    net: Decimal  # of the trades that closed
    profit_factor: float | None
    average_r: float | None
    best: Decimal | None  # trade
    worst: Decimal | None
    return_pct: float | None  # of desk equity, open positions included
    returns_known: int  # sessions with a daily row
    benchmark_return: float | None  # over the same sessions
    max_drawdown: float | None  # inside the period
    equity: Decimal | None  # at its end
    exposure: float | None  # mean at the close


def periods(
    kind: Literal["week", "month"], tallies: Sequence[Tally], days: Sequence[Performance], *, with_weeks: bool = False
) -> list[Period]:
    """A row per period with a trade or a daily row, oldest first; `tallies` are keyed by session.

    `with_weeks` puts the weeks of a month before it; a week over a month's edge is split, so that weeks add up.
    """
    trades: dict[str, list[Tally]] = defaultdict(list)
    rows: dict[str, list[Performance]] = defaultdict(list)
    for tally in tallies:
        trades[_name(kind, date.fromisoformat(tally.key[0] or ""))].append(tally)
    for row in days:
        rows[_name(kind, row.session)].append(row)
    found = []
    for name in sorted({*trades, *rows}):
        if with_weeks:
            found += periods("week", trades[name], rows[name])
        found.append(_period(name, kind, trades[name], rows[name]))
    return found


def _name(kind: str, day: date) -> str:
    if kind == "month":
        return f"{day:%Y-%m}"
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02}"


def _period(name: str, kind: str, tallies: Sequence[Tally], days: Sequence[Performance]) -> Period:
    t = merged(tallies)
    sessions = sorted({date.fromisoformat(x.key[0] or "") for x in tallies} | {row.session for row in days})
    returns = [row.pnl_pct for row in days if row.pnl_pct is not None]
    theirs = [row.benchmark_return for row in days if row.benchmark_return is not None]
    exposures = [row.exposure_pct for row in days if row.exposure_pct is not None]
    return Period(
        period=name,
        kind=kind,
        first=sessions[0],
        last=sessions[-1],
        sessions=len(sessions),
        trades=t.n,
        wins=t.wins,
        losses=t.losses,
        win_rate=t.wins / t.n if t.n else None,
        gross=money(t.gross),
        fees=money(t.fees),
        net=money(t.net),
        profit_factor=profit_factor(t.won, t.lost),
        average_r=t.r / t.rs if t.rs else None,
        best=money(t.best) if t.n else None,
        worst=money(t.worst) if t.n else None,
        return_pct=cumulative(returns),
        returns_known=len(returns),
        benchmark_return=cumulative(theirs) if len(theirs) == len(days) else None,
        max_drawdown=max_drawdown(returns),
        equity=next((row.desk_equity for row in reversed(days) if row.desk_equity is not None), None),
        exposure=sum(exposures) / len(exposures) if exposures else None,
    )


def week_of(day: date) -> tuple[date, date]:
    """Monday and Sunday of a day's week."""
    monday = day - timedelta(days=day.weekday())
    return monday, monday + timedelta(days=6)
