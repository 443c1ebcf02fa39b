"""Buy what is up today on heavy volume, above its recent highs or after ten strong sessions."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from tradekit.model import ExitPlan

if TYPE_CHECKING:
    from tradekit.strategies.base import Panel, Signals


@dataclass(frozen=True)
class Momentum:
    """The two stages of the scan as they stand; `small_*` are the thresholds of the cap class small."""

    min_price: Annotated[float, Meta(ge=0)] = 5.0
    min_notional: Annotated[float, Meta(ge=0)] = 0.0  # 24/7 desks, instead of min_price
    min_change: float = 0.005
    min_rvol: Annotated[float, Meta(ge=0)] = 1.2
    surge: Annotated[float, Meta(ge=0)] = 1.3
    gap: float = 0.01
    roc10: float = 0.03
    small_surge: Annotated[float, Meta(ge=0)] = 1.5
    small_gap: float = 0.03
    small_roc10: float = 0.05
    name = "momentum"
    timeframe = "1d"
    lookback = 50  # sessions before today, for SMA50
    exits = ExitPlan(
        trail=0.05,
        trail_from="entry",
        close_above=0.15,
        intent="swing",
        flat_before_close_s=None,
    )

    def signals(self, panel: "Panel") -> "Signals":
        """Scores 0-20, [time, symbol]; NaN where stage 1 rejects. Row t uses rows < t and `today[t]`."""
        from tradekit.scan.screen import (
            screen,
        )  # numpy: a decision needs only the exits

        return screen(panel, self)
