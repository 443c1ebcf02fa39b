"""A venue in one object: a paper account, a journal, a fault script, and an HTTP API of our own as one function.

`answer` takes a request and says what goes back and how (whole, cut, late, not at all); `server.py` does it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec

from tradekit.brokers.base import BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition, CashFlow, OrderRequest
from tradekit.clock import Clock, ManualClock, iso, parse_time
from tradekit.errors import BrokerError, OrderRejected, TradekitError, UsageError
from tradekit.sim.account import VenueAccount, client_of
from tradekit.sim.faults import Faults, Rule
from tradekit.sim.journal import Journal, plain

START = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
FINAL = ("filled", "cancelled", "expired", "rejected")
CLIENT_ID_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
MAX_CLIENT_ID = 64
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
WORDS = {"open": "new", "cancelled": "canceled"}  # the venue's own words for an order's status
REASONS = (  # how the paper account says no -> one word
    ("insufficient buying power", "buying-power"), ("held by working sells", "held"), ("unknown symbol", "symbol"),
    ("are refused from", "cut-off"), ("market is closed", "closed"),
)  # fmt: skip


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What this venue can do and how it treats client ids; GET /v1/venue says so.

    client_ids: `unique` for ever, `open-only` (free again once the order is final: then it is a second order), `none`
    (ignored, never given back). fills: `each` execution with its own quantity, or `cumulative` ones.
    """

    client_ids: Literal["unique", "open-only", "none"] = "unique"
    order_types: tuple[str, ...] = ("market", "limit", "stop", "stop_limit", "trailing_stop")
    tifs: tuple[str, ...] = ("day", "gtc", "ioc", "opg", "cls")
    extended_hours: bool = True
    fills: Literal["each", "cumulative"] = "each"
    min_qty: str = "0"  # less of anything is refused
    min_notional: str = "0"  # nor less than this much money's worth, at the limit or the last price


def facts_of(
    client_ids: str, *, stops: bool = True, cumulative: bool = False, min_qty: str = "0", min_notional: str = "0"
) -> Profile:
    """A profile by its name, with or without stop orders. UsageError for a name that is none, or no number."""
    for word in (min_qty, min_notional):
        try:
            sound = Decimal(word).is_finite() and Decimal(word) >= 0
        except InvalidOperation:
            sound = False
        if not sound:
            raise UsageError(f"{word}: not a number of 0 or more", "--min-qty 0.001, --min-notional 10")
    if client_ids not in ("unique", "open-only", "none"):
        raise UsageError(f"no profile {client_ids!r}", "unique, open-only or none")
    types = Profile().order_types if stops else ("market", "limit")
    return Profile(
        client_ids=cast(Any, client_ids),
        order_types=types,
        fills="cumulative" if cumulative else "each",
        min_qty=min_qty,
        min_notional=min_notional,
    )


class Request(NamedTuple):
    """One call, the venue's prefix already taken off the path. Header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reply(NamedTuple):
    """What goes back. `drop`: nothing does; `cut`: only so many bytes (of the whole response with `cut_head`)."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    drop: bool = False
    cut: int | None = None
    cut_head: bool = False
    wait_s: float = 0.0
    slow_s: float = 0.0


