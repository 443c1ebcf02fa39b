"""What an exit rule sees: NamedTuples of floats and flags, so that numba can compile the rules as they stand.

Prices are in the quote currency, times are seconds since the epoch (UTC); NaN switches a level off.
"""

import math
from typing import NamedTuple

NAN = float("nan")
SLACK = 1e-6  # ticks: 108.35 may be 10834.999999 of them in binary


class Held(NamedTuple):
    """A long position between two bars. `high` is the watermark that counts for the next bar."""

    entry: float
    high: float
    armed: bool  # the target was hit in an earlier bar, or the trail starts at entry
    opened_s: float


class Bar(NamedTuple):
    start_s: float
    end_s: float
    open: float
    high: float
    low: float
    close: float


class Plan(NamedTuple):
    """Absolute levels of one position; every level is already rounded down to the tick."""

    stop: float
    target: float  # a target that exits, or arms the trail where `arm` is set
    arm: bool
    trail: float  # fraction under the high; without `arm` it runs from entry
    floor: float  # an armed trail never lies below it
    close_above: float
    max_hold_s: float
    flat_at_s: float  # end of day: from this time on, for day intents
    tick: float


NO_PLAN = Plan(
    stop=NAN, target=NAN, arm=False, trail=NAN, floor=NAN, close_above=NAN, max_hold_s=NAN, flat_at_s=NAN, tick=0.01
)


class State(NamedTuple):
    """What the desk knows beside the bar, as of the bar's end."""

    kill: bool  # a halt with flatten
    regime_dead: bool  # and the intent is day
    reversal: bool  # the score reached the closing threshold
    close_asked: bool  # a pending CLOSE decision


NO_STATE = State(kill=False, regime_dead=False, reversal=False, close_asked=False)


class Found(NamedTuple):
    """An exit: the rule's name, the price it names, and the sentence that says why.

    `at_next_open`: the rule asks for the open of the bar after this one; `price` is then this bar's close,
    for reference only (NaN where no price is known). Otherwise `price` lies inside this bar.
    """

    rule: str
    price: float
    because: str
    at_next_open: bool = False


def floor_to(price: float, tick: float) -> float:
    """The tick at or below `price`; the price itself where it is NaN or the tick is 0 or unknown."""
    if math.isnan(price) or not tick > 0.0:
        return price
    per_unit = math.floor(1.0 / tick + 0.5)
    if abs(per_unit * tick - 1.0) < 1e-9:  # dividing by 100 gives 108.35, times 0.01 gives 108.35000000000001
        return math.floor(price * per_unit + SLACK) / per_unit
    return math.floor(price / tick + SLACK) * tick
