"""Which features separated winners from losers, with sample sizes, intervals and a correction for looking often."""

from collections.abc import Mapping, Sequence
from math import isfinite
from statistics import fmean

import msgspec

from tradekit.analysis.statistics import holm, ranks_above, welch
from tradekit.metrics import deviation
from tradekit.model import Record

ENOUGH = 20  # winners and losers each, under which nothing is said to separate
SURE = 0.05


class SignalLine(Record, frozen=True, kw_only=True):
    """One feature. `difference`: mean of winners less losers, with its 95 % interval; p two-sided, then by Holm."""

    feature: str
    winners: int
    losers: int
    winners_mean: float | None
    losers_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    effect: float | None  # difference in pooled deviations
    above: float | None  # chance that a winner's value is above a loser's; 0.5: no difference
    p: float | None
    p_adjusted: float | None
    verdict: str


class Signals(Record, frozen=True, kw_only=True):
    """All features together, and how far to trust them."""

    on: str
    winners: int
    losers: int
    features: int
    separate: int
    warning: str


def signals(rows: Sequence[tuple[bool, Mapping[str, float | None]]], *, on: str) -> tuple[Signals, list[SignalLine]]:
    """`rows` are (won, features); the feature that separates most surely comes first."""
    names = sorted({name for _, features in rows for name in features})
    raw = [_line(name, rows) for name in names]
    adjusted = holm([line.p for line in raw])
    lines = [
        msgspec.structs.replace(line, p_adjusted=p, verdict=_verdict(line, p))
        for line, p in zip(raw, adjusted, strict=True)
    ]
    lines.sort(key=lambda line: (line.p is None, line.p or 0.0, line.feature))
    won = sum(won for won, _ in rows)
    tested = sum(line.p is not None for line in lines)
    summary = Signals(
        on=on,
        winners=won,
        losers=len(rows) - won,
        features=len(lines),
        separate=sum(line.verdict.startswith("separates") for line in lines),
        warning=_warning(won, len(rows) - won, tested),
    )
    return summary, lines


def _line(name: str, rows: Sequence[tuple[bool, Mapping[str, float | None]]]) -> SignalLine:
    groups: dict[bool, list[float]] = {True: [], False: []}
    for won, features in rows:
        value = features.get(name)
        if value is not None and isfinite(value):
            groups[won].append(value)
    good, bad = groups[True], groups[False]
    found = welch(good, bad)
    pooled = deviation([*(x - fmean(good) for x in good), *(x - fmean(bad) for x in bad)]) if good and bad else None
    return SignalLine(
        feature=name,
        winners=len(good),
        losers=len(bad),
        winners_mean=fmean(good) if good else None,
        losers_mean=fmean(bad) if bad else None,
        difference=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        effect=found.value / pooled if found and pooled else None,
        above=ranks_above(good, bad),
        p=found.p if found else None,
        p_adjusted=None,
        verdict="",
    )


def _verdict(line: SignalLine, p: float | None) -> str:
    if p is None or min(line.winners, line.losers) < ENOUGH:
        return "too few to say"
    if p >= SURE:
        return "may be chance"
    return "separates: higher wins" if (line.difference or 0) > 0 else "separates: lower wins"


def _warning(winners: int, losers: int, tested: int) -> str:
    if min(winners, losers) < ENOUGH:
        return f"{winners} winners and {losers} losers: too few to say anything (at least {ENOUGH} of each)"
    return (
        f"{tested} features were looked at: one in twenty looks good by chance; trust p_adjusted (Holm), and only "
        "what holds on trades that were not in this table"
    )
