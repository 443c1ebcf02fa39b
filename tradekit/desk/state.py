"""The account and the book as they are at this moment: read from store, venue and market, never remembered."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from tradekit.brokers.base import BrokerAccount
from tradekit.clock import parse_time
from tradekit.desk.claims import others
from tradekit.desk.day_pnl import cash_between, day_pnl, last_moment, pnl_at_close
from tradekit.desk.day_trades import day_trades_left
from tradekit.desk.desk import Desk
from tradekit.desk.drawdown import fallen, total_pnl
from tradekit.desk.match import row_of
from tradekit.desk.pauses import paused
from tradekit.desk.prices import fresh_price, quote
from tradekit.desk.settlement import settled_cash
from tradekit.desk.venue import Seen, look
from tradekit.model import (
    Account,
    Halt,
    Order,
    Position,
    Session,
    Trade,
)
from tradekit.money import ZERO, book, dec

if TYPE_CHECKING:  # thirty small modules that a pass with nothing to do does without
    from tradekit.risk.base import Book, HeldView

RESUMED_AT = "resumed_at"  # meta: the last `resume`; streaks count from here


def account(desk: Desk, venue: BrokerAccount | None = None) -> Account:
    """Equity, exposure and P&L. What needs a fresh price that nobody knows is None. `venue` was read a moment ago."""
    return measured(desk, venue)[0]


def measured(desk: Desk, venue: BrokerAccount | None = None) -> tuple[Account, Decimal | None]:
    """The account, and the desk's P&L since it began."""
    now = desk.clock.now()
    venue = venue or desk.broker.account()
    positions = desk.store.positions.open()
    prices = {p.symbol: price for p in positions if (price := fresh_price(desk, p.symbol)) is not None}
    whole = len(prices) == len(positions)
    exposure = sum(
        (position.qty * prices[position.symbol] for position in positions if position.symbol in prices), ZERO
    )
    pnl = day_pnl(desk, positions, prices) if whole else None
    total = total_pnl(desk, positions, prices) if whole else None
    base = base_equity(desk, venue)
    equity = base + pnl if pnl is not None else None
    high, drawdown = (None, None) if equity is None or total is None else fallen(desk, total, equity)
    found = Account(
        at=now,
        session=desk.calendar.day(now),
        equity=venue.equity,
        cash=venue.cash,
        buying_power=venue.buying_power,
        desk_equity=equity,
        exposure=book(exposure, desk.settings.desk.currency),
        exposure_pct=_share(exposure, equity) if whole else None,
        positions=len(positions),
        daily_pnl=pnl,
        daily_pnl_pct=_share(pnl, base),
        peak_equity=high,
        drawdown=drawdown,
    )
    return found, total


def account_at_close(desk: Desk, session: Session) -> Account:
    """The account as of a close that is just over: what prices and fills did since belongs to the day after."""
    found, total = measured(desk)
    positions, prices, pnl = pnl_at_close(desk, session)
    if pnl is None or total is None or found.daily_pnl is None or found.desk_equity is None:
        return found
    late, base = found.daily_pnl - pnl, found.desk_equity - found.daily_pnl
    equity, exposure = base + pnl, sum((p.qty * prices[p.symbol] for p in positions), ZERO)
    high, drawdown = fallen(desk, total - late, equity)
    return msgspec.structs.replace(
        found,
        equity=None if found.equity is None else found.equity - late,
        cash=found.cash - cash_between(desk, last_moment(desk, session)),
        desk_equity=equity,
        exposure=book(exposure, desk.settings.desk.currency),
        exposure_pct=_share(exposure, equity),
        positions=len(positions),
        daily_pnl=pnl,
        daily_pnl_pct=_share(pnl, base),
        peak_equity=high,
        drawdown=drawdown,
    )


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return None if part is None or not whole else round(float(part / whole), 12)


