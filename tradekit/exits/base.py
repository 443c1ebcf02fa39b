"""What an exit rule sees: NamedTuples of floats and flags, so that numba can compile the rules as they stand.

Prices are in the quote currency, times are seconds since the epoch (UTC); NaN switches a level off.
"""

from typing import NamedTuple

NAN = float("nan")


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
    trail: float  # fraction under the high
    floor: float  # an armed trail never lies below it
    close_above: float
    max_hold_s: float
    flat_at_s: float  # end of day: from this time on, for day intents
    tick: float


class State(NamedTuple):
    """What the desk knows beside the bar."""

    kill: bool  # a halt with flatten
    regime_dead: bool  # and the intent is day
    reversal: bool  # the score reached the closing threshold
    close_asked: bool  # a pending CLOSE decision


NO_STATE = State(kill=False, regime_dead=False, reversal=False, close_asked=False)


class Found(NamedTuple):
    """An exit: the rule's name, the price it names, and the sentence that says why."""

    rule: str
    price: float
    because: str