class _No(Exception):
    """An answer that is an error: status, the venue's word for it, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Past(NamedTuple):
    """The account as it was."""

    account: BrokerAccount
    positions: list[BrokerPosition]
    orders: list[BrokerOrder]
    fills: list[BrokerFill]


class Present:
    """The account as it is; read where it is asked for."""

    def __init__(self, account: VenueAccount) -> None:
        self._account = account

    @property
    def account(self) -> BrokerAccount:
        return self._account.account()

    @property
    def positions(self) -> list[BrokerPosition]:
        return list(self._account.positions())

    @property
    def orders(self) -> list[BrokerOrder]:
        return self._account.every_order()

    @property
    def fills(self) -> list[BrokerFill]:
        return [fill for _, fill in self._account.every_fill()]

    def kept(self) -> Past:
        return Past(self.account, self.positions, self.orders, self.fills)


View = Past | Present


class Venue:
    """One account with its API. Thread safe; time is the clock's that it was given.

    `follow`: a ManualClock moves on with the times that clients send (header venue-time). `token`: the bearer token
    that /v1 calls need. Journal and paper.db may exist already: the venue goes on from there.
    """

    def __init__(
        self,
        account: VenueAccount,
        clock: Clock,
        *,
        profile: Profile | None = None,
        journal: Path | None = None,
        faults: Faults | None = None,
        token: str | None = None,
        follow: bool = False,
    ) -> None:
        self.account, self.clock, self.profile = account, clock, profile or Profile()
        self.journal, self.token, self.follow = Journal(journal), token, follow
        self.faults = faults or Faults(client_ids=self.profile.client_ids)
        self.lock = RLock()
        self._hidden: dict[str, tuple[datetime, bool]] = {}  # order -> until when it is not found; in listings too
        self._due: list[tuple[datetime, Callable[[], None]]] = []
        self._past: list[tuple[datetime, Past]] = []
        self._present = Present(account)
        self._looked = START
        self._fills_seen = len({row["broker_fill_id"] for row in self.journal.of("fill")})
        self._ends = {row["broker_order_id"]: (row["status"], row["filled_qty"]) for row in self.journal.of("final")}
        self._known = {row["broker_order_id"] for row in self.journal.of("accepted", "by-hand")}
        if not self.journal.rows:
            money = self.account.account()
            held = {p.symbol: plain(p.qty) for p in self.account.positions()}
            self.journal.add(
                "opened", clock.now(), account_id=money.account_id, client_ids=self.profile.client_ids,
                cash=money.cash, holdings=held,
            )  # fmt: skip
        self._write_down()

    def close(self) -> None:
        """Let go of the files."""
        with self.lock:
            self.account.close()
            self.journal.close()

    # calls

    def plan(self, request: Request) -> tuple[float, list[Rule]]:
        """Seconds to wait before the call is looked at, and the faults it gets. Counts the call."""
        with self.lock:
            if not request.path.startswith("/v1/"):
                return 0.0, []
            rules = self.faults.of(request.method, request.path, _fields(request))
            wait = sum(rule.get("seconds") for rule in rules if rule.kind == "wait")
            return wait, rules

    def answer(self, request: Request, rules: list[Rule] | None = None) -> Reply:
        """Do what the request asks, with the faults of the script."""
        with self.lock:
            if rules is None:
                rules = self.plan(request)[1]
            try:
                self._move_on(request)
                if request.path.startswith("/_control"):
                    return self._control(request)
                for rule in rules:
                    self.journal.add(
                        "fault", self.clock.now(), fault=rule.kind, method=request.method, path=request.path,
                        client_order_id=_fields(request).get("client_order_id"),
                    )  # fmt: skip
                if early := next((found for rule in rules if (found := _before(rule)) is not None), None):
                    return early
                reply = self._api(request, rules)
            except _No as no:
                reply = _error(no.status, no.code, no.message)
            except OrderRejected as no:
                word = no.why or next((word for text, word in REASONS if text in no.message), "refused")
                self.journal.add("refused", self.clock.now(), **_fields(request), because=no.message)
                reply = _error(403 if word in ("held", "buying-power") else 422, word, no.message)
            except (UsageError, BrokerError) as wrong:
                reply = _error(404 if isinstance(wrong, BrokerError) else 422, "usage", wrong.message)
            except TradekitError as broken:
                self.journal.add("broken", self.clock.now(), path=request.path, because=broken.message)
                reply = _error(500, "venue", broken.message)
            finally:
                self._write_down()
            for rule in rules:
                reply = self._after(rule, reply)
            return reply

    def _move_on(self, request: Request) -> None:
        """Let time pass: the client's where we follow it, then everything that has come due."""
        sent = request.headers.get("venue-time")
        if self.follow and sent and isinstance(self.clock, ManualClock):
            self.clock.set(parse_time(sent))
        now = self.clock.now()
        due = sorted((item for item in self._due if item[0] <= now), key=lambda item: item[0])
        self._due = [item for item in self._due if item[0] > now]
        for _, act in due:
            act()
        self._write_down()

    # the API

    def _api(self, request: Request, rules: list[Rule]) -> Reply:
        if self.token is not None and request.headers.get("authorization") != f"Bearer {self.token}":
            raise _No(401, "unauthorized", "a bearer token, please")
        params = dict(parse_qsl(request.query))
        parts = request.path.removeprefix("/v1/").split("/")
        match (request.method, parts):
            case ("GET", ["venue"]):
                facts = msgspec.to_builtins(self.profile)
                taker = self.account.capabilities.taker or 0.0
                return self._say(
                    {**facts, "name": "sim", "live": False, "simulated": True, "taker": plain(Decimal(repr(taker)))}
                )
            case ("POST", ["orders"]):
                return self._submit(request, rules)
            case ("DELETE", ["orders", order_id]):
                return self._cancel(order_id, rules)
            case ("PUT", ["guards", symbol]):
                level = _json(request).get("level")
                self.account.guard({symbol: None if level is None else _number(level, "level")})
                return self._say({})
            case ("GET", ["cash-flows"]):
                return self._rows([_flow(flow) for flow in self._flows(_since(params))])
            case ("GET", _):
                return self._read(parts, params, rules)
        raise _No(405 if request.method not in ("GET", "POST", "PUT", "DELETE") else 404, "path", request.path)

    def _read(self, parts: list[str], params: dict[str, str], rules: list[Rule]) -> Reply:
        stale = next((rule for rule in rules if rule.kind == "stale"), None)
        view = self._present if stale is None else self._as_of(stale.get("age_s"))
        since = _since(params)
        match parts:
            case ["account"]:
                facts = msgspec.structs.asdict(view.account)
                return self._say({name: plain(value) for name, value in facts.items()})
            case ["positions"]:
                return self._rows([{n: plain(v) for n, v in msgspec.structs.asdict(p).items()} for p in view.positions])
            case ["orders"]:
                shown = [order for order in view.orders if not self._is_hidden(order, listing=True)]
                if params.get("status") == "open":
                    shown = [order for order in shown if order.status not in FINAL]
                return self._rows([self._order(order) for order in shown if order.updated_at >= since])
            case ["orders", "by-client-id", client_order_id]:
                if self.profile.client_ids == "none":
                    raise _No(404, "no-client-ids", "this venue keeps no client ids")
                found = [order for order in view.orders if client_of(order.client_order_id) == client_order_id]
            case ["orders", order_id]:
                found = [order for order in view.orders if order.broker_order_id == order_id]
            case ["fills"]:
                hidden = {o.broker_order_id for o in view.orders if self._is_hidden(o, listing=True)}
                return self._rows(self._fills(view, since, params.get("order_id"), hidden))
            case _:
                raise _No(404, "path", "/".join(parts))
        found = [order for order in found if not self._is_hidden(order, listing=False)]
        if not found:
            raise _No(404, "not-found", "no such order")
        return self._say({"order": self._order(found[-1])})

    def _submit(self, request: Request, rules: list[Rule]) -> Reply:
        order = self._ordered(_json(request))
        client_id = order.client_order_id
        self.journal.add("asked", self.clock.now(), method="POST", **_fields(request))
        earlier = self.account.of_client(client_id)
        taken = earlier if self.profile.client_ids == "unique" else [o for o in earlier if o.status not in FINAL]
        if taken and self.profile.client_ids != "none":
            raise _No(422, "duplicate", f"client_order_id {client_id} must be unique")
        self._check_size(order)
        placed = self.account.take(order)
        self._write_down()
        for rule in rules:
            self._misplace(rule, placed, order)
        fresh = self.account.order_by_broker_id(placed.broker_order_id) or placed
        return self._say({"order": self._order(fresh)}, status=201)

    def _misplace(self, rule: Rule, placed: BrokerOrder, order: OrderRequest) -> None:
        """What the script does to an order that has just been accepted."""
        id_, now = placed.broker_order_id, self.clock.now()
        if rule.kind == "accept-twice":
            self.account.take(order)
        elif rule.kind == "lookup-lag":
            self._hidden[id_] = (now + timedelta(seconds=rule.get("seconds")), rule.get("listing"))
        elif rule.kind in ("partial-then-cancel", "fill-now"):
            self._execute(id_, rule)
            if rule.kind == "partial-then-cancel":
                self.account.end(id_, "cancelled", "the rest was cancelled by the venue")
        elif rule.kind == "late-reject":
            because = rule.get("message")
            self._later(rule, lambda: self.account.end(id_, "rejected", because))
        self._write_down()

    def _cancel(self, order_id: str, rules: list[Rule]) -> Reply:
        found = self.account.order_by_broker_id(order_id)
        if found is None or self._is_hidden(found, listing=False):
            raise _No(404, "not-found", f"there is no order {order_id}")
        self.journal.add(
            "cancel-asked", self.clock.now(), broker_order_id=order_id, client_order_id=client_of(found.client_order_id)
        )
        if found.status in FINAL:
            raise _No(422, "final", f"order {order_id} is {self._word(found)} already")
        kinds = {rule.kind for rule in rules}
        if "ignore-cancel" not in kinds:
            self.account.cancel(order_id)
        for rule in rules:
            if rule.kind == "fill-after-cancel":
                self.account.end(order_id, "cancelled", "cancelled on request")
                self._write_down()
                self._later(rule, lambda rule=rule: self._execute(order_id, rule))  # type: ignore[misc]
        return self._say({"order": self._order(self.account.order_by_broker_id(order_id) or found)}, status=202)

    def _later(self, rule: Rule, act: Callable[[], object]) -> None:
        """At once where the rule says 0 seconds, else with the first call after that time."""
        seconds = float(rule.get("seconds"))
        if seconds <= 0:
            act()
        else:
            self._due.append((self.clock.now() + timedelta(seconds=seconds), lambda: cast(None, act())))

    def _execute(self, order_id: str, rule: Rule) -> None:
        qty, price = rule.get("qty"), rule.get("price")
        self.account.fill(
            order_id, None if qty is None else _number(qty, "qty"), None if price is None else _number(price, "price")
        )

    def _ordered(self, row: dict[str, Any]) -> OrderRequest:
        """A submitted order from its JSON. Raises _No for what is not one."""
        client_id = row.get("client_order_id")
        if self.profile.client_ids == "none" and not client_id:
            client_id = "anonymous"
        if not isinstance(client_id, str) or not client_id or len(client_id) > MAX_CLIENT_ID:
            raise _No(422, "form", f"client_order_id: 1 to {MAX_CLIENT_ID} characters")
        if not set(client_id) <= CLIENT_ID_CHARS:
            raise _No(422, "form", "client_order_id: letters, digits, . _ -")
        if row.get("type") not in self.profile.order_types or row.get("tif") not in self.profile.tifs:
            raise _No(422, "form", f"no {row.get('type')} {row.get('tif')} orders here")
        if row.get("side") not in ("buy", "sell") or not isinstance(row.get("symbol"), str):
            raise _No(422, "form", "side and symbol, please")
        prices = ("limit_price", "stop_price", "trail_pct", "decision_price")
        trigger = row.get("trigger_at")
        return OrderRequest(
            client_order_id=client_id, symbol=row["symbol"], side=row["side"], qty=_number(row.get("qty"), "qty"),
            type=row["type"], tif=row["tif"], extended_hours=bool(row.get("extended_hours", False)),
            trigger_at=None if trigger is None else parse_time(str(trigger)),
            **{n: None if row.get(n) is None else _number(row[n], n) for n in prices},
        )  # fmt: skip

    def _check_size(self, order: OrderRequest) -> None:
        """Raises _No for an order that is smaller than this venue's smallest."""
        least, worth = Decimal(self.profile.min_qty), Decimal(self.profile.min_notional)
        if order.qty < least:
            raise _No(422, "too-small", f"quantity {order.qty} is less than {least}")
        if worth:
            price = order.limit_price or order.stop_price or self.account.price_of(order.symbol)
            if order.qty * price < worth:
                raise _No(422, "too-small", f"{order.qty} at {price} is less than {worth}")

    # what a reader sees

    def _as_of(self, age_s: float) -> View:
        """The newest snapshot that is at least `age_s` old, else the oldest there is."""
        limit = self.clock.now() - timedelta(seconds=age_s)
        old = [view for at, view in self._past if at <= limit]
        return old[-1] if old else self._past[0][1] if self._past else self._present

    def _fills(self, view: View, since: datetime, order_id: str | None, hidden: set[str]) -> list[dict[str, Any]]:
        rows, done = [], dict[str, Decimal]()
        for fill in view.fills:
            total = done[fill.broker_order_id] = done.get(fill.broker_order_id, Decimal(0)) + fill.qty
            if fill.broker_order_id in hidden or order_id not in (None, fill.broker_order_id):
                continue
            row = {name: plain(value) for name, value in msgspec.structs.asdict(fill).items()}
            row["client_order_id"] = self._client(fill.client_order_id)
            if self.profile.fills == "cumulative":
                row["qty"] = plain(total)
            rows.append((fill.at, row))
        wanted = {fill.broker_fill_id for fill in self.account.fills_since(since)}
        return [row for _, row in sorted(rows, key=lambda pair: pair[0]) if row["broker_fill_id"] in wanted]

    def _flows(self, since: datetime) -> list[CashFlow]:
        """The account's own, and what corporate actions left in the journal."""
        extra = [
            CashFlow(
                ref=row["ref"], at=parse_time(row["at"]), kind=row["flow"], symbol=row["symbol"],
                qty=None if row["qty"] is None else Decimal(row["qty"]),
                amount=None if row["amount"] is None else Decimal(row["amount"]),
            )
            for row in self.journal.of("flow")
        ]  # fmt: skip
        return [*self.account.cash_flows_since(since), *(flow for flow in extra if flow.at >= since)]

    def _is_hidden(self, order: BrokerOrder, *, listing: bool) -> bool:
        until, everywhere = self._hidden.get(order.broker_order_id, (START, False))
        return self.clock.now() < until and (everywhere or not listing)

    def _order(self, order: BrokerOrder) -> dict[str, Any]:
        row = {name: plain(value) for name, value in msgspec.structs.asdict(order).items()}
        row["id"] = row.pop("broker_order_id")
        row["client_order_id"] = self._client(order.client_order_id)
        row["status"] = self._word(order)
        del row["raw_status"]
        return row

    def _word(self, order: BrokerOrder) -> str:
        word = order.status if order.status in FINAL else order.raw_status
        if order.raw_status == "rejected":
            word = "rejected"
        return WORDS.get(word, word)

    def _client(self, key: str | None) -> str | None:
        return None if self.profile.client_ids == "none" else client_of(key)

    def _say(self, facts: dict[str, Any], status: int = 200) -> Reply:
        head = {"account_id": self.account.account_id, "at": iso(self.clock.now())}
        return Reply(status, msgspec.json.encode({**head, **facts}))

    def _rows(self, rows: list[dict[str, Any]]) -> Reply:
        return self._say({"count": len(rows), "rows": rows})

    # answers gone wrong

    def _after(self, rule: Rule, reply: Reply) -> Reply:
        """What the script does to an answer that was right."""
        if rule.stage != "after":
            return reply
        match rule.kind:
            case "drop-after":
                return reply._replace(drop=True)
            case "error-after":
                return _failed(rule.get("status"), rule.get("body"))
            case "truncate":
                return reply._replace(cut=int(rule.get("at")), cut_head=rule.get("of") == "response")
            case "slow":
                return reply._replace(slow_s=float(rule.get("seconds")))
            case "wait-after":
                return reply._replace(wait_s=float(rule.get("seconds")))
            case "body":
                return _garbled(rule.get("form"), reply)
        data = msgspec.json.decode(reply.body)
        if reply.status < 300 and isinstance(data, dict):
            self._bend(rule, data)
        return reply._replace(body=msgspec.json.encode(data))

    def _bend(self, rule: Rule, data: dict[str, Any]) -> None:
        """Change a well-formed answer into a well-formed wrong one."""
        rows = data.get("rows")
        if isinstance(rows, list):
            limit = self.clock.now() - timedelta(seconds=rule.age_s or 3600.0)
            data["rows"] = _other_rows(rule.kind, rows, limit)
            data["count"] = len(rows) if rule.kind == "short-count" else len(data["rows"])
        orders = [data["order"]] if "order" in data else [row for row in rows or [] if "tif" in row]
        for order in orders:
            if rule.kind == "unknown-status":
                order["status"] = rule.get("value")
            elif rule.kind == "no-order-id":
                del order["id"]
            elif rule.kind == "wrong-order-id":
                order["id"] = rule.get("value")
            elif rule.kind == "wrong-order":
                order["symbol"] = rule.get("symbol")
            elif rule.kind == "extra-field":
                order[rule.get("name")] = {"new": True}
        if rule.kind == "extra-field":
            data[rule.get("name")] = "new"
        if rule.kind == "wrong-account":
            data["account_id"] = rule.get("value")

    # the journal

    def _write_down(self) -> None:
        """Journal what the account has done since the last look: orders, fills, ends. A restart catches up too."""
        now, before = self.clock.now(), len(self.journal.rows)
        changed = self.account.orders_since(self._looked)
        for order in changed:
            client = client_of(order.client_order_id)
            if order.broker_order_id not in self._known:
                self._known.add(order.broker_order_id)
                self.journal.add(
                    "accepted" if client else "by-hand", order.submitted_at, broker_order_id=order.broker_order_id,
                    client_order_id=client, symbol=order.symbol, side=order.side, qty=order.qty, type=order.type,
                    tif=order.tif, limit_price=order.limit_price, stop_price=order.stop_price,
                )  # fmt: skip
        for row, fill in self.account.every_fill(self._fills_seen):
            self._fills_seen = row
            self.journal.add(
                "fill", now, broker_fill_id=fill.broker_fill_id, broker_order_id=fill.broker_order_id,
                client_order_id=client_of(fill.client_order_id), symbol=fill.symbol, side=fill.side, qty=fill.qty,
                price=fill.price, fee=fill.fee, traded_at=fill.at,
            )  # fmt: skip
        for order in changed:
            end = (self._word(order), plain(order.filled_qty))
            if order.status in FINAL and self._ends.get(order.broker_order_id) != end:
                self._ends[order.broker_order_id] = end
                self.journal.add(
                    "final", now, broker_order_id=order.broker_order_id, status=end[0], filled_qty=order.filled_qty,
                    client_order_id=client_of(order.client_order_id), symbol=order.symbol, side=order.side,
                    reason=order.reason,
                )  # fmt: skip
        self._looked = now
        if self.faults.looks_back and (len(self.journal.rows) > before or not self._past):
            self._past = [*self._past[-200:], (now, self._present.kept())]

    # the hand behind the curtain

    def control(self, word: str, **facts: Any) -> dict[str, Any]:
        """What POST /_control/WORD does, for those in the same process. Raises UsageError."""
        with self.lock:
            self._move_on(Request("POST", f"/_control/{word}"))
            act = getattr(self, f"_do_{word.replace('-', '_')}", None)
            if act is None:
                raise UsageError(f"no control {word!r}", f"one of {', '.join(controls())}")
            try:
                found: dict[str, Any] = act(**facts) or {}
            except (TypeError, ValueError, KeyError, InvalidOperation) as wrong:
                raise UsageError(f"_control/{word}: {wrong}", "docs/sim.md") from None
            finally:
                self._write_down()
            return found

    def _control(self, request: Request) -> Reply:
        word = request.path.removeprefix("/_control").strip("/")
        if request.method == "GET" and word == "journal":
            return Reply(200, msgspec.json.encode(self.journal.rows))
        if request.method == "GET" and word == "faults":
            return Reply(200, msgspec.json.encode(self.faults.rules))
        body = msgspec.json.decode(request.body) if request.body else {}
        facts = {"rules": body} if word == "faults" else body
        if not isinstance(facts, dict):
            raise UsageError(f"_control/{word}: one JSON object, please")
        return Reply(200, msgspec.json.encode(self.control(word, **facts)))

    def _do_faults(self, rules: list[Any], clear: bool = False) -> dict[str, Any]:
        """More rules for the script; an empty list clears it."""
        if clear or not rules:
            self.faults.clear()
        self.faults.add(*rules)
        return {"rules": len(self.faults.rules)}

    def _do_clock(self, at: str | None = None, forward_s: float = 0.0) -> dict[str, Any]:
        """Move a clock that stands still: to a time, or forward by seconds."""
        if not isinstance(self.clock, ManualClock):
            raise UsageError("this venue's clock runs by itself", "start it with TRADEKIT_CLOCK=ISO")
        self.clock.set(parse_time(at) if at else self.clock.now() + timedelta(seconds=forward_s))
        self._move_on(Request("POST", "/_control/clock"))
        return {"at": iso(self.clock.now())}

    def _do_trade(self, symbol: str, side: str, qty: str, price: str | None = None) -> dict[str, Any]:
        """Somebody buys or sells by hand in the same account."""
        if side not in ("buy", "sell"):
            raise UsageError(f"side {side!r}: buy or sell")
        money = None if price is None else Decimal(price)
        return self._order(self.account.by_hand(symbol, cast(Any, side), Decimal(qty), money))

    def _do_fill(self, order: str, qty: str | None = None, price: str | None = None) -> dict[str, Any]:
        """Execute an order (all of it without qty), whatever the tape says."""
        done = self.account.fill(
            order, None if qty is None else Decimal(qty), None if price is None else Decimal(price)
        )
        return {"filled": plain(done)}

    def _do_end(self, order: str, status: str = "cancelled", reason: str = "by the venue") -> dict[str, Any]:
        """The venue itself ends a working order: cancelled, expired or rejected."""
        if status not in ("cancelled", "expired", "rejected"):
            raise UsageError(f"status {status!r}: cancelled, expired or rejected")
        return {"ended": self.account.end(order, status, reason)}

    def _do_split(self, symbol: str, ratio: str, cancel: bool = True) -> dict[str, Any]:
        """`ratio` new shares for one old (0.01: a reverse split 1:100); fractions are paid in cash."""
        change, cash = self.account.split(symbol, Decimal(ratio), cancel=cancel)
        now, n = self.clock.now(), len(self.journal.of("flow")) + 1
        self.journal.add("flow", now, ref=f"C{n}", flow="split", symbol=symbol, qty=change, amount=None, ratio=ratio)
        if cash:
            self.journal.add("flow", now, ref=f"C{n + 1}", flow="cash-in-lieu", symbol=symbol, qty=None, amount=cash)
        return {"qty": plain(change), "cash": plain(cash)}

    def _do_rename(self, symbol: str, to: str) -> dict[str, Any]:
        """A symbol change: the shares are listed under another name, the old one trades no more."""
        moved = self.account.rename(symbol, to)
        self._note_flows(("symbol-change", symbol, -moved, None), ("symbol-change", to, moved, None))
        return {"qty": plain(moved)}

    def _do_delist(self, symbol: str, price: str | None = None) -> dict[str, Any]:
        """Trading ends. With a price (0: worthless) the shares are paid out and gone, without one they stay."""
        gone, cash = self.account.delist(symbol, None if price is None else Decimal(price))
        if price is not None:
            self._note_flows(("delisting", symbol, -gone, cash))
        return {"qty": plain(gone), "cash": plain(cash)}

    def _note_flows(self, *flows: tuple[str, str, Decimal, Decimal | None]) -> None:
        for n, (kind, symbol, qty, amount) in enumerate(flows, len(self.journal.of("flow")) + 1):
            self.journal.add("flow", self.clock.now(), ref=f"C{n}", flow=kind, symbol=symbol, qty=qty, amount=amount)

    def _do_cash(self, amount: str) -> dict[str, Any]:
        """Money in, below 0 out."""
        return {"cash": plain(self.account.deposit(Decimal(amount)).cash)}

    def _do_hold(self, symbol: str, qty: str) -> dict[str, Any]:
        """Shares that nobody traded, in or below 0 out."""
        self.account.hold(symbol, Decimal(qty))
        return {}

    def _do_truth(self) -> dict[str, Any]:
        """The account as it is, faults or not: for checkers."""
        present = self._present
        return {
            "at": iso(self.clock.now()),
            "cash": plain(present.account.cash),
            "positions": {p.symbol: plain(p.qty) for p in present.positions},
            "orders": [self._order(o) | {"client_order_id": client_of(o.client_order_id)} for o in present.orders],
            "fills": [row["broker_fill_id"] for row in self.journal.of("fill")],
        }


