"""Do the invariants hold? Read from desk.db (plain SQL), the venue's journal and how the processes ended; nothing else.

The numbers are those of the invariants I1-I16 as docs/reliability.md tells them.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.campaign.exchange import Entry
from tests.campaign.stage import Ended

ZERO = Decimal(0)
SHARE = Decimal("1e-9")
CENT = Decimal("0.005")
LIVE = ("intended", "submitted", "open", "partially_filled", "unknown")
# Written down here once more on purpose: the checker does not ask the code that it checks.
AFTER = {"open", "partially_filled", "filled", "cancelled", "rejected", "expired", "unknown"}
MOVES = {
    None: {"intended"},
    "intended": AFTER | {"submitted"},
    "submitted": AFTER,
    "unknown": AFTER | {"submitted"},
    "open": AFTER,
    "partially_filled": AFTER - {"open"},
}
FINE = {0, 2, 3, 4, 5, 6, 7, 8}  # exit codes that are an answer; 1 is a bug, 9 a broken store


@dataclass(frozen=True)
class Violation:
    """One invariant that did not hold: which, of what, what was found."""

    rule: str
    subject: str
    found: str

    def __str__(self) -> str:
        return f"{self.rule} {self.subject}: {self.found}"


class Books:
    """desk.db as rows of plain dictionaries."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path)
        self.db.row_factory = sqlite3.Row
        self.orders = self._rows("SELECT * FROM orders")
        self.by_client = {row["client_order_id"]: row for row in self.orders}
        self.fills = self._rows("SELECT * FROM fills WHERE order_id IS NOT NULL")
        self.positions = self._rows("SELECT * FROM positions WHERE closed_at IS NULL")
        self.trades = self._rows("SELECT * FROM trades")
        self.adjustments = self._rows("SELECT * FROM adjustments")
        self.checks = self._rows("SELECT * FROM risk_checks")
        self.events = self._rows("SELECT * FROM events")
        self.runs = self._rows("SELECT * FROM runs")
        self.slots = self._rows("SELECT * FROM slots")
        self.marks = {row["position_id"]: row for row in self._rows("SELECT * FROM marks")}
        self.moves = self._rows("SELECT * FROM campaign_moves ORDER BY n") if self._has("campaign_moves") else []
        self.slot_moves = self._rows("SELECT * FROM campaign_slots ORDER BY n") if self._has("campaign_slots") else []

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.db.execute(sql)]

    def _has(self, table: str) -> bool:
        return bool(self.db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone())

    def close(self) -> None:
        self.db.close()


def dec(value: Any) -> Decimal:
    return Decimal(str(value)) if value is not None else ZERO


def always(books: Books, journal: Sequence[Entry], ended: Iterable[Ended]) -> Iterator[Violation]:
    """What must hold at every moment, over the whole history."""
    yield from file_is_whole(books)
    yield from once_per_intent(books, journal)
    yield from written_first(books, journal)
    yield from never_oversold(books, journal)
    yield from not_blocked_by_absence(books, journal)
    yield from moves_allowed(books)
    yield from money_adds_up(books, journal)
    yield from checked_first(books, journal)
    yield from no_silence(books, ended)


def file_is_whole(books: Books) -> Iterator[Violation]:
    """I10"""
    for (text,) in books.db.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield Violation("I10", "desk.db", text)
    for row in books.db.execute("PRAGMA foreign_key_check"):
        yield Violation("I10", "desk.db", f"foreign key: {tuple(row)}")


