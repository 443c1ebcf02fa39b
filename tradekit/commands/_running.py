"""Who runs a desk, when each job last succeeded, what is next and what was missed: a part of `status`."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from datetime import date

    from tradekit.store import Store

SILENT = 3.0  # health intervals without a word, after which a supervisor counts as gone


def running_part(store: "Store", now: datetime, session: "date | None") -> dict[str, Any]:
    """The keys supervisor, next_slot, last_success and missed_slots."""
    text = store.meta.get("supervisor")
    row: dict[str, Any] = msgspec.json.decode(text) if text else {}
    rows = store.slots.on(session) if session else []
    done: dict[str, datetime] = {}
    missed: dict[str, int] = {}
    for slot in rows:
        if slot.state == "done":
            done[slot.name] = max(slot.due_at, done.get(slot.name, slot.due_at))
        elif slot.state == "missed":
            missed[slot.name] = missed.get(slot.name, 0) + 1
    return {
        "supervisor": supervisor(row, now),
        "next_slot": row.get("next") if row.get("state") != "stopped" else None,
        "last_success": done,
        "missed_slots": missed,
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
