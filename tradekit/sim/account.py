"""The paper account behind a simulated venue, with what a script or a human may do to it besides trading."""

from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from functools import cached_property

from tradekit.brokers.base import BrokerFill, BrokerOrder, OrderRequest
from tradekit.brokers.paper.books import Holding, PaperOrder
from tradekit.brokers.paper.broker import PaperBroker
from tradekit.brokers.paper.fees import Done
from tradekit.errors import OrderRejected, UsageError
from tradekit.model import PriceBar, Side
from tradekit.money import ZERO, book

MARK = "~"  # the paper account's ids are unique: a client id that comes again gets a number after this mark
BY_HAND = "hand"


class VenueAccount(PaperBroker):
    """PaperBroker plus forced fills, rejects, trades by hand, corporate actions; a client id may be used twice."""

    @cached_property
    def _untradable(self) -> set[str]:
        """Symbols that trade no more, since this venue was started."""
        return set()

    @property
    def account_id(self) -> str:
        return self._books.meta("account_id")

    def take(self, order: OrderRequest) -> BrokerOrder:
        """A new order, also under a client id that was there before. Raises OrderRejected."""
        if order.symbol in self._untradable:
            refused = OrderRejected(f"{order.symbol}: is not tradable")
            refused.why = "not-tradable"
            raise refused
        key = self._fresh_key(order.client_order_id)
        return self.submit(OrderRequest(**{n: getattr(order, n) for n in order.__struct_fields__} | {
            "client_order_id": key}))  # fmt: skip

    def of_client(self, client_order_id: str) -> list[BrokerOrder]:
        """All orders that came under a client id, oldest first."""
        with self._turn():
            pattern = client_order_id.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + MARK + "%"
            where = "client_order_id = ? OR client_order_id LIKE ? ESCAPE '\\' ORDER BY n"
            return self._orders(where, client_order_id, pattern)

    def every_order(self) -> list[BrokerOrder]:
        """All orders there ever were, in arrival order."""
        with self._turn():
            return self._orders("n > 0 ORDER BY n")

    def every_fill(self, after: int = 0) -> list[tuple[int, BrokerFill]]:
        """(row, fill) of all fills behind row `after`, in the order of booking."""
        with self._turn():
            rows = self._books.fills("rowid > ? ORDER BY rowid", after)
            clients = {id_: self._client(id_) for id_ in {fill.order_id for fill in rows}}
            return [(after + i, self._fill(fill, clients[fill.order_id])) for i, fill in enumerate(rows, 1)]

    def fill(self, broker_order_id: str, qty: Decimal | None, price: Decimal | None) -> Decimal:
        """Execute a part of an order (None: the rest) now, also after its end; how much was.

        Never more than is left of the order, and a sell never more than the account holds.
        """
        with self._turn(write=True) as now:
            order = self._one(broker_order_id)
            done = order.remaining if qty is None else min(qty, order.remaining)
            if order.side == "sell":
                held = self._engine.state.holdings.get(order.symbol)
                done = min(done, held.qty if held else ZERO)
            if done <= 0:
                return ZERO
            was = None if order.working else (order.status, order.reason)
            self._execute(order, done, price or self._price(order.symbol, now), now)
            if order.remaining == 0:
                self._engine.finish(order, "filled", now, None)
            elif was is not None:
                self._engine.finish(order, was[0], now, was[1])
            self._engine.state.orders = [o for o in self._engine.state.orders if o.working]
            return done

    def end(self, broker_order_id: str, status: str, reason: str) -> bool:
        """Cancel, expire or reject a working order on the venue's own account; False where it was over."""
        with self._turn(write=True) as now:
            order = self._one(broker_order_id)
            if not order.working:
                return False
            self._engine.finish(order, "cancelled" if status == "rejected" else status, now, reason)
            order.raw_status = status
            self._books.put_order(order)
            self._engine.state.orders = [o for o in self._engine.state.orders if o.working]
            return True

    def price_of(self, symbol: str) -> Decimal:
        """The last price of a symbol. UsageError where there is none."""
        with self._turn() as now:
            return self._price(symbol, now)

    def by_hand(self, symbol: str, side: Side, qty: Decimal, price: Decimal | None) -> BrokerOrder:
        """Somebody trades in the same account, outside every desk. UsageError for what the account cannot do."""
        key = self._fresh_key(BY_HAND)
        with self._turn(write=True) as now:
            if qty <= 0 or not qty.is_finite():
                raise UsageError(f"{symbol}: quantity {qty} is not above 0")
            held = self._engine.state.holdings.get(symbol)
            if side == "sell" and qty > (held.qty if held else ZERO):
                raise UsageError(f"{symbol}: the account has only {held.qty if held else 0}")
            state = self._engine.state
            order = PaperOrder(
                n=state.next_order, id=f"P{state.next_order}", client_order_id=key, symbol=symbol, side=side, qty=qty,
                type="market", tif="day", limit_price=None, stop_price=None, trail_pct=None, extended_hours=False,
                submitted_at=now, updated_at=now, changed_at=now, seen_to=now, expires_at=None, cancel_at=None,
                settle_at=None, watermark=None, triggered_at=None, reserve=ZERO, filled_qty=ZERO, avg_price=None,
                status="open", raw_status="open", reason=None,
            )  # fmt: skip
            state.next_order += 1
            self._books.put_order(order)
            self._execute(order, qty, price or self._price(symbol, now), now)
            self._engine.finish(order, "filled", now, None)
            return self._answer(order)

    def split(self, symbol: str, ratio: Decimal, *, cancel: bool = True) -> tuple[Decimal, Decimal]:
        """`ratio` new shares for each old one; (change in shares, cash in lieu of fractions).

        Working orders of the symbol are cancelled, as venues do, unless `cancel` is False.
        """
        with self._turn(write=True) as now:
            held = self._engine.state.holdings.get(symbol)
            if held is None or ratio <= 0:
                raise UsageError(f"{symbol}: nothing is held that could be split {ratio}:1")
            lot, exact = self._rules.lot, held.qty * ratio
            whole = (exact / lot).to_integral_value(ROUND_FLOOR) * lot
            rest = exact - whole
            price = self._price(symbol, now)
            cash = book(rest * price / ratio, self._rules.currency) if rest else ZERO
            average = None if held.avg_price is None else held.avg_price / ratio
            if cash:
                self._books.note(now, now, "fee", cash, symbol=symbol)
                self._engine.state.cash += cash
            self._engine.set_holding(symbol, Holding(whole, average))
            if cancel:
                self._end_all(symbol, now)
            self._engine.changed = True
            return whole - held.qty, cash

    def rename(self, symbol: str, to: str) -> Decimal:
        """The company trades under another symbol from now on; how many shares moved. Working orders are cancelled."""
        with self._turn(write=True) as now:
            held = self._engine.state.holdings.get(symbol)
            if held is None or to in self._engine.state.holdings or not to:
                raise UsageError(f"{symbol}: nothing is held that could become {to or 'nothing'}")
            self._end_all(symbol, now)
            self._engine.set_holding(symbol, Holding(ZERO, None))
            self._engine.set_holding(to, held)
            self._untradable.add(symbol)
            self._engine.changed = True
            return held.qty

    def delist(self, symbol: str, price: Decimal | None) -> tuple[Decimal, Decimal]:
        """Trading ends; (shares that went, cash that came). Without a price the shares stay, and nothing sells them."""
        with self._turn(write=True) as now:
            held = self._engine.state.holdings.get(symbol)
            if held is None or (price is not None and price < 0):
                raise UsageError(f"{symbol}: nothing is held that could be delisted")
            self._end_all(symbol, now)
            self._untradable.add(symbol)
            self._engine.changed = True
            if price is None:
                return ZERO, ZERO
            cash = book(held.qty * price, self._rules.currency)
            if cash:
                self._books.note(now, now, "fee", cash, symbol=symbol)
                self._engine.state.cash += cash
            self._engine.set_holding(symbol, Holding(ZERO, None))
            return held.qty, cash

    # inside

    def _end_all(self, symbol: str, now: datetime) -> None:
        for order in [order for order in self._engine.state.orders if order.symbol == symbol]:
            self._engine.finish(order, "cancelled", now, "corporate action")
            self._engine.state.orders.remove(order)

    def _fresh_key(self, client_order_id: str) -> str:
        known = len(self.of_client(client_order_id))
        return client_order_id if not known else f"{client_order_id}{MARK}{known + 1}"

    def _one(self, broker_order_id: str) -> PaperOrder:
        live = next((o for o in self._engine.state.orders if o.id == broker_order_id), None)
        found = [live] if live is not None else self._books.orders("id = ?", broker_order_id)
        if not found:
            raise UsageError(f"there is no order {broker_order_id}")
        return found[0]

    def _price(self, symbol: str, now: datetime) -> Decimal:
        last = self._bars.last(symbol, now)
        if last is None:
            raise UsageError(f"{symbol}: no bars, so no price")
        return self._rules.costs(symbol).auction("buy", Decimal(repr(last.close)))

    def _execute(self, order: PaperOrder, qty: Decimal, price: Decimal, now: datetime) -> None:
        """Book a fill that no bar made: dated now."""
        seen = PriceBar(order.symbol, now, now + timedelta(seconds=1), *(float(price),) * 4, float(qty), True)
        day = self._calendar.day(now)
        fee = self._rules.fees.of_fill(day, order.side, Done(), qty, price, False)
        self._engine._book(order, seen, qty, price, fee, now, day)


def client_of(key: str | None) -> str | None:
    """The client id as it was sent; None for what was traded by hand."""
    name = (key or "").partition(MARK)[0]
    return None if name in ("", BY_HAND) else name
