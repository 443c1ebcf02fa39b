"""Which halts the desk's own numbers call for. Pure: the caller writes the halt down and raises the alert."""

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from tradekit.config import RiskSettings
from tradekit.risk.verdicts import is_not_negative, is_number, percent, ratio


class HaltCall(NamedTuple):
    """A halt that should be open: `kind` is the rule, `reason` the sentence, `flatten` what risk.flatten_on says."""

    kind: str
    reason: str
    flatten: bool


def due_halts(
    settings: RiskSettings,
    *,
    equity: Decimal | None,
    day_pnl: Decimal | None,
    drawdown: float | None,
    loss_streak: int,
    reject_streak: int,
    open_kinds: Iterable[str] = (),
) -> list[HaltCall]:
    """Halts to raise now, without those whose kind is open already; an unknown number raises none.

    `equity` and `day_pnl` in the desk's currency, `drawdown` a positive fraction, streaks counted since the
    last `resume`.
    """
    found = (
        ("daily-loss", _daily_loss(settings, equity, day_pnl)),
        ("drawdown", _drawdown(settings, drawdown)),
        (
            "consecutive-losses",
            _streak(loss_streak, settings.consecutive_losses, "losing trades"),
        ),
        (
            "reject-streak",
            _streak(reject_streak, settings.reject_streak, "rejected orders"),
        ),
    )
    already = set(open_kinds)
    return [
        HaltCall(kind, reason, kind in settings.flatten_on) for kind, reason in found if reason and kind not in already
    ]


def loss_streak(nets: Iterable[Decimal | float | None]) -> int:
    """Losing trades in a row at the end of `nets` (oldest first, in currency).

    Break-even neither counts nor resets; an unknown result (None, NaN) never resets.
    """
    streak = 0
    for net in nets:
        if not is_number(net):
            continue
        streak = streak + 1 if net < 0 else 0 if net > 0 else streak  # type: ignore[operator]
    return streak


def reject_streak(statuses: Iterable[str]) -> int:
    """Rejected orders in a row at the end of `statuses` (oldest first); only an accepted order resets."""
    streak = 0
    for status in statuses:
        if status == "rejected":
            streak += 1
        elif status in ("open", "partially_filled", "filled", "cancelled", "expired"):
            streak = 0
    return streak


def _daily_loss(settings: RiskSettings, equity: Decimal | None, day_pnl: Decimal | None) -> str | None:
    if equity is None or day_pnl is None or not (is_number(equity) and is_number(day_pnl)) or equity <= day_pnl:
        return None
    loss = ratio(-day_pnl, equity - day_pnl)
    if loss < settings.daily_loss:
        return None
    return (
        f"the day lost {percent(loss)} of the previous close's desk equity, the limit is {percent(settings.daily_loss)}"
    )


def _drawdown(settings: RiskSettings, drawdown: float | None) -> str | None:
    if drawdown is None or not is_not_negative(drawdown) or drawdown < settings.drawdown:
        return None
    return f"desk equity is {percent(drawdown)} under its peak, the limit is {percent(settings.drawdown)}"


def _streak(found: int, limit: int, what: str) -> str | None:
    return f"{found} {what} in a row, the limit is {limit}" if found >= limit else None
