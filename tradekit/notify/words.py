"""Events as a message: one line each, the urgent first in the title, cut where a service would cut it."""

from collections.abc import Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tradekit.base.logs import redact
from tradekit.model import Event
from tradekit.notify.kinds import advice_of, matches

LONGEST = 3500  # characters; Telegram takes 4,096, ntfy 4 KB
LINE = 400


class Message(NamedTuple):
    """What goes out once. `key` is the same for the same events: receivers may drop a second one."""

    title: str
    text: str
    urgent: bool
    events: tuple[Event, ...]
    key: str


def message(events: Sequence[Event], *, desk: str, zone: ZoneInfo, urgent: list[str]) -> Message:
    """One message about all of these events, in their order."""
    from hashlib import blake2s

    pressing = [event for event in events if matches(event.kind, urgent)]
    first = (pressing or list(events))[0]
    more = f" and {len(events) - 1} more" if len(events) > 1 else ""
    title = f"{desk}: {'URGENT ' if pressing else ''}{first.kind.removeprefix('alert.')}{more}"
    lines = [line_of(event, zone) for event in events]
    if len(events) == 1 and (todo := advice_of(first.kind)):
        lines.append(f"What to do: {todo}")
    text = "\n".join(lines)
    key = blake2s("|".join(event.id for event in events).encode(), digest_size=16).hexdigest()
    return Message(redact(title), redact(text), bool(pressing), tuple(events), key)


def fitting(events: Sequence[Event], zone: ZoneInfo) -> int:
    """How many of the first events one message can hold whole; at least one."""
    length = 0
    for n, event in enumerate(events):
        length += len(line_of(event, zone)) + 1
        if length > LONGEST and n:
            return n
    return len(events)


def line_of(event: Event, zone: ZoneInfo) -> str:
    """`10:35:02 halt: daily-loss: ...`: exchange time, kind, what it is about."""
    said = str(event.data.get("message") or "")
    if not said:
        facts = [f"{name} {value}" for name, value in event.data.items() if not isinstance(value, dict | list)]
        said = " ".join([event.symbol or event.ref or "", ", ".join(facts)]).strip()
    elif event.symbol and event.symbol not in said:
        said = f"{event.symbol} {said}"
    clean = "".join(c if c.isprintable() else " " for c in said)  # names and reasons come from outside
    return f"{event.at.astimezone(zone):%H:%M:%S} {event.kind.removeprefix('alert.')}: {clean}"[:LINE]
