"""Bugs on purpose, to see that the checker bites: each is a patch of the desk's code, undone afterwards.

`BUGS` names them; `planted(name)` plants one in this process, and the commands that are forked from it have it too. A
campaign under each must report a violation within some schedules: tests/campaign/test_bites.py says how many.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import msgspec

from tests.campaign import ambiguous, commands
from tests.campaign.exchange import Remote
from tests.campaign.schedule import Batch, Command, Schedule, draw
from tradekit.brokers.base import BrokerFill, BrokerOrder, BrokerPosition, OrderRequest
from tradekit.desk import book, monitor_exits, orders, pretrade, protect, reconcile, sell, settle, slots
from tradekit.desk.desk import Desk
from tradekit.errors import AmbiguousSend, BrokerError, OrderRejected
from tradekit.model import FINAL_STATUSES, Order
from tradekit.store import Store
from tradekit.store import orders as store_orders
from tradekit.store.decisions import RiskChecks
from tradekit.store.orders import Orders
from tradekit.store.runtime import Runs

Patch = tuple[Any, str, Any]


@dataclass(frozen=True)
class Bug:
    """What is broken, how it is planted, and which invariants may notice."""

    name: str
    says: str
    patches: Callable[[], Sequence[Patch]]
    seen_by: frozenset[str]
    schedules: Callable[[int], Schedule]


BUGS: dict[str, Bug] = {}


def usual(seed: int) -> Schedule:
    """What a campaign draws."""
    return draw(seed, ("unique", "open-only"))


def writing(seed: int) -> Schedule:
    """Most commands die somewhere between two statements."""
    rng, schedule = random.Random(f"writing {seed}"), usual(seed)
    for batch in schedule.batches:
        for command in batch.commands:
            command.crash = command.kill_at = None
            command.kill_write = rng.randint(1, 70) if rng.random() < 0.7 else None
    return schedule


def invisible(seed: int) -> Schedule:
    """The entry's answer is lost and look-ups show it only after half a minute; somebody reconciles before that."""
    looks = [Batch(after, [Command("reconcile")]) for after in (1.0, 3.0, 5.0)]
    batches = [Batch(5.0 + seed % 40, [Command("enter")], decide=["AAA"]), *looks]
    faults = {"submit:1": {"kind": "lost-answer", "lag": 30}}
    return Schedule(seed, "open-only", "disaster", False, 0.0, batches, faults)


def blind(seed: int) -> Schedule:
    """A position, and a venue that cannot say what is held."""
    batches = [Batch(5.0, [Command("enter")], decide=["AAA"])]
    batches += [Batch(4.0, [Command(verb)]) for verb in ("monitor-exits", "reconcile", "monitor-exits", "reconcile")]
    kind = "fail" if seed % 2 else "empty"
    faults = {f"positions:{n}": {"kind": kind} for n in range(2 + seed % 3, 30)}
    return Schedule(seed, "unique", "none", False, 0.0, batches, faults)


def doubtful(seed: int) -> Schedule:
    """Lost answers at a venue where a closed order's id may be used again."""
    return replace(ambiguous.case(seed), profile="open-only", strict=False)


def overtaken(seed: int) -> Schedule:
    """Entries that are called off while they fill: the venue confirms the cancel, and fills some more."""
    batches = [Batch(5.0 + seed % 40, [Command("enter")], decide=["AAA", "BBB"])]
    batches += [Batch(0.5, [Command("liquidate", ["--all"])]), Batch(11.0, [Command("reconcile")])]
    faults = {f"cancel:{n}": {"kind": "late-fill", "after": 6} for n in range(1, 5)}
    return Schedule(seed, "unique", "none", False, 0.7, batches, faults)


def bug(
    says: str, *seen_by: str, schedules: Callable[[int], Schedule] = usual
) -> Callable[[Callable[[], Sequence[Patch]]], Callable[[], Sequence[Patch]]]:
    """Register the function below as a bug of its own name."""

    def register(patches: Callable[[], Sequence[Patch]]) -> Callable[[], Sequence[Patch]]:
        name = patches.__name__.replace("_", "-")
        BUGS[name] = Bug(name, says, patches, frozenset(seen_by), schedules)
        return patches

    return register


