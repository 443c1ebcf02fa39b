"""From an entry to its exit, bar by bar: the loop of what-if and backtests, plain or compiled from this source."""

from collections.abc import Sequence

from tradekit.exits.base import NO_STATE, Bar, Held, Plan
from tradekit.exits.one_bar import HARD_STOP, NONE, TRAILING_STOP, advance, verdict


def walk(
    bars: Sequence[Bar], first: int, until: int, held: Held, plan: Plan, interval_s: float
) -> tuple[int, float, float]:
    """(rule, price before costs, when in seconds) of the exit that the bars first..until-1 bring.

    Filled as a replay fills: a stop touched inside a bar that is longer than the exit pass (`interval_s`) at its
    level, everything else at the next bar's open. NONE: no rule fired, and the price is the last close.
    """
    for i in range(first, until):
        bar = bars[i]
        rule, price, _ = verdict(held, bar, plan, NO_STATE)
        if rule != NONE:
            if HARD_STOP <= rule <= TRAILING_STOP and bar.end_s - bar.start_s > interval_s:
                return rule, price, bar.end_s
            if i + 1 < until:
                return rule, bars[i + 1].open, bars[i + 1].start_s
            return rule, bar.close, bar.end_s
        held = advance(held, bar, plan)
    return NONE, bars[until - 1].close, bars[until - 1].end_s