def base_equity(desk: Desk, venue: BrokerAccount | None = None) -> Decimal:
    """Allocation x account equity at the previous close: the base of the day's percentages."""
    last = (venue or desk.broker.account()).last_equity
    if last is None:  # the account's first session: what was paid in
        last = sum((row.amount for row in desk.store.adjustments.all() if row.symbol is None and row.amount), ZERO)
    return book(dec(desk.settings.desk.allocation) * last, desk.settings.desk.currency)


def market_value(desk: Desk, position: Position) -> Decimal | None:
    """Quantity x a fresh price; None where no such price is known."""
    price = fresh_price(desk, position.symbol)
    return None if price is None else book(position.qty * price, desk.settings.desk.currency)


def unmanaged(desk: Desk, seen: Seen) -> frozenset[str]:
    """Symbols in which the account holds more than the desk owns, or has orders that are not the desk's."""
    owned = desk.store.owned()
    extra = {p.symbol for p in seen.positions if abs(p.qty) > abs(owned.get(p.symbol, ZERO))}
    foreign = {order.symbol for order in seen.orders if row_of(desk, order) is None}
    return frozenset(extra | foreign)


def streak_of_losses(desk: Desk) -> int:
    """Losing trades in a row at the end, since the last resume."""
    from tradekit.risk.auto_halts import loss_streak

    since = _resumed(desk, "consecutive-losses")
    return loss_streak(trade.net for trade in desk.store.trades.last(100) if since is None or trade.exit_at > since)


def streak_of_rejects(desk: Desk) -> int:
    """Entry orders that the venue refused in a row, since the last resume."""
    from tradekit.risk.auto_halts import reject_streak

    since = _resumed(desk, "reject-streak") or desk.clock.now() - timedelta(days=30)
    return reject_streak(order.status for order in desk.store.orders.created_since(since, "entry"))


def _resumed(desk: Desk, kind: str) -> datetime | None:
    cleared = [h.cleared_at for h in desk.store.halts.all() if h.kind == kind and h.cleared_at]
    asked = desk.store.meta.get(RESUMED_AT)
    return max([*cleared, *([parse_time(asked)] if asked else [])], default=None)


def open_halts(desk: Desk) -> list[Halt]:
    return desk.store.halts.open()


def entries_today(desk: Desk, session: date) -> Counter[str]:
    """Entries with a fill by symbol; orders that never filled do not count."""
    found: Counter[str] = Counter()
    for order in desk.store.orders.all(session=session):
        if order.purpose == "entry" and order.filled_qty > 0:
            found[order.symbol] += 1
    return found


def holdings(desk: Desk) -> "list[HeldView]":
    """Open positions and entries on their way, as the gate counts them."""
    views = [_held(desk, position) for position in desk.store.positions.open()]
    held = {view.symbol for view in views}
    for order in desk.store.orders.live():
        if order.purpose == "entry" and order.symbol not in held:
            views.append(_working(desk, order))
    return views


def _held(desk: Desk, position: Position) -> "HeldView":
    from tradekit.risk.base import HeldView

    mark = desk.store.marks.get(position.id)
    entry = desk.universe.get(position.symbol)
    return HeldView(
        symbol=position.symbol,
        qty=position.qty,
        notional=market_value(desk, position),
        cap=position.cap,
        sector=entry.sector if entry else None,
        session=position.session,
        working=False,
        reversal_score=mark.reversal_score if mark else None,
        reversal_at=mark.reversal_at if mark else None,
        listed=desk.listed(position.symbol),
    )


def _working(desk: Desk, order: Order) -> "HeldView":
    from tradekit.risk.base import HeldView

    entry = desk.universe.get(order.symbol)
    price = order.limit_price or order.decision_price
    return HeldView(
        symbol=order.symbol,
        qty=order.qty,
        notional=None if price is None else order.qty * price,
        cap=order.plan.get("cap"),
        sector=entry.sector if entry else None,
        session=order.session,
        working=True,
        reversal_score=None,
        reversal_at=None,
        listed=desk.listed(order.symbol),
    )


