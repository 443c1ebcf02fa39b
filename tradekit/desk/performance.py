"""The row of a session: equity, exposure, P&L, trades and the benchmark beside them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import msgspec

from tradekit.desk.day_pnl import cash_between, last_moment, pnl_at_close
from tradekit.desk.desk import Desk
from tradekit.metrics import drawdowns
from tradekit.model import Account, Performance, Session
from tradekit.money import ZERO, book, dec


@dataclass(frozen=True)
class SnapshotOptions:
    """`session`: a past one, made again from the books and recorded bars; `missing`: all that have no row."""

    session: str | None = None
    missing: bool = False


def live_row(desk: Desk, session: Session | None, day: date, account: Account) -> Performance:
    """The row of the session that is on, from an account that was just read."""
    return _row(
        desk,
        session,
        day,
        at=account.at,
        equity=account.equity,
        desk_equity=account.desk_equity,
        cash=account.cash,
        exposure=account.exposure,
        exposure_pct=account.exposure_pct,
        positions=account.positions,
        pnl=account.daily_pnl,
        pnl_pct=account.daily_pnl_pct,
        rebuilt=False,
    )


def rebuilt_row(desk: Desk, session: Session) -> Performance:
    """The row of a past session: cash from fills and adjustments, positions folded until its close, recorded prices.

    Equity is None where no deposit is known or a position has no price.
    """
    before = desk.calendar.previous(session.day)
    equity, cash, exposure, held = _books_at(desk, session)
    earlier = _books_at(desk, before)[0] if before else ZERO
    flow = _flow(desk, session.day)
    pnl = base = None
    if equity is not None and earlier is not None:
        base = dec(desk.settings.desk.allocation) * (earlier or flow)
        pnl = equity - earlier - flow
    desk_equity = None if base is None or pnl is None else book(base + pnl, desk.settings.desk.currency)
    return _row(
        desk,
        session,
        session.day,
        at=session.close,
        equity=equity,
        desk_equity=desk_equity,
        cash=cash,
        exposure=exposure,
        exposure_pct=_share(exposure, desk_equity),
        positions=held,
        pnl=pnl,
        pnl_pct=_share(pnl, base),
        rebuilt=True,
    )


def final_row(desk: Desk, session: Session, early: Performance) -> Performance:
    """`early`, taken while its session was on, as the session ended; itself where a price of the close is not known."""
    positions, prices, pnl = pnl_at_close(desk, session)
    if pnl is None or early.pnl is None or early.desk_equity is None:
        return early
    paid = _flow(desk, session.day) - early.flow
    exposure, base = sum((p.qty * prices[p.symbol] for p in positions), ZERO), early.desk_equity - early.pnl
    return _row(
        desk,
        session,
        session.day,
        at=session.close,
        equity=None if early.equity is None else early.equity + pnl - early.pnl + paid,
        desk_equity=base + pnl,
        cash=early.cash + cash_between(desk, early.at, last_moment(desk, session)) + paid,
        exposure=book(exposure, desk.settings.desk.currency),
        exposure_pct=_share(exposure, base + pnl),
        positions=len(positions),
        pnl=pnl,
        pnl_pct=_share(pnl, base),
        rebuilt=False,
    )


def with_drawdowns(desk: Desk, row: Performance) -> list[Performance]:
    """`row` with its drawdown, then the stored rows whose own it changes: rows of past sessions come late.

    A drawdown is of the growth of returns (docs/metrics.md), so that the start is a peak and cash flows are none; it is
    a fraction >= 0, and None in a row without a return.
    """
    rows = sorted([*(r for r in desk.store.days.all() if r.session != row.session), row], key=lambda r: r.session)
    depths = iter(drawdowns([r.pnl_pct for r in rows if r.pnl_pct is not None]))
    found: list[Performance] = []
    for each in rows:
        fallen = None if each.pnl_pct is None else round(0.0 - next(depths), 12)
        if each is row:
            found.insert(0, msgspec.structs.replace(row, drawdown=fallen))
        elif each.drawdown != fallen:
            found.append(msgspec.structs.replace(each, drawdown=fallen))
    return found


def missing_sessions(desk: Desk) -> list[Session]:
    """Complete sessions since the first fill that have no row."""
    days = desk.store.fills.first_session()
    if days is None:
        return []
    now = desk.clock.now()
    known = {row.session for row in desk.store.days.all()}
    return [s for s in desk.calendar.between(days, desk.calendar.day(now)) if s.close <= now and s.day not in known]


def _row(
    desk: Desk,
    session: Session | None,
    day: date,
    *,
    at: datetime,
    equity: Decimal | None,
    desk_equity: Decimal | None,
    cash: Decimal,
    exposure: Decimal,
    exposure_pct: float | None,
    positions: int,
    pnl: Decimal | None,
    pnl_pct: float | None,
    rebuilt: bool,
) -> Performance:
    trades = desk.store.trades.all(session=day)
    fills = desk.store.fills.all(session=day)
    close, change = _benchmark(desk, session, at)
    return Performance(
        session=day,
        at=at,
        equity=equity,
        desk_equity=desk_equity,
        cash=cash,
        exposure=exposure,
        exposure_pct=exposure_pct,
        positions=positions,
        pnl=pnl,
        pnl_pct=pnl_pct,
        realized=sum((trade.net for trade in trades), ZERO),
        fees=sum((fill.fee for fill in fills if fill.fee_asset == desk.settings.desk.currency), ZERO),
        flow=_flow(desk, day),
        trades=len(trades),
        wins=sum(trade.net > 0 for trade in trades),
        drawdown=None,  # depends on the rows before it: `with_drawdowns`
        benchmark=desk.settings.desk.benchmark,
        benchmark_close=close,
        benchmark_return=change,
        rebuilt=rebuilt,
    )


def _benchmark(desk: Desk, session: Session | None, at: datetime) -> tuple[Decimal | None, float | None]:
    """The benchmark's close of a complete session and its return on the close before; None where there is none."""
    symbol = desk.settings.desk.benchmark
    if symbol is None or session is None or at < session.close:
        return None, None
    tomorrow = session.day + timedelta(days=1)
    row, past = desk.market.row(symbol, session.day, tomorrow), desk.calendar.previous(session.day)
    if row is None:
        return None, None
    before = desk.market.row(symbol, past.day, tomorrow) if past else None
    return dec(row.close), round(row.close / before.close - 1, 12) if before else None


