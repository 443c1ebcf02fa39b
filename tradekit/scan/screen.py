"""Both stages and the score over a whole panel: the body of every momentum-like strategy."""

import numpy as np

from tradekit.scan.features import measure, momentum_breakout, turnover20
from tradekit.scan.limits import Limits, thresholds
from tradekit.scan.score import score
from tradekit.scan.stage1 import stage1
from tradekit.scan.stage2 import stage2
from tradekit.scan.windows import whole, whole_mask
from tradekit.strategies.base import Panel, Signals

BECAUSE = (
    "{change:+.1%} on the day, {surge:.1f} x the usual volume, gap {gap:+.1%}, {roc10:+.1%} in ten sessions, "
    "at {strength:.0%} of its range, breakout: {momentum_breakout:yes}"
)


def screen(panel: Panel, limits: Limits) -> Signals:
    """Scores 0-20 where stage 1 lets a symbol through (NaN elsewhere), `passed` where stage 2 does too.

    Arrays are [time, symbol], empty before `panel.first`. Row t reads rows < t and `today[t]`.
    """
    found = measure(panel)
    lost = stage1(panel, found, limits)
    through = ~np.logical_or.reduce(list(lost.values()))
    bar = thresholds(panel.caps, len(panel.symbols), limits)
    breakout = momentum_breakout(panel, found, bar.gap, bar.surge)
    points = score(found, breakout)
    passed = through & stage2(found, breakout, bar)
    found |= {"momentum_breakout": breakout.astype(np.float64), "turnover20": turnover20(panel, through)}
    lost |= {"stage-2": through & ~passed}
    return Signals(
        score=whole(np.where(through, points, np.nan), panel.first),
        features={name: whole(a, panel.first) for name, a in found.items()},
        because=BECAUSE,
        passed=whole_mask(passed, panel.first),
        reject={name: whole_mask(mask, panel.first) for name, mask in lost.items()},
    )
