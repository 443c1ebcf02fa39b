"""A store as it was at a time, for reading: what came later is left out, what changed later is as it was.

Orders and runs are rewound, positions folded again from the fills until then. Marks are only kept for now, so prices
and levels that follow from them are unknown; plans are those of now.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tradekit.model import LIVE_STATUSES, Candidate, Decision, Halt, Order, Position, Record, Run
from tradekit.store.rows import time_text
from tradekit.store.scans import OUTCOMES
from tradekit.store.table import Table

if TYPE_CHECKING:
    from tradekit.store.store import Store

CHANGES = {  # what trading writes -> the time of its last change
    "orders": "max(created_at, coalesce(updated_at, created_at))",
    "fills": "at",
    "adjustments": "at",
    "decisions": "at",
    "risk_checks": "at",
    "halts": "max(at, coalesce(cleared_at, at))",
    "marks": "at",
}
FOUND = ("scans", "candidates", "decisions", "market_snapshots", "position_checks")  # what scan and decide write
MOMENTS = ("exit_at", "opened_at", "created_at", "started_at", "due_at", "at")  # when a record came to be


def changed_since(store: "Store", at: datetime) -> dict[str, int]:
    """Rows by table that trading wrote or changed after `at`; {}: the books are still those of then."""
    found = {}
    for table, moment in CHANGES.items():
        count = int(store.db.value(f"SELECT count(*) FROM {table} WHERE {moment} > ?", [time_text(at)]))
        if count:
            found[table] = count
    return found


def forget_later(store: "Store", at: datetime) -> None:
    """Take out of a throw-away copy what was found and decided after `at`."""
    store.db.run("PRAGMA foreign_keys = OFF")
    with store.transaction():
        for table in FOUND:
            store.db.run(f"DELETE FROM {table} WHERE at > ?", [time_text(at)])


class AsOf:
    """Answers like the store it stands before, about `at`. Reads only."""

    def __init__(self, store: "Store", at: datetime) -> None:
        self._store, self._at = store, at
        self.positions = _Positions(store.positions, store, at)
        self.orders = _Orders(store.orders, store, at)
        self.halts = _Halts(store.halts, store, at)
        self.runs = _Runs(store.runs, store, at)
        self.decisions = _Decisions(store.decisions, store, at)
        self.candidates = _Candidates(store.candidates, store, at)
        self.account = _Account(store.account, store, at)

    def positions_at(self, at: datetime) -> list[Position]:
        """Open positions at the earlier of the two times."""
        return self._store.positions_at(min(at, self._at))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return _Cut(found, self._store, self._at) if isinstance(found, Table) else found


class _Cut:
    """A table without what came later: every answer of every method is looked through."""

    def __init__(self, table: Any, store: "Store", at: datetime) -> None:
        self._table, self._store, self._at = table, store, at

    def all(self, **asked: Any) -> list[Any]:
        """The table's own `all`, until then."""
        until = min(asked.pop("as_of", None) or self._at, self._at)
        return self._cut(self._table.all(as_of=until, **asked))  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._table, name)
        return self._looked_through(found) if callable(found) else found

    def _looked_through(self, method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *words, **options: self._cut(method(*words, **options))

    def _cut(self, found: Any) -> Any:
        if isinstance(found, list):
            return [then for each in found if (then := self._then(each)) is not None]
        if isinstance(found, dict):
            return {key: then for key, each in found.items() if (then := self._then(each)) is not None}
        return self._then(found)

    def _then(self, found: Any) -> Any:
        """A record as it was, None where it was not there yet; anything else as it is."""
        if not isinstance(found, Record):
            return found
        moment = next((getattr(found, name) for name in MOMENTS if hasattr(found, name)), None)
        return None if moment is not None and moment > self._at else self._rewound(found)

    def _rewound(self, found: Any) -> Any:
        return found


class _Positions(_Cut):
    def open(self) -> list[Position]:
        return self._store.positions_at(self._at)

    def open_for(self, symbol: str) -> Position | None:
        return next((position for position in self.open() if position.symbol == symbol), None)


class _Orders(_Cut):
    def live(self) -> list[Order]:
        return [order for order in self._store.orders.as_of(self._at) if order.status in LIVE_STATUSES]

    def _rewound(self, found: Order) -> Order:
        return self._store.orders.rewound(found, self._at)


class _Halts(_Cut):
    def open(self) -> list[Halt]:
        return [halt for halt in self.all() if halt.cleared_at is None]

    def _rewound(self, found: Halt) -> Halt:
        cleared = found.cleared_at is not None and found.cleared_at <= self._at
        return found if cleared else msgspec.structs.replace(found, cleared_at=None)


class _Runs(_Cut):
    def unfinished(self, command: str | None = None) -> list[Run]:
        return [run for run in self.all() if run.ended_at is None and command in (None, run.command)]

    def last_of_each(self) -> list[Run]:
        newest = {run.command: run for run in self.all()}
        return sorted(newest.values(), key=lambda run: run.started_at)

    def _rewound(self, found: Run) -> Run:
        ended = found.ended_at is not None and found.ended_at <= self._at
        return found if ended else msgspec.structs.replace(found, ended_at=None, exit_code=None, counts={})


class _Decisions(_Cut):
    def waiting(self, session: Any = None) -> list[Decision]:
        """Asked of a human by then, not answered by then, and not over by then."""
        answered = {event.ref for event in self._store.events.all(as_of=self._at) if event.kind in ANSWERS}
        asked = {event.ref for event in self._store.events.all(as_of=self._at) if event.kind == "decision.waiting"}
        return [
            decision
            for decision in self.all(session=session)
            if (decision.id in asked or decision.status == "waiting")
            and decision.id not in answered
            and (decision.expires_at is None or self._at < decision.expires_at)
        ]


class _Candidates(_Cut):
    """What became of a candidate was not known then: the store keeps no time of it."""

    def _rewound(self, found: Candidate) -> Candidate:
        return msgspec.structs.replace(found, **dict.fromkeys(OUTCOMES))


ANSWERS = frozenset({"decision.pending", "decision.refused", "decision.expired"})


class _Account(_Cut):
    def latest(self, at: datetime | None = None) -> Any:
        return self._table.latest(min(at or self._at, self._at))
