"""From a position's plan to the levels that the exit rules judge."""

from datetime import date
from decimal import Decimal
from math import isnan
from typing import Any

import msgspec

from tradekit.desk.desk import Desk
from tradekit.exits import begin, level_in_force, levels, protect_level
from tradekit.exits.base import Held, Plan
from tradekit.model import ExitPlan, Mark, Position
from tradekit.money import dec


def plan_of(plan: dict[str, Any]) -> ExitPlan:
    """The ExitPlan that a position or a decision carries."""
    return msgspec.convert(plan, ExitPlan)


def plan_levels(desk: Desk, position: Position) -> Plan:
    """Absolute levels; the end of day is that of the entry's session, so that a day trade held over leaves at once."""
    plan = plan_of(position.plan)
    session = desk.calendar.on(position.session)
    close = None if session is None or desk.calendar.around_the_clock else session.close.timestamp()
    return levels(
        plan,
        float(position.avg_price),
        float(desk.settings.market.tick_of(position.symbol)),
        opened_s=position.opened_at.timestamp(),
        close_s=close,
        atr=average_true_range(desk, position.symbol, position.session, plan),
    )


def average_true_range(desk: Desk, symbol: str, before: date, plan: ExitPlan) -> float | None:
    """ATR14 in price units from the sessions before the entry, where the plan asks for it; None: not known."""
    if plan.stop_atr is None:
        return None
    from tradekit.exits.reversal_score import atr

    bars = desk.market.daily(symbol, before, 30)
    found = atr([b.high for b in bars], [b.low for b in bars], [b.close for b in bars])
    return found[-1] if found else None


def price_levels(desk: Desk, position: Position) -> tuple[Decimal | None, Decimal | None]:
    """Stop (or the first level of a trail from entry) and target as prices; None where the plan has none."""
    found = plan_levels(desk, position)
    first = level_in_force(begin(found, float(position.avg_price), position.opened_at.timestamp()), found)
    return _price(first), _price(found.close_above if isnan(found.target) else found.target)


def level_now(desk: Desk, position: Position, mark: Mark) -> Decimal | None:
    """The hard or trailing stop in force for the next bar."""
    return _price(level_in_force(held_of(position, mark), plan_levels(desk, position)))


def held_of(position: Position, mark: Mark) -> Held:
    """What the rules see of a position before the next bar."""
    return Held(
        entry=float(position.avg_price),
        high=float(mark.high if mark.high is not None else position.avg_price),
        armed=is_armed(position, mark),
        opened_s=position.opened_at.timestamp(),
    )


def is_armed(position: Position, mark: Mark) -> bool:
    """A trail from entry always is; another one when its target was hit, also before the operator changed the plan."""
    plan = plan_of(position.plan)
    return mark.target_hit or (plan.trail is not None and plan.trail_from == "entry")


def protect_price(desk: Desk, position: Position, mark: Mark | None) -> Decimal | None:
    """Where the resting stop belongs now; None: the plan or the settings want none."""
    high = mark.high if mark is not None and mark.high is not None else position.avg_price
    plan = plan_of(position.plan)
    return _price(
        protect_level(
            plan,
            float(position.avg_price),
            float(high),
            mode=desk.settings.exits.protect,
            disaster_min=desk.settings.exits.disaster_min,
            tick=float(desk.settings.market.tick_of(position.symbol)),
            armed=mark is not None and is_armed(position, mark),
            atr=average_true_range(desk, position.symbol, position.session, plan),
        )
    )


def _price(level: float) -> Decimal | None:
    """A level on the tick as Decimal: levels carry float noise, prices do not."""
    return None if isnan(level) else dec(round(level, 10))