@contextmanager
def planted(name: str) -> Iterator[Bug]:
    """The bug is in the code while this lasts."""
    with ExitStack() as stack:
        for owner, attribute, value in BUGS[name].patches():
            stack.enter_context(patch.object(owner, attribute, value))
        yield BUGS[name]


@bug("the order goes out before its row is committed", "I8")
def row_after_send() -> Sequence[Patch]:
    add, opened = Orders.add, commands.open_for
    desks: list[Desk] = []

    def open_for(*args: Any) -> Desk:
        desks[:] = [opened(*args)]
        return desks[0]

    def send_then_add(self: Orders, record: Order) -> bool:
        try:
            desks[0].broker.submit(orders.request(record))
        except (BrokerError, OrderRejected):
            pass
        return add(self, record)

    return [(commands, "open_for", open_for), (Orders, "add", send_then_add)]


@bug("after a timeout the order is sent again under a new id", "I1", "I4")
def retry_with_a_new_id() -> Sequence[Patch]:
    submit = Remote.submit

    def again(self: Remote, order: OrderRequest) -> BrokerOrder:
        try:
            return submit(self, order)
        except AmbiguousSend:
            answer = submit(self, msgspec.structs.replace(order, client_order_id=order.client_order_id[::-1]))
            return msgspec.structs.replace(answer, client_order_id=order.client_order_id)

    return [(Remote, "submit", again)]


@bug("a read that failed counts as an empty account", "I7", "I2", "I4", "I6", schedules=blind)
def failed_read_is_flat() -> Sequence[Patch]:
    positions = Remote.positions

    def flat(self: Remote) -> Sequence[BrokerPosition]:
        try:
            return positions(self)
        except BrokerError:
            return []

    def at_once(desk: Desk, symbol: str, missing: Decimal, *_: object) -> None:
        if missing > 0:
            reconcile._close_external(desk, symbol, missing)

    return [
        (Remote, "positions", flat),
        (reconcile, "_missing", at_once),
        (reconcile, "contradicted", lambda *args: False),
    ]


@bug("shares that are missing once are written off at once", "I7", "I2", "I4", "I6", schedules=blind)
def one_look_is_enough() -> Sequence[Patch]:
    def at_once(desk: Desk, symbol: str, missing: Decimal, *_: object) -> None:
        if missing > 0:
            reconcile._close_external(desk, symbol, missing)

    return [(reconcile, "_missing", at_once), (reconcile, "contradicted", lambda *args: False)]


@bug("a fill is booked as often as the venue reports it", "I9", "I4", "I2", "I15")
def fills_not_deduplicated() -> Sequence[Patch]:
    fills_since = Remote.fills_since
    told: list[int] = []

    def renamed(self: Remote, since: datetime) -> Sequence[BrokerFill]:
        told.append(1)
        stamp = f"{self.link.now:%H%M%S%f}{len(told)}"
        found = fills_since(self, since)
        return [
            msgspec.structs.replace(f, broker_fill_id=f"{f.broker_fill_id}@{stamp}{n}") for n, f in enumerate(found)
        ]

    return [(Remote, "fills_since", renamed)]


@bug("a sell is not checked against what is owned and already on sale", "I3", "I4")
def sell_unchecked() -> Sequence[Patch]:
    def everything(desk: Desk, symbol: str, seen: Any, *, without: str | None = None) -> Decimal:
        return seen.qty(symbol) if seen.qty(symbol) else Decimal(1)  # type: ignore[no-any-return]

    return [
        (pretrade, "sellable", everything),
        (sell, "sellable", everything),
        (pretrade, "refuse_sell", lambda *args: None),
        (sell, "_room", lambda *args: True),
    ]


@bug("a stop covers one share more than is held", "I4")
def stop_for_the_old_quantity() -> Sequence[Patch]:
    request = orders.request

    def one_more(order: Order) -> OrderRequest:
        found = request(order)
        return msgspec.structs.replace(found, qty=found.qty + 1) if order.purpose == "protect" else found

    return [(orders, "request", one_more), (orders, "mismatch", lambda *args: None)]


@bug("no answer is taken for a refusal", "I7", "I2", "I4")
def timeout_is_a_refusal() -> Sequence[Patch]:
    submit = Remote.submit

    def refused(self: Remote, order: OrderRequest) -> BrokerOrder:
        try:
            return submit(self, order)
        except AmbiguousSend as lost:
            raise OrderRejected(lost.message) from None

    return [(Remote, "submit", refused)]


