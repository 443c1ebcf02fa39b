"""The limits, how close the desk came to each, and how often each said no."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from tradekit.model import Account, Performance, Record, RiskCheck, Trade


class Limits(NamedTuple):
    """The limits that are watched over time; fractions of desk equity, or counts."""

    daily_loss: float
    drawdown: float
    exposure: float
    max_positions: int
    position_size: float
    entries_per_day: int
    consecutive_losses: int


class Buy(NamedTuple):
    """An entry that was filled: when, in which session, and its share of desk equity (None: unknown)."""

    at: datetime
    session: date
    share: float | None


class LimitLine(Record, frozen=True, kw_only=True):
    """One limit. `closest` is the worst that was seen, `used` its share of the limit (1: reached); null: not seen."""

    limit: str
    value: float | None
    closest: float | None
    used: float | None
    when: date | None
    seen: int  # how many observations that is
    vetoes: int
    halts: int
    note: str


def risk_report(
    limits: Limits,
    days: Sequence[Performance],
    accounts: Sequence[Account],
    trades: Sequence[Trade],
    buys: Sequence[Buy],
    checks: Sequence[RiskCheck],
    halts: Sequence[str] = (),
) -> list[LimitLine]:
    """A line per limit that is watched over time, then one per other rule that said no. `halts` are their kinds."""
    vetoed = Counter(check.rule for check in checks if check.verdict == "vetoed")
    stopped = Counter(halts)
    losses = [(row.session, max(0.0, -row.pnl_pct)) for row in days if row.pnl_pct is not None]
    depths = [(row.session, row.drawdown) for row in days if row.drawdown is not None]
    exposures = [(a.session or a.at.date(), a.exposure_pct) for a in accounts if a.exposure_pct is not None]
    exposures += [(row.session, row.exposure_pct) for row in days if row.exposure_pct is not None]
    entries = list(Counter(buy.session for buy in buys).items())
    sizes = [(buy.session, buy.share) for buy in buys if buy.share is not None]
    seen: list[tuple[str, float, Sequence[tuple[date, float]]]] = [
        ("daily-loss", limits.daily_loss, losses),
        ("drawdown", limits.drawdown, depths),
        ("exposure", limits.exposure, exposures),
        ("max-positions", limits.max_positions, held_at_once(trades, buys)),
        ("position-size", limits.position_size, sizes),
        ("entries-per-day", limits.entries_per_day, entries),
        ("consecutive-losses", limits.consecutive_losses, streaks(trades)),
    ]
    rows = [_line(name, value, found, vetoed[name], stopped[name]) for name, value, found in seen]
    names = {row.limit for row in rows}
    rows += [_line(rule, None, [], n, stopped[rule]) for rule, n in vetoed.most_common() if rule not in names]
    return rows


def streaks(trades: Sequence[Trade]) -> list[tuple[date, float]]:
    """Losses in a row after each trade; break-even neither counts nor resets."""
    found, run = [], 0
    for trade in sorted(trades, key=lambda t: (t.exit_at, t.id)):
        run = run + 1 if trade.net < 0 else run if trade.net == 0 else 0
        found.append((trade.session, float(run)))
    return found


def held_at_once(trades: Sequence[Trade], buys: Sequence[Buy]) -> list[tuple[date, float]]:
    """How many positions were open right after each entry."""
    ends = sorted(trade.exit_at for trade in trades)
    found, gone = [], 0
    for n, buy in enumerate(sorted(buys), 1):
        while gone < len(ends) and ends[gone] <= buy.at:
            gone += 1
        found.append((buy.session, float(n - gone)))
    return found


def _line(name: str, value: float | None, seen: Sequence[tuple[date, float]], vetoes: int, halts: int) -> LimitLine:
    day, worst = max(seen, key=lambda pair: pair[1], default=(None, None))
    used = worst / value if value and worst is not None else None
    note = ""
    if used is not None and used >= 1:
        note = "REACHED"
    elif used is not None and used >= 0.8:
        note = "close"
    return LimitLine(
        limit=name,
        value=value,
        closest=worst,
        used=used,
        when=day,
        seen=len(seen),
        vetoes=vetoes,
        halts=halts,
        note=note,
    )
