"""A venue of the campaign's own that misbehaves on order, and a journal that does not lie.

It lives in the stage's process, so killing a desk never kills it. Every accept, fill, cancel and hand trade is
appended to `journal` in the order in which it happened; the checker believes the journal and nothing else. It shares
no code with the paper engine: prices are the tape's, fills come in parts and late as the seed says.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tradekit.base.crashpoint import crash_point
from tradekit.brokers.base import (
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Capabilities,
    CashFlow,
    OrderRequest,
)
from tradekit.errors import AmbiguousSend, AuthError, BrokerError, OrderRejected
from tradekit.model import BarSource

ZERO = Decimal(0)
TIMEOUT_S = 10.0
READS = (
    "account",
    "positions",
    "order",
    "order_by_broker_id",
    "open_orders",
    "orders_since",
    "fills_since",
    "cash_flows_since",
)
SUBMIT_FAULTS = (
    "drop", "lost-answer", "late-accept", "error-before", "error-after", "reject", "auth", "wrong-answer",
    "late-reject",
)  # fmt: skip
READ_FAULTS = ("fail", "timeout", "stale", "empty", "double", "auth")
CANCEL_FAULTS = ("fail", "lost-answer", "late-fill", "slow")
ALIVE = ("open", "partially_filled")


@dataclass
class Entry:
    """One line of the journal."""

    n: int
    at: datetime
    kind: str  # accept, fill, cancelled, rejected, expired, hand-sell, hand-buy, refused
    client_id: str | None
    symbol: str
    side: str
    qty: Decimal
    price: Decimal | None = None
    order: str = ""
    known: bool | None = None  # accept: was the intent's row committed in desk.db at this moment?


@dataclass
class Working:
    """An order as the venue has it."""

    id: str
    request: OrderRequest
    at: datetime
    plan: list[tuple[datetime, Decimal]]  # parts that it will fill, once it can
    ours: bool = True
    status: str = "open"
    raw: str = "open"
    filled: Decimal = ZERO
    paid: Decimal = ZERO
    changed: datetime | None = None
    seen_to: datetime | None = None
    triggered: datetime | None = None
    cancel_at: datetime | None = None
    reject_at: datetime | None = None
    visible_from: datetime | None = None
    late_fill_at: datetime | None = None
    reason: str | None = None

    @property
    def left(self) -> Decimal:
        return self.request.qty - self.filled


class Exchange:
    """The venue. `faults` maps `op:n` (the n-th call of that kind) to a fault; `witness(id)` looks into desk.db."""

    def __init__(
        self,
        bars: BarSource,
        now: datetime,
        *,
        seed: object,
        profile: str = "unique",
        strict: bool = False,
        partial: float = 0.4,
        cash: Decimal = Decimal(100_000),
        foreign: Mapping[str, int] | None = None,
        faults: Mapping[str, Mapping[str, Any]] | None = None,
        witness: Callable[[str], bool] = lambda client_id: True,
    ) -> None:
        self.bars, self.now, self.seed, self.profile, self.strict = bars, now, seed, profile, strict
        self.partial, self.cash, self.opening_cash = partial, cash, cash
        self.faults = dict(faults or {})
        self.witness = witness
        self.orders: list[Working] = []
        self.fills: list[tuple[BrokerFill, bool]] = []
        self.holdings: dict[str, Decimal] = {s: Decimal(q) for s, q in (foreign or {}).items()}
        self.journal: list[Entry] = []
        self.calls: dict[str, int] = defaultdict(int)
        self.injected: list[str] = []
        self.breaches: list[str] = []  # calls that a desk made while it kept a transaction open
        self._later: list[tuple[datetime, int, Callable[[], None]]] = []
        self._past: list[tuple[datetime, dict[str, Decimal], list[BrokerOrder]]] = []
        self._began = now
        self._snap()

    @property
    def capabilities(self) -> Capabilities:
        ids: Any = self.profile
        return Capabilities(client_ids=ids, extended_hours=False, settle_s=10.0)

    # the line to a desk

    def call(self, op: str, *args: Any) -> tuple[float, Any]:
        """One request: how long the answer takes, and the answer (an exception where it is one)."""
        if op == "breach":
            self.breaches.append(args[0])
            return 0.0, None
        self.calls[op] += 1
        fault = dict(self.faults.get(f"{op}:{self.calls[op]}", {}))
        kind = fault.get("kind", "")
        try:
            if op == "submit":
                return self._submit(args[0], kind, fault)
            if op == "cancel":
                return self._cancel(args[0], kind, fault)
            if op == "guard":
                return 0.0, None
            return self._read(op, args, kind, fault)
        except (BrokerError, AuthError, OrderRejected) as error:
            return 0.1, error

    def _note_fault(self, op: str, kind: str) -> None:
        self.injected.append(f"{op} {kind}")

    def _submit(self, request: OrderRequest, kind: str, fault: dict[str, Any]) -> tuple[float, Any]:
        if kind:
            self._note_fault("submit", kind)
        lost = AmbiguousSend(f"{request.symbol}: no answer in {TIMEOUT_S:g} s")
        if kind == "drop":
            return TIMEOUT_S, lost
        if kind == "error-before":
            return 0.3, AmbiguousSend("502 Bad Gateway")
        if kind == "auth":
            return 0.2, AuthError("401: the token is not valid")
        if kind == "reject":
            self._write("refused", request)
            return 0.2, OrderRejected(f"{request.symbol}: the venue does not want it")
        if kind == "late-accept":
            self._at(
                self.now + timedelta(seconds=float(fault.get("after", 3))), lambda: self._accept_late(request, fault)
            )
            return TIMEOUT_S, lost
        answer = self._accept(request, fault)
        if kind == "lost-answer":
            return TIMEOUT_S, lost
        if kind == "error-after":
            return 0.4, AmbiguousSend("503 Service Unavailable")
        if kind == "wrong-answer":
            import msgspec

            return 0.2, msgspec.structs.replace(answer, symbol="WRONG", client_order_id="0" * 32)
        return 0.15, answer

    def _accept_late(self, request: OrderRequest, fault: dict[str, Any]) -> None:
        try:
            self._accept(request, fault)
        except OrderRejected:
            pass

    def _accept(self, request: OrderRequest, fault: dict[str, Any]) -> BrokerOrder:
        for known in self.orders:
            same = known.ours and known.request.client_order_id == request.client_order_id
            if same and (self.profile == "unique" or (self.profile == "open-only" and known.status in ALIVE)):
                return self._answer(known)
        bar = self.bars.last(request.symbol, self.now)
        if bar is None:
            raise OrderRejected(f"{request.symbol}: unknown")
        if self.strict and request.side == "sell" and request.qty > self._available(request.symbol):
            self._write("refused", request)
            raise OrderRejected(f"{request.symbol}: insufficient quantity, held_for_orders")
        n = len(self.orders) + 1
        lag = float(fault.get("lag", 0))
        order = Working(
            id=f"X{n}", request=request, at=self.now, plan=self._plan(request, n), changed=self.now, seen_to=self.now,
            visible_from=self.now + timedelta(seconds=lag) if lag else None,
            reject_at=self.now + timedelta(seconds=float(fault.get("after", 5)))
            if fault.get("kind") == "late-reject" else None,
        )  # fmt: skip
        if order.reject_at:
            order.plan = []
        self.orders.append(order)
        known_row = self.witness(request.client_order_id)
        self._write("accept", request, order=order.id, price=request.stop_price or request.limit_price, known=known_row)
        self._work(order)
        self._snap()
        return self._answer(order)

    def _plan(self, request: OrderRequest, n: int) -> list[tuple[datetime, Decimal]]:
        """When which part may fill, counted from the accept (stops: from their trigger)."""
        rng = random.Random(f"{self.seed}/order {n}")
        delay = rng.choice([0.0, 0.0, 0.2, 3.0, 8.0])
        if request.qty < 2 or rng.random() > self.partial:
            return [(self.now + timedelta(seconds=delay), request.qty)]
        first = max(Decimal(1), (request.qty * Decimal(rng.choice(["0.2", "0.5", "0.8"]))) // 1)
        parts = [(self.now + timedelta(seconds=delay), first)]
        if request.side == "sell" or rng.random() < 0.5:
            parts.append((self.now + timedelta(seconds=delay + rng.choice([1.0, 12.0, 40.0])), request.qty - first))
        return parts

    def _cancel(self, broker_id: str, kind: str, fault: dict[str, Any]) -> tuple[float, Any]:
        order = next((o for o in self.orders if o.id == broker_id), None)
        if kind:
            self._note_fault("cancel", kind)
        if kind == "fail":
            return TIMEOUT_S, BrokerError("no answer to the cancel")
        if order is None:
            return 0.1, BrokerError(f"there is no order {broker_id}", "tradekit orders")
        if order.status not in ALIVE:
            return 0.1, BrokerError(f"{broker_id} is {order.status}: it cannot be cancelled")
        rng = random.Random(f"{self.seed}/cancel {order.id}")
        if kind == "late-fill" and order.request.side == "buy" and order.left > 0:
            order.late_fill_at = self.now + timedelta(seconds=float(fault.get("after", 6)))
            self._end(order, "cancelled", "cancelled on request")
            return 0.2, None
        order.raw = "pending_cancel"
        order.cancel_at = self.now + timedelta(seconds=8.0 if kind == "slow" else rng.choice([0.0, 0.0, 0.5, 2.0]))
        if order.cancel_at <= self.now:
            self._end(order, "cancelled", "cancelled on request")
        if kind == "lost-answer":
            return TIMEOUT_S, BrokerError("no answer to the cancel")
        return 0.15, None

    def _read(self, op: str, args: tuple[Any, ...], kind: str, fault: dict[str, Any]) -> tuple[float, Any]:
        if kind:
            self._note_fault(op, kind)
        if kind == "fail":
            return 0.3, BrokerError(f"{op}: 502")
        if kind == "timeout":
            return TIMEOUT_S, BrokerError(f"{op}: no answer in {TIMEOUT_S:g} s")
        if kind == "auth":
            return 0.2, AuthError("401: the token is not valid")
        then = self.now - timedelta(seconds=float(fault.get("age", 4))) if kind == "stale" else self.now
        if op == "account":
            return 0.1, self._account()
        if op == "cash_flows_since":
            flow = CashFlow(ref="L1", at=self._began, kind="deposit", symbol=None, qty=None, amount=self.opening_cash)
            return 0.1, [flow] if args[0] <= self._began else []
        if op == "order":
            return 0.1, self._by_client_id(args[0])
        if op == "order_by_broker_id":
            return 0.1, next((self._answer(o) for o in self.orders if o.id == args[0]), None)
        if kind == "empty":
            return 0.1, []
        if op == "positions":
            return 0.1, self._positions(then, kind == "stale")
        if op == "open_orders":
            past = (
                self._at_time(then)[2]
                if kind == "stale"
                else [self._answer(o) for o in self.orders if o.status in ALIVE]
            )
            return 0.1, [o for o in past if self._seen(o.broker_order_id)]
        if op == "orders_since":
            return 0.1, [self._answer(o) for o in self.orders if (o.changed or o.at) >= args[0] and self._seen(o.id)]
        found = [f for f, _ in self.fills if args[0] <= f.at <= then and self._seen(f.broker_order_id)]
        if kind == "double":
            found = [*found, *reversed(found)]
        return 0.1, found

    def _by_client_id(self, client_id: str) -> BrokerOrder | None:
        if self.profile == "none":
            raise BrokerError("this venue knows no client ids")
        same = [o for o in self.orders if o.ours and o.request.client_order_id == client_id and self._seen(o.id)]
        return self._answer(same[-1]) if same else None

    def _seen(self, broker_id: str) -> bool:
        order = next(o for o in self.orders if o.id == broker_id)
        return order.visible_from is None or order.visible_from <= self.now

    def _account(self) -> BrokerAccount:
        held = sum(
            (
                o.left * (o.request.limit_price or ZERO)
                for o in self.orders
                if o.status in ALIVE and o.request.side == "buy"
            ),
            ZERO,
        )
        value = sum((qty * self._price(s) for s, qty in self.holdings.items()), ZERO)
        return BrokerAccount(
            account_id="campaign", cash=self.cash, equity=self.cash + value, buying_power=max(ZERO, self.cash - held),
            last_equity=self.opening_cash, currency="USD",
        )  # fmt: skip

    def _positions(self, then: datetime, stale: bool) -> list[BrokerPosition]:
        holdings = self._at_time(then)[1] if stale else self.holdings
        return [
            BrokerPosition(symbol=s, qty=q, available=max(ZERO, q - self._promised(s)), avg_price=None)
            for s, q in sorted(holdings.items())
            if q
        ]

    def _available(self, symbol: str) -> Decimal:
        return self.holdings.get(symbol, ZERO) - self._promised(symbol)

    def _promised(self, symbol: str) -> Decimal:
        return sum(
            (
                o.left
                for o in self.orders
                if o.status in ALIVE and o.request.side == "sell" and o.request.symbol == symbol
            ),
            ZERO,
        )

    def _answer(self, order: Working) -> BrokerOrder:
        request, ids = order.request, self.profile != "none"
        return BrokerOrder(
            broker_order_id=order.id, client_order_id=request.client_order_id if ids and order.ours else None,
            symbol=request.symbol, side=request.side, qty=request.qty, type=request.type, tif=request.tif,
            limit_price=request.limit_price, stop_price=request.stop_price, status=order.status,  # type: ignore[arg-type]
            raw_status=order.raw, filled_qty=order.filled,
            avg_price=(order.paid / order.filled).quantize(Decimal("1e-6")) if order.filled else None,
            submitted_at=order.at, updated_at=order.changed or order.at, triggered_at=order.triggered,
            reason=order.reason,
        )  # fmt: skip

    # time and the tape

    def move_to(self, now: datetime) -> None:
        """Play what happens until `now`."""
        while True:
            due = min((when for when in self._moments() if when <= now), default=None)
            if due is None:
                break
            self.now = max(self.now, due)
            self._happen()
        self.now = max(self.now, now)
        self._happen()

    def _moments(self) -> list[datetime]:
        found = [when for when, _, _ in self._later]
        for order in self.orders:
            if order.late_fill_at:
                found.append(order.late_fill_at)
            if order.status in ALIVE:
                found += [when for when in (order.cancel_at, order.reject_at) if when]
                if order.request.type != "stop" or order.triggered:
                    found += [when for when, _ in order.plan if when > self.now]
        return [when for when in found if when >= self.now]

    def _happen(self) -> None:
        due = [one for one in self._later if one[0] <= self.now]
        self._later = [one for one in self._later if one[0] > self.now]
        for _, _, what in sorted(due, key=lambda one: one[:2]):
            what()
        before = len(self.journal)
        for order in self.orders:
            if order.late_fill_at and order.late_fill_at <= self.now:
                order.late_fill_at = None
                self._fill(order, max(Decimal(1), (order.left / 2) // 1))
            if order.status not in ALIVE:
                continue
            self._work(order)
            if order.status in ALIVE and order.cancel_at and order.cancel_at <= self.now:
                self._end(order, "cancelled", "cancelled on request")
            if order.status in ALIVE and order.reject_at and order.reject_at <= self.now:
                self._end(order, "rejected", "risk check of the venue")
        if len(self.journal) != before:
            self._snap()

    def _work(self, order: Working) -> None:
        """Trigger and fill what the tape and the order's own plan allow by now."""
        request = order.request
        bars = self.bars.played(request.symbol, order.seen_to or order.at, self.now)
        if bars:
            order.seen_to = bars[-1].end
        if request.type == "stop" and order.triggered is None:
            if request.stop_price is None or not any(Decimal(str(bar.low)) <= request.stop_price for bar in bars):
                return
            order.triggered = order.changed = self.now
            shift = self.now - order.at
            order.plan = [(when + shift, qty) for when, qty in order.plan]
        last = self.bars.last(request.symbol, self.now)
        if last is None or self.now - last.end > timedelta(seconds=90):
            return  # halted: everything rests
        price = self._price(request.symbol)
        if request.limit_price is not None:
            worse = price > request.limit_price if request.side == "buy" else price < request.limit_price
            if worse:
                return
        while order.plan and order.plan[0][0] <= self.now and order.status in ALIVE:
            _, qty = order.plan.pop(0)
            self._fill(order, min(qty, order.left))

    def _price(self, symbol: str) -> Decimal:
        bar = self.bars.last(symbol, self.now)
        return Decimal(str(bar.close)) if bar else ZERO

    def _fill(self, order: Working, qty: Decimal) -> None:
        if qty <= 0:
            return
        request, price = order.request, self._price(order.request.symbol)
        if request.limit_price is not None and request.side == "buy":
            price = min(price, request.limit_price)
        k = sum(fill.broker_order_id == order.id for fill, _ in self.fills) + 1
        fee = (qty * price * Decimal("0.0001")).quantize(Decimal("0.01"))
        sign = 1 if request.side == "buy" else -1
        self.cash -= sign * qty * price + fee
        self.holdings[request.symbol] = self.holdings.get(request.symbol, ZERO) + sign * qty
        order.filled += qty
        order.paid += qty * price
        order.changed = self.now
        fill = BrokerFill(
            broker_fill_id=f"{order.id}-{k}", broker_order_id=order.id,
            client_order_id=request.client_order_id if self.profile != "none" and order.ours else None, at=self.now,
            symbol=request.symbol, side=request.side, qty=qty, price=price, fee=fee, fee_asset="USD",
            fee_estimated=False,
        )  # fmt: skip
        self.fills.append((fill, order.ours))
        self._write("fill" if order.ours else "hand-fill", request, order=order.id, qty=qty, price=price)
        if order.status in ALIVE:
            order.status = "filled" if not order.left else "partially_filled"
            order.raw = order.status if not order.left or order.cancel_at is None else "pending_cancel"

    def _end(self, order: Working, status: str, reason: str) -> None:
        order.status = order.raw = status
        order.reason, order.changed, order.cancel_at, order.reject_at = reason, self.now, None, None
        self._write(status, order.request, order=order.id, qty=order.left)
        self._snap()

    # people at the same account

    def hand(self, what: str, symbol: str, qty: int) -> None:
        """Somebody trades by hand: sells (cancelling what rests), buys, leaves an order; or the venue cancels."""
        self.move_to(self.now)
        if what == "venue-cancel":
            for order in self.orders:
                if order.ours and order.status in ALIVE and order.request.symbol == symbol:
                    self._end(order, "cancelled", "cancelled by the venue")
            return
        side = "sell" if what == "sell" else "buy"
        if side == "sell":
            for order in self.orders:
                if order.status in ALIVE and order.request.side == "sell" and order.request.symbol == symbol:
                    self._end(order, "cancelled", "cancelled by hand")
            qty = min(qty, int(self.holdings.get(symbol, ZERO)))
        if qty <= 0:
            return
        rests = what == "order"
        request = OrderRequest(
            client_order_id="", symbol=symbol, side=side, qty=Decimal(qty), type="limit" if rests else "market",  # type: ignore[arg-type]
            tif="gtc", limit_price=Decimal(1) if rests else None,
        )  # fmt: skip
        order = Working(id=f"X{len(self.orders) + 1}", request=request, at=self.now, ours=False, changed=self.now,
                        seen_to=self.now, plan=[] if what == "order" else [(self.now, Decimal(qty))])  # fmt: skip
        self.orders.append(order)
        self._write(f"hand-{what}", request, order=order.id)
        if what != "order":
            self._fill(order, Decimal(qty))
        self._snap()

    # the journal

    def _write(
        self,
        kind: str,
        request: OrderRequest,
        *,
        order: str = "",
        qty: Decimal | None = None,
        price: Decimal | None = None,
        known: bool | None = None,
    ) -> None:
        self.journal.append(
            Entry(len(self.journal) + 1, self.now, kind, request.client_order_id or None, request.symbol, request.side,
                  request.qty if qty is None else qty, price, order, known)
        )  # fmt: skip

    def _at(self, when: datetime, what: Callable[[], None]) -> None:
        self._later.append((when, len(self._later), what))

    def _snap(self) -> None:
        working = [self._answer(o) for o in self.orders if o.status in ALIVE]
        self._past.append((self.now, dict(self.holdings), working))

    def _at_time(self, then: datetime) -> tuple[datetime, dict[str, Decimal], list[BrokerOrder]]:
        return next((past for past in reversed(self._past) if past[0] <= then), self._past[0])


