"""The exit plan that an entry will carry: the strategy's own, the desk's changes, the signal's levels."""

from typing import Any

import msgspec

from tradekit.config import PlanSettings
from tradekit.model import Candidate, ExitPlan


def entry_plan(own: ExitPlan, desk: PlanSettings | None, candidate: Candidate) -> dict[str, Any]:
    """ExitPlan fields as a mapping. What desk.yaml names wins over the strategy; a signal's level wins over both.

    Levels are prices in the quote currency, everything else fractions and seconds.
    """
    plan = desk.over(own) if desk else msgspec.to_builtins(own)
    levels = {"stop_price": candidate.stop_price, "target_price": candidate.target_price}
    plan.update({name: float(level) for name, level in levels.items() if level is not None})
    found: dict[str, Any] = plan
    return found
