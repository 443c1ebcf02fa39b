"""Buy at the open what the last complete session would have scored highest at its close."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, structs

from tradekit.model import ExitPlan

if TYPE_CHECKING:
    from tradekit.strategies.base import Panel, Signals


@dataclass(frozen=True)
class MarketOnOpen:
    """The scan of the last session as if it were today; entries go into the opening auction."""

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
    target: Annotated[float, Meta(gt=0)] = 0.018
    bold_target: Annotated[float, Meta(gt=0)] = 0.026  # where conviction is above `bold`
    bold: Annotated[float, Meta(ge=0, le=1)] = 0.8
    name = "market-on-open"
    timeframe = "1d"
    lookback = 51  # the last session and the 50 before it
    order_kind = "moo"
    exits = ExitPlan(stop=0.009, target=0.018, intent="day")

    def exits_at(self, conviction: float) -> ExitPlan:
        """The plan of an entry of this conviction, 0-1."""
        return structs.replace(
            self.exits,
            target=self.bold_target if conviction > self.bold else self.target,
        )

    def signals(self, panel: "Panel") -> "Signals":
        """Scores 0-20, [time, symbol]; row t judges row t - 1 with the rows before it as its history.

        Of `today[t]` it reads only the last pre-market trade, which stands for the price where there is one.
        """
        from tradekit.scan.last_session import (
            as_if_today,
        )  # numpy: a decision needs only the exits
        from tradekit.scan.screen import screen

        return screen(as_if_today(panel), self)
