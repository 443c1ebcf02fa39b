"""Who runs a desk, when each job last succeeded, what is next and what was missed: a part of `status`."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tradekit.commands._next_slot import next_slot

if TYPE_CHECKING:
    from datetime import date

    from tradekit.commands._context import Context
    from tradekit.store import Store

SILENT = 3.0  # health intervals without a word, after which a supervisor counts as gone
LOOK_BACK = timedelta(days=14)  # a weekly slot has succeeded in them


def running_part(context: "Context", store: "Store", now: datetime, session: "date | None") -> dict[str, Any]:
    """The keys settings, supervisor, next_slot, last_success (of two weeks) and missed_slots (of the session)."""
    text = store.meta.get("supervisor")
    row: dict[str, Any] = msgspec.json.decode(text) if text else {}
    who = supervisor(row, now)
    at_work = who is not None and who["state"] in ("awake", "asleep")
    coming, settings = next_slot(context, store, now)
    return {
        "settings": settings,
        "supervisor": who,
        "next_slot": row.get("next") if at_work else coming,
        "last_success": store.slots.last_done((now - LOOK_BACK).date(), now),
        "missed_slots": store.slots.missed(session, now) if session else {},
    }


def supervisor(row: dict[str, Any], now: datetime) -> dict[str, Any] | None:
    """Its state (awake, asleep, stopped, silent), pid, since when, restarts; None where none ever ran."""
    if not row:
        return None
    at = datetime.fromisoformat(row["at"])
    late = now - at > timedelta(seconds=SILENT * float(row.get("every_s", 30.0)))
    state = "silent" if late and row["state"] != "stopped" else row["state"]
    kept = {name: row.get(name) for name in ("pid", "since", "at", "running", "broken", "restarts")}
    return {"state": state} | kept
