"""Stage 2: heavy volume, a breakout or ten strong days; one of the three is enough."""

from tradekit.scan.limits import Thresholds
from tradekit.scan.windows import reaches
from tradekit.strategies.base import Array, Mask


def stage2(found: dict[str, Array], breakout: Mask, bar: Thresholds) -> Mask:
    """True where surge, momentum_breakout or ROC10 reaches its threshold, [time, symbol]."""
    return reaches(found["surge"], bar.surge) | breakout | reaches(found["roc10"], bar.roc10)
