"""Orders: written down before they are sent, moved only along one table of transitions."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tradekit.errors import Refused, StoreError, UsageError
from tradekit.model import FINAL_STATUSES, LIVE_STATUSES, Order, Purpose
from tradekit.money import real, wire
from tradekit.store.rows import codec, time_text
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE orders (
    id              TEXT PRIMARY KEY,      -- subject, purpose, attempt
    client_order_id TEXT NOT NULL UNIQUE,  -- what the venue gets
    broker_order_id TEXT,                  -- NULL: written down, not known to be sent
    decision_id     TEXT REFERENCES decisions (id) DEFERRABLE INITIALLY DEFERRED,
    position_id     TEXT,                  -- no foreign key: an entry names the position it will open
    session         TEXT NOT NULL,
    symbol          TEXT NOT NULL,
    side            TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    qty             REAL NOT NULL CHECK (qty > 0),
    type            TEXT NOT NULL CHECK (type IN ('market', 'limit', 'stop', 'stop_limit', 'trailing_stop')),
    tif             TEXT NOT NULL CHECK (tif IN ('day', 'gtc', 'ioc', 'opg', 'cls')),
    limit_price     REAL CHECK (limit_price > 0),
    stop_price      REAL CHECK (stop_price > 0),
    trail_pct       REAL,                  -- a fraction
    extended_hours  INTEGER NOT NULL CHECK (extended_hours IN (0, 1)),
    purpose         TEXT NOT NULL CHECK (purpose IN ('entry', 'exit', 'protect', 'liquidate')),
    reason          TEXT NOT NULL,         -- the exit rule's name, entry, ...
    status          TEXT NOT NULL CHECK (status IN ('intended', 'submitted', 'open', 'partially_filled', 'filled',
                        'cancelled', 'rejected', 'expired', 'unknown')),
    raw_status      TEXT,                  -- the venue's word
    filled_qty      REAL NOT NULL CHECK (filled_qty BETWEEN 0 AND qty),  -- the sum of its fills
    avg_price       REAL,                  -- of its fills, for show
    fees            REAL NOT NULL,         -- of its fills
    decision_price  REAL,                  -- what the decision or exit level said
    created_at      TEXT NOT NULL,         -- written down, before anything was sent
    submitted_at    TEXT,
    updated_at      TEXT,
    error           TEXT,
    attempt         INTEGER NOT NULL CHECK (attempt >= 0),  -- terminal orders of the same subject and purpose before it
    because         TEXT NOT NULL,
    trigger_at      TEXT,                  -- start of the bar that touched an exit level
    plan            TEXT NOT NULL,         -- JSON, entries: the exit plan and strategy facts of the position to be
    run_id          TEXT
) STRICT;
CREATE UNIQUE INDEX orders_broker ON orders (broker_order_id) WHERE broker_order_id IS NOT NULL;
CREATE UNIQUE INDEX orders_one_live_entry_per_decision ON orders (decision_id)
    WHERE purpose = 'entry' AND status IN ('intended', 'submitted', 'open', 'partially_filled', 'unknown');
CREATE UNIQUE INDEX orders_one_live_entry_per_symbol ON orders (symbol)
    WHERE purpose = 'entry' AND status IN ('intended', 'submitted', 'open', 'partially_filled', 'unknown');
CREATE INDEX orders_live ON orders (status)
    WHERE status IN ('intended', 'submitted', 'open', 'partially_filled', 'unknown');
CREATE INDEX orders_session ON orders (session);
CREATE INDEX orders_decision ON orders (decision_id);
CREATE INDEX orders_position ON orders (position_id);
CREATE INDEX orders_created ON orders (created_at);
"""

_AFTER_SENDING = frozenset({"open", "partially_filled", "filled", "cancelled", "rejected", "expired", "unknown"})
TRANSITIONS: dict[str, frozenset[str]] = {
    "intended": _AFTER_SENDING | {"submitted"},
    "submitted": _AFTER_SENDING,
    "open": _AFTER_SENDING - {"open"},
    "partially_filled": _AFTER_SENDING - {"open", "partially_filled"},
    "unknown": _AFTER_SENDING - {"unknown"} | {"submitted"},
    **{status: frozenset() for status in FINAL_STATUSES},
}
BOOKED_FIELDS = frozenset({"filled_qty", "avg_price", "fees"})