@dataclass
class Remote:
    """The desk's side of the line: a broker adapter that asks the stage."""

    link: Any
    capabilities: Capabilities
    inside: Callable[[], bool] = field(default=lambda: False)  # is a transaction open?
    before_cancel: Callable[[str], None] = field(default=lambda broker_id: None)
    name: str = "campaign"

    def _call(self, op: str, *args: Any) -> Any:
        if self.inside():
            self.link.ask("call", "breach", op)
        if op == "submit":
            self.link.tell("call", op, *args)
            crash_point("request_sent")
            return self.link.hear()
        return self.link.ask("call", op, *args)

    def account(self) -> BrokerAccount:
        return self._call("account")  # type: ignore[no-any-return]

    def positions(self) -> Sequence[BrokerPosition]:
        return self._call("positions")  # type: ignore[no-any-return]

    def submit(self, order: OrderRequest) -> BrokerOrder:
        return self._call("submit", order)  # type: ignore[no-any-return]

    def cancel(self, broker_order_id: str) -> None:
        self.before_cancel(broker_order_id)
        self._call("cancel", broker_order_id)

    def order(self, client_order_id: str) -> BrokerOrder | None:
        return self._call("order", client_order_id)  # type: ignore[no-any-return]

    def order_by_broker_id(self, broker_order_id: str) -> BrokerOrder | None:
        return self._call("order_by_broker_id", broker_order_id)  # type: ignore[no-any-return]

    def open_orders(self) -> Sequence[BrokerOrder]:
        return self._call("open_orders")  # type: ignore[no-any-return]

    def orders_since(self, since: datetime) -> Sequence[BrokerOrder]:
        return self._call("orders_since", since)  # type: ignore[no-any-return]

    def fills_since(self, since: datetime) -> Sequence[BrokerFill]:
        return self._call("fills_since", since)  # type: ignore[no-any-return]

    def cash_flows_since(self, since: datetime) -> Sequence[CashFlow]:
        return self._call("cash_flows_since", since)  # type: ignore[no-any-return]

    def guard(self, levels: Mapping[str, Decimal | None]) -> None:
        self._call("guard", levels)