def risk_book(
    desk: Desk, symbols: Sequence[str], *, regime: str, entries_this_scan: int, seen: Seen | None = None
) -> "Book":
    """Everything that the risk checks look at, for entries in `symbols`; `seen` is the venue as read a moment ago."""
    from tradekit.risk.base import Book

    now, recent_s = desk.clock.now(), desk.settings.risk.recent_volume_s
    today = desk.calendar.day(now)
    session = desk.calendar.on(today)
    seen = seen or look(desk, for_entry=True)
    state = account(desk, seen.account)
    closed: list[Trade] = desk.store.trades.closed_on(today)
    entries = entries_today(desk, today)
    pauses = {symbol: paused(desk, symbol, today) for symbol in symbols}
    quotes = {s: q for s in symbols if (q := quote(desk, s)) is not None}
    return Book(
        at=now,
        session=today if session else None,
        open_at=session.open if session else None,
        close_at=session.close if session else None,
        around_the_clock=desk.calendar.around_the_clock,
        equity=state.desk_equity,
        buying_power=state.buying_power,
        day_pnl=state.daily_pnl,
        drawdown=state.drawdown,
        halts=open_halts(desk),
        holdings=holdings(desk),
        unmanaged=unmanaged(desk, seen),
        other_desk=others(desk),
        quotes=quotes,
        bar_end={s: q.at for s, q in quotes.items()},
        bar_seconds={s: n for s in symbols if (n := desk.market.bar_seconds(s, today)) is not None},
        turnover=desk.market.turnover(list(symbols), today, desk.settings.risk.turnover_sessions),
        recent_volume={s: v for s in symbols if (v := desk.market.recent_volume(s, now, recent_s)) is not None},
        halted=frozenset(symbol for symbol, (halted, _) in pauses.items() if halted),
        reopened_at={symbol: reopened for symbol, (_, reopened) in pauses.items() if reopened},
        closed_today=frozenset(trade.symbol for trade in closed),
        last_closed_at=_last_closed(desk, now),
        entries_today=entries.total(),
        entries_today_by_symbol=entries,
        entries_this_scan=entries_this_scan,
        recent_entry_orders=[
            (order.created_at, order.symbol)
            for order in desk.store.orders.created_since(now - timedelta(days=1), "entry")
        ],
        loss_streak=streak_of_losses(desk),
        reject_streak=streak_of_rejects(desk),
        regime=regime,
        fee_rate=2 * taker_fee(desk),
        day_trades_left=day_trades_left(desk, today),
        settled_cash=settled_cash(desk, state.cash),
        returns=_returns(desk, symbols, today),
        exit_interval_s=desk.settings.exits.interval_s,
    )


def taker_fee(desk: Desk) -> float:
    """What an order that takes costs at this venue, a fraction of notional; where it does not say, as on paper."""
    said = desk.broker.capabilities.taker
    return desk.settings.paper.taker if said is None else said


def _last_closed(desk: Desk, now: datetime) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for trade in desk.store.trades.all(since=now - timedelta(days=2)):
        found[trade.symbol] = max(trade.exit_at, found.get(trade.symbol, trade.exit_at))
    return found


def _returns(desk: Desk, symbols: Sequence[str], session: date) -> dict[str, list[float]]:
    """Daily returns of what may be bought and what is held, only where the correlation check is on."""
    if desk.settings.risk.correlation is None:
        return {}
    held = [position.symbol for position in desk.store.positions.open()]
    found = {}
    for symbol in {*symbols, *held}:
        closes = desk.market.closes(symbol, session, desk.settings.risk.correlation_days + 1)
        found[symbol] = [b / a - 1 for a, b in pairwise(closes)]
    return found


def regime_now(desk: Desk) -> str:
    """The regime in force: dead since the last tracking, else that of the latest scan; unknown is sideways."""
    now = desk.clock.now()
    if desk.store.meta.get("dead_session") == desk.calendar.day(now).isoformat():
        return "dead"
    latest = desk.store.snapshots.latest(now)
    if latest is None or latest.regime == "unknown":
        return "sideways"
    return latest.regime