_LIVE = "status IN ('intended', 'submitted', 'open', 'partially_filled', 'unknown')"
_FINAL = "status IN ('filled', 'cancelled', 'rejected', 'expired')"


class IllegalTransition(StoreError):
    """An order was asked to move where the table of transitions has no way."""


class Orders(Table[Order]):
    """Every order that was ever intended."""

    name = "orders"
    kind = Order
    time = "created_at"
    remembered = 4096

    def add(self, record: Order) -> bool:
        """Write an intent down before it is sent. False: this id was there already.

        Refused (6) where its decision or its symbol has another live entry order, or its client id is taken.
        """
        try:
            return super().add(record)
        except StoreError as error:
            if "UNIQUE" not in error.message:
                raise
            other = self.by_client_id(record.client_order_id) or next(
                (o for o in self.live_for(record.symbol) if o.purpose == "entry"), None
            )
            found = f"{other.id} ({other.status})" if other else error.message
            raise Refused(
                f"{record.id}: there is an order already: {found}", "let it finish, or: tradekit cancel ORDER"
            ) from None

    def live(self) -> list[Order]:
        """Orders that are not final, `unknown` ones too."""
        return self._kept("live", lambda: self._where(_LIVE))

    def live_for(self, symbol: str) -> list[Order]:
        """The live orders of a symbol."""
        return self._where(f"{_LIVE} AND symbol = ?", [symbol])

    def by_client_id(self, client_order_id: str) -> Order | None:
        """The order that the venue knows by this id of ours."""
        found = self._where("client_order_id = ?", [client_order_id])
        return found[0] if found else None

    def by_broker_id(self, broker_order_id: str) -> Order | None:
        """The order that the venue gave this id."""
        found = self._where("broker_order_id = ?", [broker_order_id])
        return found[0] if found else None

    def for_decision(self, id: str) -> list[Order]:
        """The orders that a decision led to."""
        return self._where("decision_id = ?", [id])

    def for_position(self, id: str) -> list[Order]:
        """The orders of a position, its entry too."""
        return self._where("position_id = ?", [id])

    def still_asked(self) -> set[str]:
        """Ids of open positions whose latest sale somebody asked for and has not got: the venue refused it or let it
        expire, or a CLOSE's limit outside regular hours works, or was taken back by the desk to ask less.
        """
        sql = (
            "SELECT o.position_id, o.id, o.purpose = 'liquidate', o.reason = 'decision', o.extended_hours, o.status, "
            "max(o.rowid) FROM positions p JOIN orders o ON o.position_id = p.id "
            "WHERE p.closed_at IS NULL AND o.purpose IN ('exit', 'liquidate') GROUP BY o.position_id"
        )  # SQLite takes the other columns from the row of the maximum
        found = set()
        for position, order, liquidate, decided, extended, status, _ in self._db.rows(sql):
            if status in ("rejected", "expired"):
                wanted = liquidate or decided
            elif decided and extended:
                wanted = status in LIVE_STATUSES or (status == "cancelled" and self._gave_way(order))
            else:
                wanted = False
            if wanted:
                found.add(position)
        return found

    def _gave_way(self, id: str) -> bool:
        """Cancelled by the desk for the next one, not by the operator or at the venue."""
        sql = (
            "SELECT e.kind FROM orders o JOIN events e ON e.at >= o.created_at AND e.ref = o.id "
            "WHERE o.id = ? AND e.kind IN ('order.cancel-asked', 'operator.cancel')"
        )
        return {kind for (kind,) in self._db.rows(sql, [id])} == {"order.cancel-asked"}

    def final_count(self, subject_id: str, purpose: str) -> int:
        """How many orders of this decision or position and purpose are final: the number of the next attempt."""
        sql = f"SELECT count(*) FROM orders WHERE (decision_id = ? OR position_id = ?) AND purpose = ? AND {_FINAL}"
        return int(self._db.value(sql, [subject_id, subject_id, purpose]))

    def created_since(self, at: datetime, purpose: Purpose | None = None) -> list[Order]:
        """Orders (of a purpose) that were written down at or after `at`."""
        if purpose is None:
            return self._where("created_at >= ?", [time_text(at)])
        return self._where("created_at >= ? AND purpose = ?", [time_text(at), purpose])

    def change(self, id: str, **fields: Any) -> Order:
        """Change fields of an order and return it as it is then.

        IllegalTransition for a status that cannot follow; the same status is fine. UsageError for an unknown id or
        field, and for filled_qty, avg_price and fees: those change with the fills that are booked.
        """
        booked = BOOKED_FIELDS & fields.keys()
        if booked:
            raise UsageError(f"{id}: {', '.join(sorted(booked))} change only with a booked fill")
        with self._store.transaction():
            order = self.get(id)
            if order is None:
                raise UsageError(f"there is no order {id}", "tradekit orders")
            if "status" in fields:
                check_move(order, fields["status"])
            changed = {name: value for name, value in fields.items() if getattr(order, name, ...) != value}
            if changed:
                self.update(id, changed)
        return msgspec.structs.replace(order, **changed)

    def update(self, id: str, fields: dict[str, Any]) -> None:
        """Write fields without asking the table of transitions: for the store's own booking."""
        c = codec(Order)
        values = [c.value(name, value) for name, value in fields.items()]
        columns = ", ".join(f"{name} = ?" for name in fields)
        self._write(f"UPDATE orders SET {columns} WHERE id = ?", [*values, id])

    def as_of(self, at: datetime, **filters: Any) -> list[Order]:
        """Orders as far as they were known at `at`: later fills and answers are taken away."""
        return [self.rewound(order, at) for order in self.all(as_of=at, **filters)]

    def rewound(self, order: Order, at: datetime) -> Order:
        """An order as far as it was known at `at`, by its fills until then."""
        sql = "SELECT qty, price, fee FROM fills WHERE order_id = ? AND at <= ?"
        fills = [tuple(wire(x) for x in row) for row in self._db.rows(sql, [order.id, time_text(at)])]
        filled, average, fees = totals([(qty, price, fee) for qty, price, fee in fills])
        known = min(filled, order.qty) == order.filled_qty  # a fill moves the status without an answer of the venue
        if known and order.updated_at is not None and order.updated_at <= at:
            status = order.status
        elif filled >= order.qty:
            status = "filled"
        elif filled:
            status = "partially_filled"
        else:
            status = "open" if order.submitted_at is not None and order.submitted_at <= at else "intended"
        return msgspec.structs.replace(
            order, status=status, filled_qty=min(filled, order.qty), avg_price=average, fees=fees
        )


def check_move(order: Order, status: str) -> None:
    """IllegalTransition where an order cannot come from its status to this one."""
    if status != order.status and status not in TRANSITIONS[order.status]:
        raise IllegalTransition(f"{order.id}: {order.status} cannot become {status}", f"tradekit why {order.id}")


def status_after_fill(status: str, filled: Decimal, qty: Decimal) -> str:
    """What an order is after a fill: final ones stay (a fill can come after the cancel), others fill up."""
    if status not in LIVE_STATUSES:
        return status
    return "filled" if filled >= qty else "partially_filled"


def totals(fills: list[tuple[Decimal, Decimal, Decimal]]) -> tuple[Decimal, Decimal | None, Decimal]:
    """Filled quantity, average price (12 digits, None without fills) and fees of (qty, price, fee) rows."""
    from tradekit.money import shown_average

    qty = sum((q for q, _, _ in fills), Decimal(0))
    total = sum((q * p for q, p, _ in fills), Decimal(0))
    fees = sum((f for _, _, f in fills), Decimal(0))
    return wire(qty), shown_average(total, qty) if qty else None, wire(fees)


def fits(x: Decimal) -> float:
    """A computed number as it is stored: rounded to 15 digits, never refused."""
    return real(wire(x))
