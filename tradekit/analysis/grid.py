"""Every setting of a grid over the bars of every trade: one loop, plain or compiled (`exits/compiled.py`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tradekit.exits.base import NAN, Bar
from tradekit.exits.plan import Wish, begin, levels_of
from tradekit.exits.walk import walk

if TYPE_CHECKING:
    import numpy as np


class Way(NamedTuple):
    """One way into one trade: where its bars stand in the long row of all bars, and what was paid when."""

    first: int
    until: int
    entry: float  # costs of a new entry included
    opened_s: float
    close_s: float  # of the session
    wishes: int  # which set of plans: they differ by what a setting leaves as it was
    trade: int  # row and column of the results
    setting: int


def run_ways(
    bars: Sequence[Bar],
    ways: Sequence[Way],
    wishes: Sequence[Sequence[Wish]],
    tick: float,
    side: float,
    interval_s: float,
    rets: "np.ndarray[Any, Any]",
    rules: "np.ndarray[Any, Any]",
) -> None:
    """Fill rets[setting, trade] with returns after costs and `rules` with the rule's place in PRIORITY (NONE: no exit).

    `side` are the costs of the way out, a fraction of the price; `interval_s` of the exit passes.
    """
    for k in range(len(ways)):
        way = ways[k]
        plans = wishes[way.wishes]
        for w in range(len(plans)):
            plan = levels_of(plans[w], way.entry, tick, way.close_s, NAN)
            held = begin(plan, way.entry, way.opened_s)
            rule, price, _ = walk(bars, way.first, way.until, held, plan, interval_s)
            rets[way.setting + w, way.trade] = price * (1 - side) / way.entry - 1
            rules[way.setting + w, way.trade] = rule
