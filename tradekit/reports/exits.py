"""By which rule positions left: how often, how well, after how long, and how far beyond the level the fill was."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from tradekit.metrics import Tally, expectancy, interval, merged, profit_factor, quantile
from tradekit.model import Record
from tradekit.money import dec

ENOUGH = 5  # trades before "never wins" is said


class Overshot(NamedTuple):
    """One exit at a level: the level that was named, the average fill, the side of the order."""

    reason: str
    side: str
    level: float
    got: float


class ExitLine(Record, frozen=True, kw_only=True):
    """The trades that left by one rule; `_bp` + is a cost beyond the level. The last line is all of them."""

    reason: str
    trades: int
    wins: int
    losses: int
    win_rate: float | None
    win_rate_low: float | None  # 95 % interval
    win_rate_high: float | None
    net: Decimal
    expectancy: Decimal | None
    average_r: float | None
    profit_factor: float | None
    average_hold_s: float | None
    share_of_losses: float | None  # of all money lost
    levels: int  # fills that had a level to be compared with
    overshoot_p50_bp: float | None
    overshoot_p95_bp: float | None
    overshoot_max_bp: float | None
    note: str


def exits_report(tallies: Sequence[Tally], overshot: Sequence[Overshot] = ()) -> list[ExitLine]:
    """A line per exit rule (`key` of the tallies), the one that cost most first, and one for all."""
    if not tallies:
        return []
    beyond: dict[str, list[float]] = defaultdict(list)
    for one in overshot:
        worse = one.got - one.level if one.side == "buy" else one.level - one.got
        beyond[one.reason].append(worse / one.level * 10_000)
    lost = sum(t.lost for t in tallies)
    rows = [_line(t.key[0] or "unknown", t, beyond[t.key[0] or "unknown"], lost) for t in tallies]
    rows.sort(key=lambda row: (row.net, row.reason))
    everything = [bp for each in beyond.values() for bp in each]
    return [*rows, _line("all", merged(tallies), everything, lost)]


def in_words(tallies: Sequence[Tally], currency: str) -> list[str]:
    """Where the money went, in sentences: the rule that cost most, and what a win must be worth beside a loss."""
    whole = merged(tallies)
    if not whole.n:
        return []
    worst, said = min(tallies, key=lambda t: t.net), []
    if worst.net < 0:
        rest = whole.net - worst.net
        left = whole.n - worst.n
        said.append(f"{worst.key[0] or 'unknown'}: {worst.net:+,.2f} {currency} in {worst.n} of {whole.n} trades"
                    + (f"; the other {left} made {rest:+,.2f} {currency}" if left else ""))  # fmt: skip
    if whole.wins and whole.losses:
        win, loss = whole.won / whole.wins, -whole.lost / whole.losses
        low, high = interval(whole.wins, whole.n) or (0.0, 1.0)
        needed, had, low, high = (round(100 * x) for x in (loss / (win + loss), whole.wins / whole.n, low, high))
        said.append(f"a win brings {win:,.2f} {currency}, a loss costs {loss:,.2f}: {needed} % must win to break even, "
                    f"{had} % did (95 %: {low} to {high})")  # fmt: skip
    elif whole.losses:
        each = -whole.lost / whole.losses
        said.append(f"nothing was won: {whole.losses} losses of {each:,.2f} {currency} on average")
    if whole.net < 0:
        said.append("why: tradekit analyze entry-timing (too late?), targets (too far?), what-if (other plans?)")
    return said


def _line(reason: str, t: Tally, beyond: Sequence[float], lost: float) -> ExitLine:
    low, high = interval(t.wins, t.n) or (None, None)
    each = expectancy(t)
    return ExitLine(
        reason=reason,
        trades=t.n,
        wins=t.wins,
        losses=t.losses,
        win_rate=t.wins / t.n if t.n else None,
        win_rate_low=low,
        win_rate_high=high,
        net=money(t.net),
        expectancy=None if each is None else money(each),
        average_r=t.r / t.rs if t.rs else None,
        profit_factor=profit_factor(t.won, t.lost),
        average_hold_s=t.hold_s / t.n if t.n else None,
        share_of_losses=t.lost / lost if lost else None,
        levels=len(beyond),
        overshoot_p50_bp=_bp(quantile(beyond, 0.5)),
        overshoot_p95_bp=_bp(quantile(beyond, 0.95)),
        overshoot_max_bp=_bp(max(beyond, default=None)),
        note=_note(t),
    )


def _note(t: Tally) -> str:
    """What must be visible at a glance."""
    if t.n < ENOUGH:
        return "few"
    if t.wins == 0:
        return "NEVER WINS"
    return "always wins" if t.losses == 0 else ""


def money(x: float) -> Decimal:
    """A sum that was taken in floats, to the ledger's millionth."""
    return dec(round(x, 6))


def _bp(x: float | None) -> float | None:
    return None if x is None else round(x, 4)