@bug("a cancel counts as done when it was asked for", "I4", "I2", "I7")
def cancel_is_assumed() -> Sequence[Patch]:
    follow = orders.request_cancel

    def assumed(desk: Desk, order: Order, because: str) -> Order:
        current = follow(desk, order, because)
        if current.status in FINAL_STATUSES:
            return current
        return orders.note(desk, current, status="cancelled", error=because, kind="order.cancelled")

    return [(orders, "request_cancel", assumed)]


@bug("every attempt of an exit has the same number", "I5", "I6", "I15")
def attempts_not_counted() -> Sequence[Patch]:
    return [(Orders, "final_count", lambda self, subject, purpose: 0)]


@bug("a halt stops the exits too", "I6")
def halt_blocks_exits() -> Sequence[Patch]:
    run = monitor_exits.monitor_exits

    def halted(desk: Desk, options: Any = None) -> list[Order]:
        return [] if desk.store.halts.open() else run(desk, options)

    return [(monitor_exits, "monitor_exits", halted)]


@bug("an old answer may move an order back", "I9", "I2")
def no_transition_table() -> Sequence[Patch]:
    every = frozenset(store_orders.TRANSITIONS)
    loose = dict.fromkeys(store_orders.TRANSITIONS, every)

    def anything(order: Order, answer: BrokerOrder, submitted_at: datetime | None = None) -> dict[str, Any]:
        return {"status": answer.status, "broker_order_id": answer.broker_order_id}

    return [(store_orders, "TRANSITIONS", loose), (orders, "news", anything), (settle, "news", anything)]


@bug("a fill, its order and its position are written one by one", "I9", "I10", "I2", schedules=writing)
def not_one_transaction() -> Sequence[Patch]:
    @contextmanager
    def loose(self: Store, low: bool = False) -> Iterator[None]:
        with self._writer.held() if hasattr(self._writer, "held") else nullcontext():
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0

    return [(Store, "_whole", loose), (Store, "_part", nullcontext_part)]


@contextmanager
def nullcontext_part(self: Store) -> Iterator[None]:
    """A part of nothing."""
    yield


@bug("two processes send at once", "I1", "I4", "I8", "I15", "I7", "I2", schedules=doubtful)
def no_submit_lock() -> Sequence[Patch]:
    @contextmanager
    def unlocked(desk: Desk, *, wait_s: float = 0.0) -> Iterator[None]:
        yield

    return [
        (orders, "submit_lock", unlocked),
        (settle, "submit_lock", unlocked),
        (settle, "absent_for", lambda desk, order: timedelta(hours=1)),
        (settle, "SURE", timedelta(0)),
    ]


@bug("a stop is taken back before it is this process's turn to send", "I5")
def stop_before_the_turn() -> Sequence[Patch]:
    @contextmanager
    def at_any_time(desk: Desk) -> Iterator[None]:
        yield

    return [(sell, "replacing", at_any_time), (protect, "replacing", at_any_time)]


@bug("an order that was absent once is sent again at once", "I1", "I7", "I4", "I2", schedules=invisible)
def no_second_look() -> Sequence[Patch]:
    return [
        (settle, "absent_for", lambda desk, order: timedelta(hours=1)),
        (settle, "SURE", timedelta(0)),
        (orders, "SURE", timedelta(0)),
    ]


@bug("a slot runs as often as it is asked to", "I16")
def slots_forgotten() -> Sequence[Patch]:
    return [(slots, "slots_done", lambda desk, days: {})]


@bug("a run that died is never missed", "I15")
def died_runs_forgotten() -> Sequence[Patch]:
    return [(Runs, "unfinished", lambda self: [])]


@bug("the gate's verdict is not kept", "I12")
def gate_leaves_no_trace() -> Sequence[Patch]:
    return [(RiskChecks, "add", lambda self, record: True)]


@bug("fills of orders that are over are ignored", "I2", "I4", schedules=overtaken)
def late_fills_ignored() -> Sequence[Patch]:
    order_of = book._order_of

    def only_live(desk: Desk, fill: BrokerFill) -> Order | None:
        order = order_of(desk, fill)
        return None if order is None or order.status in FINAL_STATUSES else order

    return [(book, "_order_of", only_live)]
