"""A venue behind HTTP: translates, nothing else. Deadlines, repetitions and the rate limit are base/net.py's.

A read that fails is a BrokerError and never an empty list; a submit without a clear answer is AmbiguousSend; a
status that nobody knows is `unknown` with the venue's word kept in raw_status.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from tradekit.base.net import Answer, Http
from tradekit.brokers.base import (
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    Capabilities,
    CashFlow,
    OrderRequest,
)
from tradekit.clock import iso, parse_time
from tradekit.errors import AmbiguousSend, BrokerError, OrderRejected, UsageError
from tradekit.model import OrderStatus, Side
from tradekit.money import ZERO, wire

ClientIds = Literal["unique", "open-only", "none"]
STATUSES: dict[str, OrderStatus] = {
    "new": "open",
    "pending_cancel": "open",
    "partially_filled": "partially_filled",
    "filled": "filled",
    "canceled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
FINAL = ("filled", "cancelled", "rejected", "expired")
Row = Mapping[str, Any]
Read = TypeVar("Read")


class Refusal(NamedTuple):
    """Why the venue said no: its word and its sentence."""

    code: str
    message: str


class HttpBroker:
    """Implements brokers.base.Broker over the API of docs/sim.md.

    `account_id` is the account that must answer (None: the first that does). `urgent()`: does the command at work close
    positions? Then its calls go first in the rate limit's queue, like every sell and cancel. `client_ids` None: the
    venue's own word. Raises UsageError when another account answers than the one that was asked for.
    """

    name = "http"

    def __init__(
        self,
        http: Http,
        *,
        account_id: str | None = None,
        client_ids: ClientIds | None = None,
        settle_s: float = 10.0,
        grace_s: float = 10.0,
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._http, self._account_id, self._client_ids = http, account_id, client_ids
        self._settle_s, self._grace_s, self._urgent = settle_s, grace_s, urgent
        self._pinned = account_id is not None

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    @property
    def capabilities(self) -> Capabilities:
        """What the venue says it can do; asked once."""
        return self._facts[0]

    @cached_property
    def _facts(self) -> tuple[Capabilities, bool, bool]:
        """Capabilities; is it simulated; are its fills cumulative."""
        data = self._get("/v1/venue")
        return self._read("/v1/venue", lambda: from_venue(data, self._client_ids, self._settle_s, self._grace_s))

    # questions

    def account(self) -> BrokerAccount:
        data = self._get("/v1/account")
        return self._read("/v1/account", lambda: from_account(data))

    def positions(self) -> Sequence[BrokerPosition]:
        return self._rows("/v1/positions", from_position, lambda position: position.symbol)

    def order(self, client_order_id: str) -> BrokerOrder | None:
        """The order under our id, the newest one where ids are reused. BrokerError where the venue keeps no ids."""
        if self.capabilities.client_ids == "none":
            raise BrokerError(
                f"{self.name}: the venue keeps no client ids, so it cannot say whether it has {client_order_id}"
            )
        found = self._one(f"/v1/orders/by-client-id/{quote(client_order_id, safe='')}")
        if found is not None and found.client_order_id != client_order_id:
            raise BrokerError(f"{self.name}: asked for {client_order_id}, the answer is {found.client_order_id}")
        return found

    def order_by_broker_id(self, broker_order_id: str) -> BrokerOrder | None:
        found = self._one(f"/v1/orders/{quote(broker_order_id, safe='')}")
        if found is not None and found.broker_order_id != broker_order_id:
            raise BrokerError(f"{self.name}: asked for {broker_order_id}, the answer is {found.broker_order_id}")
        return found

    def open_orders(self) -> Sequence[BrokerOrder]:
        return self._orders({"status": "open"})

    def orders_since(self, since: datetime) -> Sequence[BrokerOrder]:
        return self._orders({"since": iso(since)})

    def fills_since(self, since: datetime) -> Sequence[BrokerFill]:
        """Fills at or after `since`, oldest first, each with its own quantity also where the venue adds them up."""
        fills = self._fills({"since": iso(since)})
        if self._facts[2]:
            new = {fill.broker_fill_id for fill in fills}
            orders = dict.fromkeys(fill.broker_order_id for fill in fills)
            whole = [fill for order in orders for fill in each_alone(self._fills({"order_id": order}))]
            fills = [fill for fill in whole if fill.broker_fill_id in new]
        return sorted(fills, key=lambda fill: fill.at)

    def cash_flows_since(self, since: datetime) -> Sequence[CashFlow]:
        return self._rows("/v1/cash-flows", from_flow, lambda flow: flow.ref, {"since": iso(since)})

    # orders

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Send once; the answer has to be about this very order. A duplicate id is answered with the order it names."""
        try:
            body = to_order(order, simulated=self._facts[1])
        except BrokerError as problem:
            problem.sent = False
            raise
        answer = self._http.send(
            "POST", "/v1/orders", body, urgent=order.side == "sell" or self._urgent(), crash="request_sent"
        )
        if answer.status >= 400:
            refusal = from_refusal(answer.data)
            if refusal is None:
                raise AmbiguousSend(
                    f"{self.name} answered {answer.status} to POST /v1/orders, and not in its own words"
                )
            if refusal.code == "duplicate":
                return self._already(order)
            rejected = OrderRejected(f"{order.symbol}: {refusal.message}")
            rejected.why = refusal.code
            raise rejected
        try:
            self._check_account(answer.data)
            taken = from_order(answer.data["order"])
        except (BrokerError, UsageError, KeyError, TypeError, ValueError, ArithmeticError) as wrong:
            raise AmbiguousSend(f"{self.name}: the answer to POST /v1/orders makes no sense: {wrong}") from wrong
        if difference := differs(taken, order, self.capabilities.client_ids):
            raise AmbiguousSend(f"{self.name}: the answer to POST /v1/orders is about another order: {difference}")
        return taken

    def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel; an order that is over already is left as it is. Unknown order: BrokerError."""
        path = f"/v1/orders/{quote(broker_order_id, safe='')}"
        answer = self._http.send("DELETE", path, urgent=True)
        if answer.status < 300:
            return
        refusal = from_refusal(answer.data)
        if refusal is not None and refusal.code == "final":
            return
        said = f": {refusal.message}" if refusal else ""
        raise BrokerError(f"{self.name} answered {answer.status} to DELETE {path}{said}", "tradekit orders")

    def guard(self, levels: Mapping[str, Decimal | None]) -> None:
        """A simulated venue is told; others have no use for it."""
        if self._facts[1]:
            for symbol, level in levels.items():
                body = {"level": None if level is None else format(level, "f")}
                self._http.send("PUT", f"/v1/guards/{quote(symbol, safe='')}", body, urgent=True)

    # inside

    def _already(self, order: OrderRequest) -> BrokerOrder:
        """The order that the venue has under this id, which it refused to take twice."""
        try:
            known = self.order(order.client_order_id)
        except BrokerError as problem:
            raise AmbiguousSend(
                f"{self.name} has {order.client_order_id} already, and cannot show it: {problem.message}"
            ) from problem
        if known is None:
            raise AmbiguousSend(f"{self.name} has {order.client_order_id} already, and does not find it")
        if difference := differs(known, order, self.capabilities.client_ids):
            refused = OrderRejected(f"{order.symbol}: {order.client_order_id} names another order: {difference}")
            refused.why = "duplicate"
            raise refused
        return known

    def _one(self, path: str) -> BrokerOrder | None:
        """An order, or None where the venue itself says that it has none."""
        answer = self._http.get(path, urgent=self._urgent(), also=(404,))
        if answer.status == 404:
            refusal = from_refusal(answer.data)
            if refusal is None or refusal.code != "not-found":
                raise BrokerError(f"{self.name} answered 404 to GET {path}, and not in its own words")
            return None
        self._check_account(answer.data)
        return self._read(path, lambda: from_order(answer.data["order"]))

    def _orders(self, params: Mapping[str, str]) -> list[BrokerOrder]:
        rows = self._rows("/v1/orders", from_order, lambda order: "", params)
        return list(latest(rows).values())

    def _fills(self, params: Mapping[str, str]) -> list[BrokerFill]:
        return self._rows("/v1/fills", from_fill, lambda fill: fill.broker_fill_id, params)

    def _rows(
        self, path: str, of: Callable[[Row], Read], key: Callable[[Read], str], params: Mapping[str, str] | None = None
    ) -> list[Read]:
        """A listing, whole or BrokerError; rows with the same key count once (an empty key: always)."""
        data = self._get(path, params)

        def read() -> list[Read]:
            rows, count = data["rows"], data["count"]
            if not isinstance(rows, list) or len(rows) != count:
                raise ValueError(f"{count} rows announced")
            found = [of(row) for row in rows]
            return list({key(row) or str(i): row for i, row in enumerate(found)}.values())

        return self._read(path, read)

    def _get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        answer: Answer = self._http.get(path, params, urgent=self._urgent())
        self._check_account(answer.data)
        return answer.data

    def _check_account(self, data: Any) -> None:
        """Is it the account that answered before? Raises UsageError where desk.yaml names another, else BrokerError."""
        found = data.get("account_id") if isinstance(data, dict) else None
        if not isinstance(found, str) or not found:
            raise BrokerError(f"{self.name}: an answer without its account")
        if self._account_id is None:
            self._account_id = found
        elif found != self._account_id and self._pinned:
            raise UsageError(
                f"http.account is {self._account_id}, the venue answered for {found}",
                "check http.base_url and http.secret, or tradekit config set http.account",
            )
        elif found != self._account_id:
            raise BrokerError(f"{self.name}: {self._account_id} was asked, {found} answered")

    def _read(self, path: str, read: Callable[[], Read]) -> Read:
        """What `read` makes of an answer; BrokerError where it is not what the API promises."""
        try:
            return read()
        except (KeyError, TypeError, ValueError, ArithmeticError) as wrong:
            said = f"{type(wrong).__name__}: {wrong}"
            raise BrokerError(f"{self.name}: the answer to GET {path} makes no sense: {said}") from wrong


# pure translations


def to_order(order: OrderRequest, *, simulated: bool = False) -> dict[str, Any]:
    """The JSON of a submit; a simulated venue is also told what the desk saw."""
    row: dict[str, Any] = {
        "client_order_id": order.client_order_id, "symbol": order.symbol, "side": order.side,
        "qty": format(order.qty, "f"), "type": order.type, "tif": order.tif,
    }  # fmt: skip
    names = ("limit_price", "stop_price", "trail_pct", *(("decision_price",) if simulated else ()))
    for name in names:
        value = getattr(order, name)
        if value is not None:
            row[name] = format(value, "f")
    if order.extended_hours:
        row["extended_hours"] = True
    if simulated and order.trigger_at is not None:
        row["trigger_at"] = iso(order.trigger_at)
    return row


def from_order(row: Row) -> BrokerOrder:
    """An order from its JSON. Raises KeyError, TypeError or ValueError."""
    word, filled, qty = _text(row, "status"), _number(row, "filled_qty"), _positive(row, "qty")
    status = STATUSES.get(word, "unknown")
    if word == "pending_cancel" and filled > 0:
        status = "partially_filled"
    if not 0 <= filled <= qty:
        raise ValueError(f"{filled} of {qty} filled")
    return BrokerOrder(
        broker_order_id=_text(row, "id"),
        client_order_id=_maybe_text(row, "client_order_id"),
        symbol=_text(row, "symbol"),
        side=_side(row),
        qty=qty,
        type=_text(row, "type"),
        tif=_text(row, "tif"),
        limit_price=_maybe(row, "limit_price"),
        stop_price=_maybe(row, "stop_price"),
        status=status,
        raw_status=word,
        filled_qty=filled,
        avg_price=_maybe(row, "avg_price"),
        submitted_at=_time(row, "submitted_at"),
        updated_at=_time(row, "updated_at"),
        triggered_at=None if row.get("triggered_at") is None else _time(row, "triggered_at"),
        reason=_maybe_text(row, "reason"),
    )


def from_fill(row: Row) -> BrokerFill:
    """A fill from its JSON. Raises KeyError, TypeError or ValueError."""
    return BrokerFill(
        broker_fill_id=_text(row, "broker_fill_id"),
        broker_order_id=_text(row, "broker_order_id"),
        client_order_id=_maybe_text(row, "client_order_id"),
        at=_time(row, "at"),
        symbol=_text(row, "symbol"),
        side=_side(row),
        qty=_positive(row, "qty"),
        price=_positive(row, "price"),
        fee=_number(row, "fee"),
        fee_asset=_text(row, "fee_asset"),
        fee_estimated=bool(row.get("fee_estimated", False)),
    )


def from_position(row: Row) -> BrokerPosition:
    """A position from its JSON. Raises KeyError, TypeError or ValueError."""
    return BrokerPosition(
        symbol=_text(row, "symbol"),
        qty=_number(row, "qty"),
        available=_number(row, "available"),
        avg_price=_maybe(row, "avg_price"),
    )


def from_account(row: Row) -> BrokerAccount:
    """The account from its JSON. Raises KeyError, TypeError or ValueError."""
    return BrokerAccount(
        account_id=_text(row, "account_id"),
        cash=_number(row, "cash"),
        equity=_maybe(row, "equity"),
        buying_power=_number(row, "buying_power"),
        last_equity=_maybe(row, "last_equity"),
        currency=_text(row, "currency"),
    )


def from_flow(row: Row) -> CashFlow:
    """A cash flow from its JSON. Raises KeyError, TypeError or ValueError."""
    return CashFlow(
        ref=_text(row, "ref"),
        at=_time(row, "at"),
        kind=_text(row, "kind"),
        symbol=_maybe_text(row, "symbol"),
        qty=_maybe(row, "qty"),
        amount=_maybe(row, "amount"),
    )


def from_venue(
    row: Row, client_ids: ClientIds | None = None, settle_s: float = 10.0, grace_s: float = 10.0
) -> tuple[Capabilities, bool, bool]:
    """Capabilities, is the venue simulated, are its fills cumulative. Raises KeyError, TypeError or ValueError."""
    ids = client_ids or row["client_ids"]
    if ids not in ("unique", "open-only", "none"):
        raise ValueError(f"client_ids {ids}")
    found = Capabilities(
        client_ids=ids,
        order_types=frozenset(map(str, row["order_types"])),
        tifs=frozenset(map(str, row["tifs"])),
        extended_hours=bool(row["extended_hours"]),
        live=bool(row.get("live", True)),
        settle_s=settle_s,
        grace_s=grace_s,
        min_qty=_at_least(row, "min_qty"),
        min_notional=_at_least(row, "min_notional"),
        taker=None if row.get("taker") is None else float(_at_least(row, "taker")),
    )
    return found, bool(row.get("simulated", False)), row.get("fills") == "cumulative"


def from_refusal(data: Any) -> Refusal | None:
    """The venue's own no, None where the body is something else (a proxy's page)."""
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return None
    return Refusal(error["code"], str(error.get("message", error["code"])))


def differs(found: BrokerOrder, order: OrderRequest, client_ids: str) -> str:
    """In what an answer is not about this order; empty where it is."""
    pairs = [(found.symbol, order.symbol), (found.side, order.side), (found.qty, wire(order.qty))]
    if client_ids != "none":
        pairs.append((found.client_order_id or "no id", order.client_order_id))
    return ", ".join(f"{there} instead of {ours}" for there, ours in pairs if there != ours)


def latest(orders: Sequence[BrokerOrder]) -> dict[str, BrokerOrder]:
    """Each order once, as far on as any row of it says: a filled one is never unfilled by an older row."""
    found: dict[str, BrokerOrder] = {}
    for order in orders:
        known = found.get(order.broker_order_id)
        if known is None or _progress(order) >= _progress(known):
            found[order.broker_order_id] = order
    return found


def each_alone(fills: Sequence[BrokerFill]) -> list[BrokerFill]:
    """All fills of one order with added-up quantities -> each with its own. Raises ValueError where they fall."""
    alone, before = [], ZERO
    for fill in sorted(fills, key=lambda fill: fill.qty):
        if fill.qty > before:
            alone.append(msgspec.structs.replace(fill, qty=fill.qty - before))
        before = fill.qty
    return alone


def _progress(order: BrokerOrder) -> tuple[Decimal, bool, datetime]:
    return order.filled_qty, order.status in FINAL, order.updated_at


def _text(row: Row, name: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: {value!r} is no text")
    return value


def _maybe_text(row: Row, name: str) -> str | None:
    return None if row.get(name) is None else _text(row, name)


def _number(row: Row, name: str) -> Decimal:
    """Text on the wire, Decimal here, no float between; rounded to the 15 digits that the store keeps."""
    value = Decimal(_text(row, name))
    if not value.is_finite():
        raise ValueError(f"{name}: {value} is no number")
    return wire(value)


def _positive(row: Row, name: str) -> Decimal:
    value = _number(row, name)
    if value <= 0:
        raise ValueError(f"{name}: {value} is not above 0")
    return value


def _at_least(row: Row, name: str) -> Decimal:
    """A bound that a venue may leave away; 0: none."""
    value = ZERO if row.get(name) is None else _number(row, name)
    if value < 0:
        raise ValueError(f"{name}: {value} is below 0")
    return value


def _maybe(row: Row, name: str) -> Decimal | None:
    return None if row.get(name) is None else _number(row, name)


def _time(row: Row, name: str) -> datetime:
    return parse_time(_text(row, name))


def _side(row: Row) -> Side:
    side = row["side"]
    if side == "buy":
        return "buy"
    if side == "sell":
        return "sell"
    raise ValueError(f"side: {side!r}")
