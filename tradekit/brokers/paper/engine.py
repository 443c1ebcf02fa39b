"""The tape played against working orders: which bar fills what, when, and at what price (docs/paper.md).

Events run in the order in which they can be known: bars by their end, then cancels that settle, closing auctions,
expiries and the day's closing equity. Catching up in one step or in many therefore comes out the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import groupby

from tradekit.brokers.paper.books import Books, Holding, PaperFill, PaperOrder, State
from tradekit.brokers.paper.fees import Done, FeeTable
from tradekit.brokers.paper.prices import Costs, traded_through, trail_level, whole_lots
from tradekit.calendar import Calendar
from tradekit.model import BarSource, PriceBar, Session
from tradekit.money import ZERO, book, dec, shown_average

EXTENDED_BEFORE = timedelta(hours=5, minutes=30)  # 04:00 to 09:30 New York
EXTENDED_AFTER = timedelta(hours=4)  # 16:00 to 20:00, on half days 13:00 to 17:00
GONE = "position gone"
FIRST = {"ioc": "first bar", "opg": "open"}


@dataclass(frozen=True)
class Rules:
    """What desk.yaml and the desk say about this venue."""

    currency: str
    tick: Decimal
    ticks: Mapping[str, Decimal]  # of symbols that have another one
    lot: Decimal
    slippage: Decimal
    participation: Decimal
    touch: bool
    exit_interval_s: int
    fees: FeeTable
    half_spread_of: Callable[[str], float]

    def tick_of(self, symbol: str) -> Decimal:
        return self.ticks.get(symbol, self.tick)

    def costs(self, symbol: str) -> Costs:
        return Costs(self.tick_of(symbol), dec(self.half_spread_of(symbol)), self.slippage)


class Engine:
    """Plays bars; changes the state in memory and writes fills as they happen. The caller holds the transaction."""

    def __init__(
        self,
        books: Books,
        state: State,
        bars: BarSource,
        calendar: Calendar,
        rules: Rules,
    ) -> None:
        self.books, self.state, self.bars, self.calendar, self.rules = (
            books,
            state,
            bars,
            calendar,
            rules,
        )
        self.changed = False  # something happened that the file has to know

    def play(self, now: datetime) -> None:
        """Everything that happened after the last time and is known at `now`."""
        since, self.state.now = self.state.now, now
        events = self._bars_until(now) + self._timed_until(since, now)
        events.sort(key=lambda event: event.key)
        for _, group in groupby(events, key=lambda event: event.key[:3]):
            together = list(group)
            if together[0].bar is not None:
                self._play_bars([event.bar for event in together if event.bar is not None])
            else:
                for event in together:
                    event.happen()
        self.state.orders = [order for order in self.state.orders if order.working]

    def _bars_until(self, now: datetime) -> "list[Event]":
        first: dict[str, datetime] = {}
        for order in self.state.orders:
            first[order.symbol] = min(first.get(order.symbol, order.seen_to), order.seen_to)
        return [
            Event((bar.end, 0, bar.start, 0), bar=bar)
            for symbol, since in first.items()
            if since < now
            for bar in self.bars.played(symbol, since, now)
        ]

    def _timed_until(self, since: datetime, now: datetime) -> "list[Event]":
        events = []
        for order in self.state.orders:
            if order.settle_at and order.settle_at <= now:
                events.append(
                    Event(
                        (order.settle_at, 1, order.settle_at, order.n),
                        partial(self._settle, order),
                    )
                )
            if order.expires_at and order.expires_at <= now:
                kind = 2 if order.tif == "cls" else 3
                events.append(
                    Event(
                        (order.expires_at, kind, order.expires_at, order.n),
                        partial(self._end, order),
                    )
                )
        for session in self.closes_between(since, now)[-2:]:
            events.append(
                Event(
                    (session.close, 4, session.close, 0),
                    partial(self._note_close, session),
                )
            )
        return events

    def closes_between(self, since: datetime, now: datetime) -> list[Session]:
        """Sessions whose close lies after `since` and is not after `now`."""
        first, last = (
            self.calendar.day(since) - timedelta(days=1),
            self.calendar.day(now),
        )
        return [session for session in self.calendar.between(first, last) if since < session.close <= now]

    # bars

    def _play_bars(self, bars: Sequence[PriceBar]) -> None:
        """Bars that begin and end together: first what their opens fill, then what happens inside them."""
        by_symbol = {bar.symbol: bar for bar in bars}
        seen = [
            (order, by_symbol[order.symbol])
            for order in self.state.orders
            if order.working and order.symbol in by_symbol and order.seen_to <= by_symbol[order.symbol].start
        ]
        meant = [(order, bar) for order, bar in seen if takes_part(order, bar)]
        for order, bar in meant:
            if bar.volume > 0:
                self._at_open(order, bar)
        for order, bar in meant:
            if (
                order.working
                and order.cancel_at is None
                and (order.tif == "ioc" or (order.tif == "opg" and bar.volume))
            ):
                self._finish(order, "cancelled", bar.start, f"unfilled at the {FIRST[order.tif]}")
        for order, bar in self._inside_order([(o, b) for o, b in meant if o.working and o.cancel_at is None]):
            if order.working and bar.volume > 0:
                self._inside(order, bar)
        for order, bar in seen:
            order.seen_to = bar.end
        for order, bar in meant:
            if order.type == "trailing_stop" and bar.volume > 0:
                self._raise_watermark(order, bar)

    def _inside_order(self, pairs: list[tuple[PaperOrder, PriceBar]]) -> list[tuple[PaperOrder, PriceBar]]:
        """Stops before limits; of the stops under a falling price the highest first, above a rising one the lowest."""

        def key(pair: tuple[PaperOrder, PriceBar]) -> tuple[int, Decimal, int]:
            order = pair[0]
            level = self.level(order)
            if level is None or order.triggered_at is not None:
                return (1, ZERO, order.n)
            return (0, -level if order.side == "sell" else level, order.n)

        return sorted(pairs, key=key)

    def _at_open(self, order: PaperOrder, bar: PriceBar) -> None:
        price = dec(bar.open)
        level = self.level(order) if order.triggered_at is None and order.tif != "opg" else None
        if level is not None and (not reached(order, level, price, price) or self._guarded(order, level, bar)):
            return  # most orders at most bars
        costs = self.rules.costs(order.symbol)
        if order.tif == "opg":
            if within_limit(order, price):
                self._fill(order, bar, costs.auction(order.side, price), bar.start, maker=False)
            return
        if level is not None:
            self._trigger(order, bar.start)
            if order.type != "stop_limit":
                self._fill(order, bar, costs.stop(order.side, price), bar.start, maker=False)
                return
        if order.limit_price is None:
            self._fill(order, bar, costs.market(order.side, price), bar.start, maker=False)
        elif (met := costs.marketable(order.side, order.limit_price, price)) is not None:
            self._fill(order, bar, met, bar.start, maker=False)

    def _inside(self, order: PaperOrder, bar: PriceBar) -> None:
        low, high = dec(bar.low), dec(bar.high)
        level = self.level(order) if order.triggered_at is None else None
        if level is not None and (not reached(order, level, low, high) or self._guarded(order, level, bar)):
            return
        costs = self.rules.costs(order.symbol)
        if level is not None:
            self._trigger(order, bar.end)
            price = costs.stop(order.side, level)
            if order.limit_price is not None:  # what it does not meet at once rests from the next bar on
                met = costs.marketable(order.side, order.limit_price, level)
                if met is None:
                    return
                price = met
            self._fill(order, bar, price, bar.end, maker=False)
        elif order.limit_price is not None and traded_through(
            order.side, order.limit_price, low, high, costs.tick, self.rules.touch
        ):
            self._fill(order, bar, order.limit_price, bar.end, maker=True)

    def level(self, order: PaperOrder) -> Decimal | None:
        """Where a stop of any kind stands now; None for other orders and for a trail without a first price."""
        if order.type == "trailing_stop":
            if order.watermark is None or order.trail_pct is None:
                return order.stop_price
            level = trail_level(order.side, order.watermark, order.trail_pct, self.rules.tick_of(order.symbol))
            if order.stop_price is None:
                return level
            return max(level, order.stop_price) if order.side == "sell" else min(level, order.stop_price)
        return order.stop_price if order.type in ("stop", "stop_limit") else None

    def _guarded(self, order: PaperOrder, level: Decimal, bar: PriceBar) -> bool:
        """Does a long bar reach the desk's own, higher level first? Then this stop waits for the desk's pass, once."""
        guard = self.state.guards.get(order.symbol)
        if guard is None or order.side != "sell" or not self.is_long(bar):
            return False
        if guard.level <= level or dec(bar.low) > guard.level:
            return False
        if guard.touched and self._touched_in != (order.symbol, bar.start):
            return False  # the desk did not answer within a bar: the resting stop is all there is
        if not guard.touched:
            guard.touched, self.changed = True, True
            self._touched_in = (order.symbol, bar.start)
            self.books.put_guard(order.symbol, guard)
        return True

    _touched_in: tuple[str, datetime] | None = None

    def is_long(self, bar: PriceBar) -> bool:
        """Is the bar longer than the desk's exit pass interval?"""
        return (bar.end - bar.start).total_seconds() > self.rules.exit_interval_s

    def _raise_watermark(self, order: PaperOrder, bar: PriceBar) -> None:
        """The watermark that a bar sets counts from the next one."""
        high, low = dec(bar.high), dec(bar.low)
        if order.watermark is None:
            order.watermark = high if order.side == "sell" else low
        order.watermark = max(order.watermark, high) if order.side == "sell" else min(order.watermark, low)

    def _room(self, bar: PriceBar) -> Decimal:
        """What of the bar's volume our orders may still have."""
        return max(
            ZERO,
            dec(bar.volume) * self.rules.participation - self.books.used(bar.symbol, bar.start),
        )

    # what happens to an order

    def fill_inside(self, order: PaperOrder, bar: PriceBar, level: Decimal) -> None:
        """A software stop's sell, in the bar that touched `level`: the level, or the open if that was lower."""
        price = self.rules.costs(order.symbol).market(order.side, min(dec(bar.open), level))
        self._fill(order, bar, price, bar.end, maker=False)

    def _trigger(self, order: PaperOrder, at: datetime) -> None:
        order.triggered_at = at
        self._touch(order, at)

    def _fill(
        self,
        order: PaperOrder,
        bar: PriceBar,
        price: Decimal,
        at: datetime,
        *,
        maker: bool,
    ) -> None:
        held = self.state.holdings.get(order.symbol)
        if order.side == "sell" and held is None:
            self._finish(order, "cancelled", at, GONE)
            return
        room = self._room(bar)
        qty = order.remaining if order.remaining <= room else whole_lots(room, self.rules.lot)
        if order.side == "sell" and held is not None:
            qty = min(qty, held.qty)
        day = self.calendar.day(bar.start)
        before = self._done(order, day)
        if order.side == "buy":
            qty = self._affordable(order, day, before, qty, price, maker)
        if qty <= 0:
            return
        fee = self.rules.fees.of_fill(day, order.side, before, qty, price, maker)
        self._book(order, bar, qty, price, fee, at, day)
        if order.remaining == 0:
            self._finish(order, "filled", at, None)
        elif order.side == "sell" and order.symbol not in self.state.holdings:
            self._finish(order, "cancelled", at, GONE)

    def _done(self, order: PaperOrder, day: date) -> Done:
        if not order.filled_qty:
            return Done()
        done = Done()
        for fill in self.books.fills("order_id = ? AND session = ?", order.id, day.isoformat()):
            done = done.plus(fill.qty, fill.price)
        return done

    def _affordable(
        self,
        order: PaperOrder,
        day: date,
        before: Done,
        qty: Decimal,
        price: Decimal,
        maker: bool,
    ) -> Decimal:
        """`qty`, or what the cash pays for; an order that it pays nothing of is cancelled."""
        if qty <= 0:
            return qty
        fee = self.rules.fees.of_fill(day, order.side, before, qty, price, maker)
        if qty * price + fee <= self.state.cash:
            return qty
        fits = whole_lots((self.state.cash - fee) / price, self.rules.lot)
        if fits <= 0:
            self._finish(order, "cancelled", self.state.now, "insufficient cash")
        return min(qty, fits)

    def _book(
        self,
        order: PaperOrder,
        bar: PriceBar,
        qty: Decimal,
        price: Decimal,
        fee: Decimal,
        at: datetime,
        day: date,
    ) -> None:
        """The fill, the cash and the shares, all in the caller's transaction."""
        now, currency = self.state.now, self.rules.currency
        earlier = self.books.fills("order_id = ?", order.id) if order.filled_qty else []
        fill = PaperFill(
            id=f"{order.id}-{len(earlier) + 1}", order_id=order.id, at=at, known_at=now, bar_start=bar.start,
            session=day, symbol=order.symbol, side=order.side, qty=qty, price=price, fee=fee,
        )  # fmt: skip
        self.books.add_fill(fill)
        paid = book(qty * price, currency) * (-1 if order.side == "buy" else 1)
        self.books.note(at, now, "fill", paid, ref=fill.id, symbol=order.symbol)
        if fee:
            self.books.note(at, now, "fee", -fee, ref=fill.id, symbol=order.symbol)
        self.state.cash += paid - fee
        self._move(order.symbol, qty if order.side == "buy" else -qty, price)
        total = sum((f.qty * f.price for f in earlier), qty * price)
        order.filled_qty += qty
        order.avg_price = shown_average(total, order.filled_qty)
        order.status = "partially_filled"
        if order.cancel_at is None:
            order.raw_status = "partially_filled"
        self._touch(order, at)

    def _move(self, symbol: str, qty: Decimal, price: Decimal | None) -> None:
        """Shares in or out; the average is known only while all of them came with a price."""
        held = self.state.holdings.get(symbol) or Holding(ZERO, price)
        avg = held.avg_price
        if qty > 0 and held.qty > 0 and avg is not None:
            avg = None if price is None else shown_average(held.qty * avg + qty * price, held.qty + qty)
        self.set_holding(symbol, Holding(held.qty + qty, avg))

    def set_holding(self, symbol: str, holding: Holding) -> None:
        if holding.qty > 0:
            self.state.holdings[symbol] = holding
        else:
            self.state.holdings.pop(symbol, None)
        self.books.put_holding(symbol, holding)
        self.changed = True

    def _settle(self, order: PaperOrder) -> None:
        if order.working and order.settle_at is not None:
            self._finish(order, "cancelled", order.settle_at, "cancelled on request")

    def _end(self, order: PaperOrder) -> None:
        """The order's last moment: the closing auction, or nothing more to wait for."""
        assert order.expires_at is not None
        if order.working and order.tif == "cls":
            self._at_close(order, order.expires_at)
            if order.working:
                self._finish(order, "cancelled", order.expires_at, "unfilled at the close")
        elif order.working:
            self._finish(order, "expired", order.expires_at, "the session is over")

    def _at_close(self, order: PaperOrder, close: datetime) -> None:
        session = self.calendar.on(self.calendar.day(close))
        if session is None:
            return
        bars = [bar for bar in self.bars.played(order.symbol, session.open, close) if bar.regular and bar.volume > 0]
        if bars and within_limit(order, dec(bars[-1].close)):
            bar = bars[-1]
            price = self.rules.costs(order.symbol).auction(order.side, dec(bar.close))
            self._fill(order, bar, price, close, maker=False)

    def finish(self, order: PaperOrder, status: str, at: datetime, reason: str | None) -> None:
        """End an order at `at`."""
        self._finish(order, status, at, reason)

    def _finish(self, order: PaperOrder, status: str, at: datetime, reason: str | None) -> None:
        order.status = order.raw_status = status
        order.reason = reason
        self._touch(order, at)

    def _touch(self, order: PaperOrder, at: datetime) -> None:
        order.updated_at = max(order.updated_at, at)
        order.changed_at = self.state.now
        self.changed = True
        self.books.put_order(order)

    # the account

    def _note_close(self, session: Session) -> None:
        self.changed = True
        self.books.put_close(session.day, self.equity(session.close))

    def equity(self, at: datetime) -> Decimal | None:
        """Cash plus holdings at the last prices visible at `at`; None where one is unknown."""
        total = self.state.cash
        for symbol, holding in self.state.holdings.items():
            bar = self.bars.last(symbol, at)
            if bar is None:
                return None
            total += holding.qty * dec(bar.close)
        return book(total, self.rules.currency)

    # times

    def expiry(self, tif: str, extended: bool, now: datetime) -> datetime | None:
        """When an order sent at `now` ends by itself: never for gtc, else with the session it is meant for."""
        if tif == "gtc":
            return None
        after = EXTENDED_AFTER if extended and not self.calendar.around_the_clock else timedelta(0)
        session = self.calendar.on(self.calendar.day(now))
        while session is None or (session.open if tif == "opg" else session.close + after) <= now:
            session = self.calendar.next(session.day if session else self.calendar.day(now))
            if session is None:
                return None
        return session.close + after

    def settles_at(self, order: PaperOrder, at: datetime) -> datetime:
        """When a cancel sent at `at` is final: at once, or at the end of a bar that began before and may fill it."""
        day = self.calendar.day(at)
        session = self.calendar.on(day)
        if session is None or order.tif == "cls":
            return at
        first, last = session.open, session.close
        if order.extended_hours and not self.calendar.around_the_clock:
            first, last = first - EXTENDED_BEFORE, last + EXTENDED_AFTER
        if not first < at < last:
            return at
        seconds = self.bars.bar_seconds(order.symbol, day)
        if seconds is None:
            return session.close if order.seen_to <= session.open < at < session.close else at
        step = timedelta(seconds=seconds)
        latest = self.bars.last(order.symbol, at)
        anchor = latest.end if latest is not None and self.calendar.day(latest.start) == day else session.open
        start = anchor + (at - anchor) // step * step
        return at if start >= at or start < order.seen_to else min(start + step, last)


class Event:
    """Something that becomes known at key[0]."""

    def __init__(
        self,
        key: tuple[datetime, int, datetime, int],
        happen: Callable[[], None] = lambda: None,
        bar: PriceBar | None = None,
    ) -> None:
        self.key, self.happen, self.bar = key, happen, bar


def takes_part(order: PaperOrder, bar: PriceBar) -> bool:
    """May this bar fill the order at all?"""
    if order.tif == "cls" or not (bar.regular or order.extended_hours):
        return False
    return order.cancel_at is None or bar.start < order.cancel_at


def within_limit(order: PaperOrder, price: Decimal) -> bool:
    """An auction price that the order's limit, if it has one, allows."""
    if order.limit_price is None:
        return True
    return price <= order.limit_price if order.side == "buy" else price >= order.limit_price


def reached(order: PaperOrder, level: Decimal, low: Decimal, high: Decimal) -> bool:
    """Did price get to a stop's level?"""
    return low <= level if order.side == "sell" else high >= level
