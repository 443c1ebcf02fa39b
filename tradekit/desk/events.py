"""Events: what happened besides the records. An alert is an event that a human must see, and a line on stderr."""

from datetime import timedelta
from typing import Any

import msgspec

from tradekit.desk.desk import Desk
from tradekit.model import Event


def event(
    desk: Desk,
    kind: str,
    *,
    symbol: str | None = None,
    ref: str | None = None,
    **data: Any,
) -> Event:
    """Write one event beside its cause, inside the caller's transaction where there is one."""
    at = desk.clock.now()
    run = desk.run.id if desk.run else None
    n = len(desk.events) + 1
    name = f"{run}#{n}" if run else f"{at:%Y%m%dT%H%M%S%f}-{kind}-{n}"
    found = Event(
        id=name,
        at=at,
        session=desk.calendar.day(at),
        run_id=run,
        kind=kind,
        symbol=symbol,
        ref=ref,
        data=data,
    )
    while not desk.store.events.add(found):  # another process wrote one of this kind in the same microsecond
        found = msgspec.structs.replace(found, id=f"{found.id}+")
    desk.events.append(found)
    return found


def alert(
    desk: Desk,
    kind: str,
    message: str,
    *,
    symbol: str | None = None,
    ref: str | None = None,
    **data: Any,
) -> Event:
    """An event of kind `alert.KIND` and the same sentence on stderr."""
    desk.say(f"ALERT {kind}: {message}")
    return event(desk, f"alert.{kind}", symbol=symbol, ref=ref, message=message, **data)


def alert_once(
    desk: Desk,
    kind: str,
    message: str,
    *,
    symbol: str | None = None,
    ref: str | None = None,
    every_s: int = 3600,
    **data: Any,
) -> Event | None:
    """Like `alert`, but a condition that lasts is repeated only every `every_s` seconds."""
    if was_told(desk, kind, symbol=symbol, ref=ref, within_s=every_s):
        return None
    return alert(desk, kind, message, symbol=symbol, ref=ref, **data)


def was_told(desk: Desk, kind: str, *, symbol: str | None, ref: str | None, within_s: int) -> bool:
    """Whether an alert was given in the last `within_s` seconds.

    One from the future was said by a clock that was put back since: it silences nothing.
    """
    now = desk.clock.now()
    return any(
        old.at <= now and (old.kind, old.symbol, old.ref) == (f"alert.{kind}", symbol, ref)
        for old in desk.store.events.alerts(now - timedelta(seconds=within_s))
    )