def _books_at(desk: Desk, session: Session) -> tuple[Decimal | None, Decimal, Decimal, int]:
    """Equity, cash, exposure and the number of positions at a session's close, from the books."""
    from tradekit.store.fold import cash_of, cash_of_adjustment

    currency, close, end = desk.settings.desk.currency, session.close, last_moment(desk, session)
    moved = desk.store.adjustments.all(as_of=end)
    paid_in = sum((cash_of_adjustment(row, currency=currency) for row in moved), ZERO)
    cash = paid_in + sum((cash_of(fill, currency=currency) for fill in desk.store.fills.all(as_of=end)), ZERO)
    positions = desk.store.positions_at(end)
    exposure, whole = ZERO, True
    for position in positions:
        bar = desk.market.last(position.symbol, close)
        whole = whole and bar is not None
        if bar is not None:
            sign = 1 if position.side == "long" else -1
            exposure += sign * book(position.qty * dec(bar.close), currency)
    known = whole and any(row.kind == "deposit" for row in moved)
    return (cash + exposure if known else None), cash, exposure, len(positions)


def _flow(desk: Desk, day: date) -> Decimal:
    from tradekit.store.fold import cash_of_adjustment

    rows = desk.store.adjustments.all(session=day)
    currency = desk.settings.desk.currency
    return sum((cash_of_adjustment(r, currency=currency) for r in rows if r.kind in ("deposit", "withdrawal")), ZERO)


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return None if part is None or not whole else round(float(part / whole), 12)