def once_per_intent(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I1: at most one accepted order for each id, each decision, and none that the desk does not know."""
    accepted = [entry for entry in journal if entry.kind == "accept"]
    for client, n in Counter(entry.client_id for entry in accepted).items():
        if n > 1:
            yield Violation("I1", str(client), f"accepted {n} times")
    decisions: Counter[str] = Counter()
    for entry in accepted:
        row = books.by_client.get(entry.client_id)
        if row is None:
            yield Violation(
                "I1", entry.order, f"{entry.side} {entry.qty} {entry.symbol}: the store does not know its id"
            )
        elif row["purpose"] == "entry":
            decisions[row["decision_id"]] += 1
    for decision, n in decisions.items():
        if n > 1:
            yield Violation("I1", decision, f"{n} entry orders accepted")


def written_first(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I8: the intent's row was committed when the venue accepted."""
    for entry in journal:
        if entry.kind == "accept" and entry.known is False:
            yield Violation("I8", entry.order, "accepted before its intent was committed")


def never_oversold(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I3, I4: after each line of the journal what the desk built covers all that it is selling; never below zero."""
    owned: dict[str, Decimal] = defaultdict(Decimal)
    selling: dict[str, Decimal] = {}
    symbol_of: dict[str, str] = {}
    for entry in journal:
        if entry.kind == "fill":
            owned[entry.symbol] += entry.qty if entry.side == "buy" else -entry.qty
            if entry.order in selling:
                selling[entry.order] -= entry.qty
        elif entry.kind == "accept" and entry.side == "sell":
            selling[entry.order], symbol_of[entry.order] = entry.qty, entry.symbol
            if owned[entry.symbol] <= 0:
                yield Violation(
                    "I3", entry.order, f"sells {entry.qty} {entry.symbol}, the desk owns {owned[entry.symbol]}"
                )
        elif entry.kind in ("cancelled", "rejected", "expired"):
            selling.pop(entry.order, None)
        working = sum((qty for order, qty in selling.items() if symbol_of[order] == entry.symbol), ZERO)
        if working > owned[entry.symbol] + SHARE and entry.kind == "accept":
            yield Violation(
                "I4", entry.order, f"sells of {working} {entry.symbol} work, {owned[entry.symbol]} are owned"
            )
        if owned[entry.symbol] < -SHARE:
            yield Violation("I4", entry.order, f"{owned[entry.symbol]} {entry.symbol}: short")


def not_blocked_by_absence(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I7: no order that the venue took is called rejected or expired; nothing was written off that nobody took."""
    told: dict[str, set[str]] = defaultdict(set)
    client_of = {entry.order: entry.client_id for entry in journal if entry.kind == "accept"}
    for entry in journal:
        client = entry.client_id or client_of.get(entry.order)
        if client:
            told[client].add(entry.kind)
    for row in books.orders:
        kinds = told.get(row["client_order_id"], set())
        if row["status"] in ("rejected", "expired") and "accept" in kinds and row["status"] not in kinds:
            yield Violation("I7", row["id"], f"called {row['status']}, the venue took it")
        if row["status"] in ("open", "partially_filled", "filled", "cancelled") and "accept" not in kinds:
            yield Violation("I7", row["id"], f"called {row['status']}, the venue never had it")
    sold_by_hand = {entry.symbol for entry in journal if entry.kind == "hand-sell"}
    for row in books.adjustments:
        if row["kind"] == "external" and row["symbol"] not in sold_by_hand:
            yield Violation("I7", row["id"], f"{row['qty']} {row['symbol']} written off, nobody sold them by hand")


def moves_allowed(books: Books) -> Iterator[Violation]:
    """I9: only allowed moves; what is filled never falls and never exceeds the order."""
    size = {row["id"]: row["qty"] for row in books.orders}
    for move in books.moves:
        was, became = move["was"], move["became"]
        if was != became and became not in MOVES.get(was, set()):
            yield Violation("I9", move["order_id"], f"{was} became {became}")
        if move["has"] < move["had"] - 1e-9 or move["has"] > size.get(move["order_id"], 0) + 1e-9:
            yield Violation("I9", move["order_id"], f"filled went from {move['had']} to {move['has']}")


def money_adds_up(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I9: quantities and cash are the sums of fills, fees and adjustments; nothing was booked that did not happen."""
    happened = Counter((e.symbol, e.side, e.qty, e.price) for e in journal if e.kind == "fill")
    booked = Counter((f["symbol"], f["side"], dec(f["qty"]), dec(f["price"])) for f in books.fills)
    for what, n in (booked - happened).items():
        yield Violation("I9", what[0], f"booked {n} times more than it happened: {what}")
    seen = Counter(f["broker_fill_id"] for f in books.fills)
    for name, n in seen.items():
        if n > 1:
            yield Violation("I9", name, f"booked {n} times")
    owned: dict[str, Decimal] = defaultdict(Decimal)
    cash = ZERO
    for f in books.fills:
        sign = 1 if f["side"] == "buy" else -1
        owned[f["symbol"]] += sign * dec(f["qty"])
        cash -= sign * dec(f["qty"]) * dec(f["price"]) + dec(f["fee"])
    for row in books.adjustments:
        if row["kind"] in ("external", "release"):
            owned[row["symbol"]] -= dec(row["qty"])
        elif row["kind"] == "adopt":
            owned[row["symbol"]] += dec(row["qty"])
        elif row["symbol"] is None:
            cash += dec(row["amount"]) * (-1 if row["kind"] in ("withdrawal", "fee") and dec(row["amount"]) > 0 else 1)
    managed = {row["symbol"]: dec(row["qty"]) for row in books.positions}
    for symbol in {*owned, *managed}:
        if abs(owned[symbol] - managed.get(symbol, ZERO)) > SHARE:
            yield Violation("I9", symbol, f"positions say {managed.get(symbol, ZERO)}, fills say {owned[symbol]}")
    kept = books.db.execute("SELECT value FROM meta WHERE key = 'cash'").fetchone()
    if kept and abs(Decimal(kept[0]) - cash) > CENT:
        yield Violation("I9", "cash", f"{kept[0]} kept, {cash} by fills and adjustments")


def checked_first(books: Books, journal: Sequence[Entry]) -> Iterator[Violation]:
    """I12: every entry that the venue took was approved by the gate."""
    approved = {row["order_id"] for row in books.checks if row["verdict"] == "approved"}
    for entry in journal:
        row = books.by_client.get(entry.client_id) if entry.kind == "accept" else None
        if row is not None and row["side"] == "buy" and row["id"] not in approved:
            yield Violation("I12", row["id"], "no approved risk check")


def no_silence(books: Books, ended: Iterable[Ended]) -> Iterator[Violation]:
    """I15: nothing broke without a name, every run row ends or its death was noticed; I16: a slot's time once."""
    for one in ended:
        if one.killed:
            continue
        code, said, broken = one.value
        if broken or code not in FINE:
            yield Violation("I15", one.name, f"exit code {code}: {(broken or said).strip()[-400:]}")
    last = {row["command"]: row["started_at"] for row in sorted(books.runs, key=lambda row: str(row["started_at"]))}
    for row in books.runs:
        if row["ended_at"] is None and row["started_at"] < last[row["command"]]:
            yield Violation("I15", row["id"], "never ended, and a later run did not say so")
        died = any(e["kind"] == "alert.run-died" and e["ref"] == row["id"] for e in books.events)
        if row["exit_code"] == 137 and not died:
            yield Violation("I15", row["id"], "died without an alert")
    for key, n in Counter((row["name"], row["due_at"]) for row in books.slots).items():
        if n > 1:
            yield Violation("I16", str(key), f"{n} rows")
    died = {row["id"] for row in books.runs if row["exit_code"] in (None, 137)}
    at_work = Counter(
        (row["name"], row["due_at"])
        for row in books.slot_moves
        if row["state"] == "running" and row["run_id"] not in died
    )
    for key, n in at_work.items():
        if n > 1:
            yield Violation("I16", str(key), f"ran {n} times")


def converged(
    books: Books, journal: Sequence[Entry], holdings: dict[str, Decimal], frozen: Collection[str] = ()
) -> Iterator[Violation]:
    """I2: after the quiet reconcile store and venue say the same, but for symbols that the desk froze aloud."""
    journal = [entry for entry in journal if entry.symbol not in frozen]
    happened = Counter((e.symbol, e.side, e.qty, e.price) for e in journal if e.kind == "fill")
    booked = Counter((f["symbol"], f["side"], dec(f["qty"]), dec(f["price"])) for f in books.fills)
    for what, n in (happened - booked).items():
        yield Violation("I2", what[0], f"{n} fills not booked: {what}")
    alive: set[str] = set()
    for entry in journal:
        if entry.kind == "accept":
            alive.add(entry.order)
        elif entry.kind in ("cancelled", "rejected", "expired"):
            alive.discard(entry.order)
    left: dict[str, Decimal] = {e.order: e.qty for e in journal if e.kind == "accept"}
    for entry in journal:
        if entry.kind == "fill" and entry.order in left:
            left[entry.order] -= entry.qty
    there = {order for order in alive if left[order] > 0}
    mine = {
        row["broker_order_id"]: row for row in books.orders if row["status"] in LIVE and row["symbol"] not in frozen
    }
    for order in there - set(mine):
        yield Violation("I2", order, "works at the venue, the desk thinks it is over")
    for order, row in mine.items():
        if order not in there:
            yield Violation("I2", row["id"], f"{row['status']} in the store, not working at the venue ({order})")
    by_hand = {e.symbol for e in journal if e.kind == "hand-sell"}
    owned: dict[str, Decimal] = defaultdict(Decimal)
    for entry in journal:
        if entry.kind == "fill":
            owned[entry.symbol] += entry.qty if entry.side == "buy" else -entry.qty
    managed = {row["symbol"]: dec(row["qty"]) for row in books.positions if row["symbol"] not in frozen}
    for symbol in {*owned, *managed}:
        has, mine_qty = holdings.get(symbol, ZERO), managed.get(symbol, ZERO)
        if symbol not in by_hand and mine_qty != owned[symbol]:
            yield Violation("I2", symbol, f"the desk manages {mine_qty}, its fills at the venue left {owned[symbol]}")
        if mine_qty > has:
            yield Violation("I2", symbol, f"the desk manages {mine_qty}, the account has {has}")


def protected(books: Books, journal: Sequence[Entry], now: datetime) -> Iterator[Violation]:
    """I5: each open position has a live stop or sale, was judged just now, or an alert says that it is not."""
    covering: dict[str, Decimal] = defaultdict(Decimal)
    for row in books.orders:
        if row["side"] == "sell" and row["status"] in LIVE:
            covering[row["symbol"]] += dec(row["qty"]) - dec(row["filled_qty"])
    for row in books.positions:
        mark = books.marks.get(row["id"])
        judged = mark is not None and abs((now - parsed(mark["at"])).total_seconds()) <= 120
        warned = any(e["kind"].startswith("alert.") and e["ref"] in (row["id"], row["symbol"]) for e in books.events)
        if covering[row["symbol"]] < dec(row["qty"]) and not judged and not warned:
            yield Violation("I5", row["id"], "no stop, nobody looks, no alert")


def flat(books: Books) -> Iterator[Violation]:
    """I6: after the crash and some passes nothing managed is left, whatever else is broken or halted."""
    for row in books.positions:
        yield Violation("I6", row["id"], f"{row['qty']} shares are still held far below their stop")


def parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
