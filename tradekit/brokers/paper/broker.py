"""The paper broker: a venue that catches up with the recorded tape whenever somebody asks it something."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2s
from pathlib import Path
from typing import cast

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
from tradekit.brokers.paper.books import (
    Books,
    Guard,
    Holding,
    PaperFill,
    PaperOrder,
    stamp,
)
from tradekit.brokers.paper.engine import Engine, Rules
from tradekit.brokers.paper.fees import fee_table
from tradekit.calendar import Calendar
from tradekit.clock import Clock, iso
from tradekit.config import PaperSettings
from tradekit.errors import BrokerError, OrderRejected, UsageError
from tradekit.model import BarSource, OrderStatus, PriceBar, Session
from tradekit.money import ZERO, book, ceil_tick, dec

OPEN_CUTOFF = timedelta(minutes=2)  # on-open orders: refused from 09:28 New York until the close
CLOSE_CUTOFF = timedelta(minutes=10)  # on-close orders: refused from 15:50, on half days 12:50, until the close
MARKET_RESERVE = Decimal("1.03")  # a buy without a limit holds cash for a price this much higher


class _Undone(Exception):
    """Rolls a dry run back."""


class PaperBroker:
    """Implements brokers.base.Broker over recorded bars; several processes may share one account.

    `half_spread_of` gives a symbol's half spread as a fraction; `exit_interval_s` is how often the desk looks: on
    longer bars its stops fill inside the bar. `create` opens an account with the settings' cash and holdings where
    there is none; `lot` is the smallest step of a buy.
    Raises StoreError for a missing or foreign file; every call raises UsageError when the clock is behind the account.
    """

    name = "paper"

    def __init__(
        self,
        db_path: Path,
        *,
        bars: BarSource,
        clock: Clock,
        calendar: Calendar,
        settings: PaperSettings,
        currency: str,
        tick: Decimal,
        half_spread_of: Callable[[str], float],
        exit_interval_s: int,
        synchronous: str = "FULL",
        create: bool = False,
        lot: Decimal = Decimal(1),
        account_id: str | None = None,
        ticks: Mapping[str, Decimal] | None = None,  # of symbols whose tick is not `tick`
    ) -> None:
        self._bars, self._clock, self._calendar, self._settings = (
            bars,
            clock,
            calendar,
            settings,
        )
        self._latency = timedelta(seconds=settings.latency_s)
        self._rules = Rules(
            currency=currency, tick=tick, ticks=ticks or {}, lot=lot, slippage=dec(settings.slippage),
            participation=dec(settings.participation), touch=settings.touch, exit_interval_s=exit_interval_s,
            fees=fee_table(settings, currency, calendar.around_the_clock), half_spread_of=half_spread_of,
        )  # fmt: skip
        self._books = Books(db_path, create=create, synchronous=synchronous)
        if self._books.is_new:
            self._open_account(account_id or "paper-" + blake2s(str(db_path.resolve()).encode()).hexdigest()[:8])
        self._engine = self._load()

    @property
    def capabilities(self) -> Capabilities:
        """Everything but real money; a 24/7 venue has no opening and no closing auction."""
        tifs = {"day", "gtc", "ioc"} if self._calendar.around_the_clock else {"day", "gtc", "ioc", "opg", "cls"}
        return Capabilities(
            settle_s=0.0,
            extended_hours=not self._calendar.around_the_clock,
            tifs=frozenset(tifs),
            taker=self._settings.taker,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._books.close()

    # questions

    def account(self) -> BrokerAccount:
        """Cash, buying power and equity at the last visible prices; last_equity as of the previous session's close."""
        with self._turn() as now:
            return self._account(now)

    def positions(self) -> Sequence[BrokerPosition]:
        """All holdings by symbol, the desk's and others."""
        with self._turn():
            selling: dict[str, Decimal] = {}
            for order in self._engine.state.orders:
                if order.side == "sell" and order.cancel_at is None:
                    selling[order.symbol] = selling.get(order.symbol, ZERO) + order.remaining
            return [
                BrokerPosition(
                    symbol=symbol,
                    qty=holding.qty,
                    available=max(ZERO, holding.qty - selling.get(symbol, ZERO)),
                    avg_price=holding.avg_price,
                )
                for symbol, holding in sorted(self._engine.state.holdings.items())
            ]

    def order(self, client_order_id: str) -> BrokerOrder | None:
        """By the client's id, open or closed."""
        with self._turn():
            return next(iter(self._orders("client_order_id = ?", client_order_id)), None)

    def order_by_broker_id(self, broker_order_id: str) -> BrokerOrder | None:
        """By the account's own id, open or closed."""
        with self._turn():
            return next(iter(self._orders("id = ?", broker_order_id)), None)

    def open_orders(self) -> Sequence[BrokerOrder]:
        """Working orders in arrival order, those with a cancel pending too."""
        with self._turn():
            return [self._answer(order) for order in self._engine.state.orders]

    def orders_since(self, since: datetime) -> Sequence[BrokerOrder]:
        """Orders of which something new became known at or after `since`, in arrival order."""
        with self._turn():
            return self._orders("changed_at >= ? ORDER BY n", stamp(since))

    def fills_since(self, since: datetime) -> Sequence[BrokerFill]:
        """Fills that became known at or after `since`, oldest first; dated at their bar's start or end."""
        with self._turn():
            fills = self._books.fills("known_at >= ? ORDER BY at, rowid", stamp(since))
            clients = {id_: self._client(id_) for id_ in {fill.order_id for fill in fills}}
            return [self._fill(fill, clients[fill.order_id]) for fill in fills]

    def cash_flows_since(self, since: datetime) -> Sequence[CashFlow]:
        """Deposits, withdrawals (amount) and foreign shares in or out (kind `hold`: symbol and qty)."""
        with self._turn():
            return [_flow(*row) for row in self._books.flows(since)]

    # orders

    def submit(self, order: OrderRequest) -> BrokerOrder:
        """Accept an order, or raise OrderRejected with the reason; a known client_order_id returns what is there."""
        with self._turn(write=True) as now:
            known = self._orders("client_order_id = ?", order.client_order_id)
            if known:
                return known[0]
            taken = self._accept(order, now)
            bar = self._trigger_bar(order, now)
            if bar is not None and order.decision_price is not None:
                self._engine.fill_inside(taken, bar, order.decision_price)
            state = self._engine.state
            state.orders = [working for working in state.orders if working.working]
            answer = self._answer(taken)
        crash_point("request_sent")  # accepted and kept; the caller does not know it yet
        return answer

    def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel. A bar that has begun may still fill the order at its open, and until then it is open."""
        with self._turn(write=True) as now:
            if not self._books.orders("id = ?", broker_order_id):
                raise BrokerError(f"paper: there is no order {broker_order_id}", "tradekit orders")
            order = next((o for o in self._engine.state.orders if o.id == broker_order_id), None)
            if order is None or order.cancel_at is not None:
                return
            order.cancel_at, order.raw_status = now, "pending_cancel"
            order.settle_at = self._engine.settles_at(order, now)
            order.changed_at = now
            if order.settle_at <= now:
                self._engine.finish(order, "cancelled", now, "cancelled on request")
                self._engine.state.orders.remove(order)
            else:
                self._books.put_order(order)
            self._engine.changed = True

    def guard(self, levels: Mapping[str, Decimal | None]) -> None:
        """The desk's software stops: inside a long bar they come before resting stops that lie lower."""
        wanted = {symbol: None if level is None else Guard(level, False) for symbol, level in levels.items()}
        with self._turn():
            if not self._news(wanted):
                return  # as at most passes
        with self._turn(write=True):
            guards, news = self._engine.state.guards, self._news(wanted)
            for symbol, guard in news.items():
                if guard is None:
                    guards.pop(symbol, None)
                else:
                    guards[symbol] = guard
                self._books.put_guard(symbol, guard)
            self._engine.changed |= bool(news)

    def _news(self, wanted: Mapping[str, Guard | None]) -> dict[str, Guard | None]:
        """The guards that are others than they were."""
        guards = self._engine.state.guards
        return {symbol: guard for symbol, guard in wanted.items() if guards.get(symbol) != guard}

    # the operator's side: tradekit paper ...; a dry run answers what the account would be

    def deposit(self, amount: Decimal, *, dry_run: bool = False) -> BrokerAccount:
        """Money in (below 0: out). UsageError when more would leave than is free."""
        with self._turn(write=True, keep=not dry_run) as now:
            if amount < 0 and -amount > self._buying_power():
                raise UsageError(
                    f"only {self._buying_power()} of the paper account's cash is free",
                    "withdraw less",
                )
            self._books.note(now, now, "deposit" if amount > 0 else "withdrawal", amount)
            self._engine.state.cash += amount
            self._engine.changed = True
            return self._account(now)

    def hold(self, symbol: str, qty: Decimal, *, dry_run: bool = False) -> BrokerAccount:
        """Shares that are not the desk's, in (below 0: out). UsageError when more would leave than is free."""
        with self._turn(write=True, keep=not dry_run) as now:
            if self._bars.last(symbol, now) is None:
                raise UsageError(f"{symbol}: no bars, so no price", "tradekit data list")
            if -qty > self._available(symbol):
                raise UsageError(
                    f"{symbol}: only {self._available(symbol)} shares are free",
                    "take fewer",
                )
            self._take_in(symbol, qty, now, "hold")
            return self._account(now)

    def reset(self, *, dry_run: bool = False) -> BrokerAccount:
        """Cancel everything and start over with the cash and holdings of desk.yaml; the history stays."""
        with self._turn(write=True, keep=not dry_run) as now:
            state = self._engine.state
            for order in state.orders:
                self._engine.finish(order, "cancelled", now, "paper reset")
            state.orders = []
            for symbol, holding in list(state.holdings.items()):
                self._take_in(symbol, -holding.qty, now, "reset")
            if state.cash != self._settings.cash:
                self._books.note(now, now, "reset", self._settings.cash - state.cash)
                state.cash = self._settings.cash
            for symbol, qty in sorted(self._settings.holdings.items()):
                self._take_in(symbol, qty, now, "reset")
            for symbol in list(state.guards):
                del state.guards[symbol]
                self._books.put_guard(symbol, None)
            self._engine.changed = True
            return self._account(now)

    # inside

    def _open_account(self, account_id: str) -> None:
        now = self._clock.now()
        with self._books.transaction():
            if not self._books.is_new:
                return  # another process was first
            self._books.found(account_id, self._rules.currency, now)
            engine = self._load()
            self._books.note(now, now, "deposit", self._settings.cash)
            engine.state.cash = self._settings.cash
            for symbol, qty in sorted(self._settings.holdings.items()):
                if qty > 0:
                    self._books.note(now, now, "hold", ZERO, symbol=symbol, qty=qty)
                    engine.set_holding(symbol, Holding(qty, None))
            before = self._calendar.previous(self._calendar.day(now))
            if before is not None:
                self._books.put_close(before.day, engine.equity(before.close))
            self._books.save(engine.state)

    def _load(self) -> Engine:
        return Engine(self._books, self._books.load(), self._bars, self._calendar, self._rules)

    @contextmanager
    def _turn(self, *, write: bool = False, keep: bool = True) -> Iterator[datetime]:
        """One call: catch up with the clock, do the work, keep it in one transaction when something changed."""
        now = self._clock.now()
        self._refresh(now)
        state = self._engine.state
        busy = now > state.now and (state.orders or self._engine.closes_between(state.now, now))
        if not write and not busy:
            state.now = now
            yield now
            return
        rejected: OrderRejected | None = None
        try:
            with self._books.transaction():
                self._refresh(now)
                self._engine.play(now)
                try:
                    yield now
                except OrderRejected as refused:  # the tape was played all the same
                    rejected = refused
                if not keep:
                    raise _Undone
                if self._engine.changed:
                    self._books.save(self._engine.state)
            self._engine.changed = False
        except _Undone:
            self._engine = self._load()
        except BaseException:
            self._engine = self._load()
            raise
        if rejected is not None:
            raise rejected

    def _refresh(self, now: datetime) -> None:
        if self._books.changed_elsewhere():
            self._engine = self._load()
        if now < self._engine.state.now:
            raise UsageError(
                f"paper: it is {iso(now)}, but the account has been played to {iso(self._engine.state.now)}",
                "let the clock go on from there, or use a fresh desk (tradekit replay)",
            )

    def _accept(self, request: OrderRequest, now: datetime) -> PaperOrder:
        """The order as it goes into the books. Raises OrderRejected."""
        last = self._bars.last(request.symbol, now)
        if last is None:
            raise OrderRejected(
                f"{request.symbol}: unknown symbol: there are no bars of it",
                "tradekit data list",
            )
        self._check_form(request)
        self._check_time(request, now)
        reserve = self._reserve(request, dec(last.close))
        self._check_means(request, reserve)
        state = self._engine.state
        order = PaperOrder(
            n=state.next_order, id=f"P{state.next_order}", client_order_id=request.client_order_id,
            symbol=request.symbol, side=request.side, qty=request.qty, type=request.type, tif=request.tif,
            limit_price=request.limit_price, stop_price=request.stop_price, trail_pct=request.trail_pct,
            extended_hours=request.extended_hours, submitted_at=now, updated_at=now + self._latency, changed_at=now,
            seen_to=now, expires_at=self._engine.expiry(request.tif, request.extended_hours, now), cancel_at=None,
            settle_at=None, watermark=dec(last.close) if request.type == "trailing_stop" else None,
            triggered_at=None, reserve=reserve, filled_qty=ZERO, avg_price=None, status="open", raw_status="open",
            reason=None,
        )  # fmt: skip
        state.next_order += 1
        state.orders.append(order)
        self._books.put_order(order)
        self._engine.changed = True
        return order

    def _check_form(self, request: OrderRequest) -> None:
        def refuse(why: str) -> OrderRejected:
            return OrderRejected(f"{request.symbol}: {why}")

        needs = {
            "market": (), "limit": ("limit_price",), "stop": ("stop_price",),
            "stop_limit": ("stop_price", "limit_price"), "trailing_stop": ("trail_pct",),
        }[request.type]  # fmt: skip
        for name in needs:
            if getattr(request, name) is None:
                raise refuse(f"a {request.type} order needs {name}")
        if request.type in ("market", "stop", "trailing_stop") and request.limit_price is not None:
            raise refuse(f"a {request.type} order has no limit_price")
        tick = self._rules.tick_of(request.symbol)
        for name in ("limit_price", "stop_price"):
            price = getattr(request, name)
            if price is not None and (not price.is_finite() or price <= 0 or price % tick):
                raise refuse(f"{name} {price} is not a positive multiple of the tick {tick}")
        if request.trail_pct is not None and not 0 < request.trail_pct < 1:
            raise refuse(f"trail_pct {request.trail_pct} is not a fraction between 0 and 1")
        if not request.qty.is_finite() or request.qty <= 0:
            raise refuse(f"quantity {request.qty} is not above 0")
        if request.side == "buy" and request.qty % self._rules.lot:
            raise refuse(f"quantity {request.qty} is not a multiple of {self._rules.lot}")
        if request.tif not in self.capabilities.tifs:
            raise refuse(f"time in force {request.tif} does not exist here")
        if request.tif in ("opg", "cls") and request.type not in ("market", "limit"):
            raise refuse(f"a {request.type} order cannot be on-open or on-close")
        if request.extended_hours and (request.type != "limit" or request.tif not in ("day", "gtc")):
            raise refuse("outside regular hours only limit orders trade, day or gtc")

    def _check_time(self, request: OrderRequest, now: datetime) -> None:
        session = self._calendar.on(self._calendar.day(now))
        for tif, name in (("opg", "open"), ("cls", "close")):
            cutoff = cutoff_of(tif, session)
            if request.tif == tif and session and cutoff and cutoff <= now < session.close:
                raise OrderRejected(
                    f"{request.symbol}: on-{name} orders are refused from {iso(cutoff)} until {iso(session.close)}"
                )
        if request.tif == "ioc" and self._calendar.at(now) is None:
            raise OrderRejected(f"{request.symbol}: the market is closed, an ioc order could not trade")

    def _reserve(self, request: OrderRequest, last: Decimal) -> Decimal:
        """The price at which a buy holds cash, its fee included."""
        price = request.limit_price
        if price is None:
            price = ceil_tick((request.stop_price or last) * MARKET_RESERVE, self._rules.tick_of(request.symbol))
        return book(price * (1 + self._rules.fees.taker), self._rules.currency)

    def _check_means(self, request: OrderRequest, reserve: Decimal) -> None:
        if request.side == "buy":
            need, free = request.qty * reserve, self._buying_power()
            if need > free:
                raise OrderRejected(
                    f"{request.symbol}: insufficient buying power: needs {need:.2f}, {free:.2f} is free"
                )
            return
        free = self._available(request.symbol)
        if request.qty > free:
            held = self._held(request.symbol)
            raise OrderRejected(
                f"{request.symbol}: insufficient quantity: {request.qty} wanted, {free} available, "
                f"{held} held by working sells"
            )

    def _trigger_bar(self, request: OrderRequest, now: datetime) -> PriceBar | None:
        """The long bar whose touched level this market sell answers, where it is the latest one."""
        if request.trigger_at is None or request.side != "sell" or request.type != "market" or request.tif == "opg":
            return None
        for bar in self._bars.played(request.symbol, request.trigger_at, now)[:1]:
            grace = max(bar.end - bar.start, timedelta(seconds=2 * self._rules.exit_interval_s))
            if bar.start == request.trigger_at and self._engine.is_long(bar) and now - bar.end <= grace:
                return bar
        return None

    def _account(self, now: datetime) -> BrokerAccount:
        before = self._calendar.previous(self._calendar.day(now))
        return BrokerAccount(
            account_id=self._books.meta("account_id"), cash=self._engine.state.cash, equity=self._engine.equity(now),
            buying_power=self._buying_power(), last_equity=self._books.close_equity(before.day) if before else None,
            currency=self._rules.currency,
        )  # fmt: skip

    def _buying_power(self) -> Decimal:
        working = (order for order in self._engine.state.orders if order.side == "buy")
        held = sum((order.remaining * order.reserve for order in working), ZERO)
        return max(ZERO, book(self._engine.state.cash - held, self._rules.currency))

    def _held(self, symbol: str) -> Decimal:
        """Shares that working sells hold; one whose cancel is on its way holds none, the fill finds what is left."""
        return sum(
            (
                order.remaining
                for order in self._engine.state.orders
                if order.symbol == symbol and order.side == "sell" and order.cancel_at is None
            ),
            ZERO,
        )

    def _available(self, symbol: str) -> Decimal:
        holding = self._engine.state.holdings.get(symbol)
        return max(ZERO, (holding.qty if holding else ZERO) - self._held(symbol))

    def _take_in(self, symbol: str, qty: Decimal, now: datetime, kind: str) -> None:
        """Shares in or out without a trade: they come without a price."""
        holding = self._engine.state.holdings.get(symbol) or Holding(ZERO, None)
        avg = holding.avg_price if qty < 0 else None
        self._books.note(now, now, kind, ZERO, symbol=symbol, qty=qty)
        self._engine.set_holding(symbol, Holding(holding.qty + qty, avg))

    def _orders(self, where: str, *values: object) -> list[BrokerOrder]:
        live = {order.n: order for order in self._engine.state.orders}  # in memory they may be a bar further on
        return [self._answer(live.get(order.n, order)) for order in self._books.orders(where, *values)]

    def _client(self, order_id: str) -> str:
        return self._books.orders("id = ?", order_id)[0].client_order_id

    def _answer(self, order: PaperOrder) -> BrokerOrder:
        level = self._engine.level(order)
        return BrokerOrder(
            broker_order_id=order.id, client_order_id=order.client_order_id, symbol=order.symbol, side=order.side,
            qty=order.qty, type=order.type, tif=order.tif, limit_price=order.limit_price,
            stop_price=level if level is not None else order.stop_price, status=cast(OrderStatus, order.status),
            raw_status=order.raw_status, filled_qty=order.filled_qty, avg_price=order.avg_price,
            submitted_at=order.submitted_at, updated_at=order.updated_at, triggered_at=order.triggered_at,
            reason=order.reason,
        )  # fmt: skip

    def _fill(self, fill: PaperFill, client_order_id: str) -> BrokerFill:
        return BrokerFill(
            broker_fill_id=fill.id, broker_order_id=fill.order_id, client_order_id=client_order_id, at=fill.at,
            symbol=fill.symbol, side=fill.side, qty=fill.qty, price=fill.price, fee=fill.fee,
            fee_asset=self._rules.currency, fee_estimated=False,
        )  # fmt: skip


def cutoff_of(tif: str, session: Session | None) -> datetime | None:
    """From when on the venue refuses on-open or on-close orders for this session; None for other orders."""
    if session is None or tif not in ("opg", "cls"):
        return None
    return session.open - OPEN_CUTOFF if tif == "opg" else session.close - CLOSE_CUTOFF


def _flow(n: int, at: datetime, kind: str, symbol: str | None, qty: Decimal | None, amount: Decimal) -> CashFlow:
    """A ledger row as the desk sees it; a reset is money or shares like any other."""
    if symbol is not None:
        return CashFlow(ref=f"L{n}", at=at, kind="hold", symbol=symbol, qty=qty, amount=None)
    kind = "withdrawal" if amount < 0 else "deposit"
    return CashFlow(ref=f"L{n}", at=at, kind=kind, symbol=None, qty=None, amount=amount)