def controls() -> list[str]:
    """The words of POST /_control/WORD."""
    return sorted(name[4:].replace("_", "-") for name in vars(Venue) if name.startswith("_do_"))


def _before(rule: Rule) -> Reply | None:
    """The answer of a fault that strikes before anything was done."""
    match rule.kind:
        case "drop-before":
            return Reply(0, b"", drop=True)
        case "error-before":
            return _failed(rule.get("status"), rule.get("body"))
        case "unauthorized":
            return _error(401, "unauthorized", "the token is not valid")
        case "rate-limit":
            after = rule.get("retry_after")
            reply = _error(429, "rate-limit", "too many calls")
            return reply if after is None else reply._replace(headers=(("retry-after", str(after)),))
        case "reject":
            return _error(rule.get("status"), rule.get("code"), rule.get("message"))
        case "held":
            return _error(403, "held", "insufficient quantity available: held by other orders")
        case "duplicate-id":
            return _error(422, "duplicate", "client_order_id must be unique")
        case "unknown-order":
            return _error(404, "not-found", "no such order")
    return None


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": {"code": code, "message": message}}))


def _failed(status: int, body: str) -> Reply:
    if body == "html":
        return Reply(status, HTML, "text/html")
    return Reply(status, b"") if body == "empty" else _error(status, "venue", "something broke here")


