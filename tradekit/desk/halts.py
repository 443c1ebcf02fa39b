"""The kill switch: a halt row refuses entries until it is cleared; exits go on whatever stands there."""

from dataclasses import dataclass

import msgspec

from tradekit.clock import iso
from tradekit.desk.desk import Desk
from tradekit.desk.drawdown import forget_peak
from tradekit.desk.events import alert, event
from tradekit.desk.frozen import unfreeze_all
from tradekit.desk.state import RESUMED_AT, streak_of_losses, streak_of_rejects
from tradekit.errors import UsageError
from tradekit.ids import halt_id
from tradekit.model import Account, Halt, Position

MASTERS = "masters-hit"


@dataclass(frozen=True)
class HaltOptions:
    reason: str
    flatten: bool = False


def halt(desk: Desk, options: HaltOptions) -> Halt:
    """Refuse every entry from now on; with `flatten` the next pass sells all. A manual halt that stands is kept."""
    for found in desk.store.halts.open():
        if found.kind != "manual":
            continue
        if options.flatten and not found.flatten:
            with desk.store.transaction():
                changed = desk.store.halts.change(found.id, flatten=True, reason=options.reason)
                event(desk, "halt", ref=found.id, reason=options.reason, flatten=True)
                return changed
        return found
    if not options.reason.strip():
        raise UsageError(
            "halt: the reason is empty",
            'say why: tradekit halt --reason "news before the open"',
        )
    return raise_halt(desk, "manual", options.reason, flatten=options.flatten, by="operator")


def raise_halt(desk: Desk, kind: str, reason: str, *, flatten: bool, by: str) -> Halt:
    """Write a halt down together with its alert."""
    now = desk.clock.now()
    row = Halt(
        id=halt_id(kind, now),
        at=now,
        kind=kind,
        reason=reason,
        flatten=flatten,
        by=by,
        session=desk.calendar.day(now),
    )
    with desk.store.transaction():
        if desk.store.halts.get(row.id) is not None:
            row = msgspec.structs.replace(row, id=f"{row.id}-{len(desk.store.halts.all())}")
        desk.store.halts.add(row)
        alert(desk, "halt", f"{kind}: {reason}", ref=row.id, flatten=flatten)
    return row


def resume(desk: Desk) -> list[Halt]:
    """Clear every open halt and free the frozen symbols. Streaks and the drawdown count from here on."""
    now, cleared = desk.clock.now(), []
    unfreeze_all(desk, "resume")
    with desk.store.transaction():
        desk.store.meta.set(RESUMED_AT, iso(now))
        forget_peak(desk)
        for found in desk.store.halts.open():
            desk.store.halts.clear(found.id, now)
            event(desk, "halt.cleared", ref=found.id, because="resume")
            cleared.append(msgspec.structs.replace(found, cleared_at=now))
    return cleared


def raise_automatic_halts(desk: Desk, state: Account) -> list[Halt]:
    """The halts that the desk's own numbers call for, each once."""
    from tradekit.risk.auto_halts import due_halts

    calls = due_halts(
        desk.settings.risk,
        equity=state.desk_equity,
        day_pnl=state.daily_pnl,
        drawdown=state.drawdown,
        loss_streak=streak_of_losses(desk),
        reject_streak=streak_of_rejects(desk),
        open_kinds=[row.kind for row in desk.store.halts.open()],
    )
    today = desk.calendar.day(desk.clock.now())
    resumed = {row.kind for row in desk.store.halts.all(session=today) if row.cleared_at and row.kind == "daily-loss"}
    raised = [
        raise_halt(desk, call.kind, call.reason, flatten=call.flatten, by="desk")
        for call in calls
        if call.kind not in resumed
    ]
    return raised + stop_when_masters_hit(desk)


def stop_when_masters_hit(desk: Desk) -> list[Halt]:
    """The day is won when every master that was filled has left at its target: no entry after that (preset moo)."""
    today = desk.calendar.day(desk.clock.now())
    if not desk.settings.risk.stop_when_masters_hit or any(
        h.kind == MASTERS for h in desk.store.halts.all(session=today)
    ):
        return []
    masters = masters_left(desk)
    if not masters:
        return []
    names = ", ".join(position.symbol for position in masters)
    return [raise_halt(desk, MASTERS, f"all masters hit their target: {names}", flatten=False, by="desk")]


def masters_left(desk: Desk) -> list[Position]:
    """The session's masters, once all of them have left at their target; before that, and without any, []."""
    today = desk.calendar.day(desk.clock.now())
    masters = [position for position in desk.store.positions.all(session=today) if position.master]
    return masters if all(_left_at_target(desk, position) for position in masters) else []


def _left_at_target(desk: Desk, position: Position) -> bool:
    trade = desk.store.trades.get(position.id)
    return trade is not None and (trade.exit_reason == "target" or position.target_hit)