def _garbled(form: str, reply: Reply) -> Reply:
    """Something else in the place of a good body, with status 200."""
    bodies = {
        "html": HTML,
        "malformed": reply.body[:-1] + b",,",
        "huge": b'{"rows": [' + b'"' + b"x" * 9_000_000 + b'"]}',
        "empty": b"",
        "list": b"[]",
        "deep": b"[" * 100_000,
        "nan": reply.body.replace(b'":"', b'":"NaN', 40),
    }
    return reply._replace(body=bodies[form], kind="text/html" if form == "html" else reply.kind)


def _other_rows(kind: str, rows: list[Any], limit: datetime) -> list[Any]:
    """A listing as a fault leaves it; `limit` is the age from which `forget` forgets."""
    match kind:
        case "empty":
            return []
        case "duplicate-rows":
            return [row for row in rows for _ in range(2)]
        case "reverse-rows":
            return rows[::-1]
        case "short-count":
            return rows[:-1]
        case "forget":
            dated = [(row, row.get("submitted_at") or row.get("at")) for row in rows]
            return [row for row, at in dated if at is None or parse_time(at) >= limit]
    return rows


def _fields(request: Request) -> dict[str, Any]:
    """What a submit says of its order, for rules and journal; nothing where it is no JSON object."""
    if not request.body or request.path != "/v1/orders":
        return {}
    try:
        row = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        return {}
    names = ("client_order_id", "symbol", "side", "qty", "type", "tif")
    return {name: row.get(name) for name in names} if isinstance(row, dict) else {}


def _json(request: Request) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        row = None
    if not isinstance(row, dict):
        raise _No(422, "form", "one JSON object, please")
    return row


def _number(value: object, name: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise _No(422, "form", f"{name}: {value} is not a number")
    return number


def _since(params: Mapping[str, str]) -> datetime:
    try:
        return parse_time(params["since"]) if "since" in params else START
    except ValueError:
        raise _No(422, "form", f"since: {params['since']} is not a time") from None


def _flow(flow: CashFlow) -> dict[str, Any]:
    return {name: plain(value) for name, value in msgspec.structs.asdict(flow).items()}
