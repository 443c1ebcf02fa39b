"""Housekeeping by the clock: the day's account row, the half-hourly look at reversals and at a dead market."""

from datetime import date, timedelta
from math import nan

import msgspec

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, event
from tradekit.desk.performance import (
    SnapshotOptions,
    final_row,
    live_row,
    missing_sessions,
    rebuilt_row,
    with_drawdowns,
)
from tradekit.desk.reconcile import reconcile
from tradekit.desk.state import account, account_at_close
from tradekit.errors import UsageError
from tradekit.exits.reversal_score import History, Reversal, Today, reversal_score
from tradekit.ids import stamp
from tradekit.model import Mark, Performance, Position, PositionCheck, Session
from tradekit.money import book, dec
from tradekit.store.positions import Marks


def snapshot(desk: Desk, options: SnapshotOptions | None = None) -> list[Performance]:
    """The session's account and performance rows, one each; a repeat gives the stored ones.

    A row that was taken while its session was on is made final by the next snapshot after it. Past sessions without
    a row are made from the books and recorded bars.
    """
    options = options or SnapshotOptions()
    if options.session or options.missing:
        return [_past(desk, session.day) for session in _asked(desk, options)]
    reconcile(desk)
    today = desk.calendar.day(desk.clock.now())
    for early in (desk.store.days.before(today), desk.store.days.on(today)):
        _make_final(desk, early)
    known = desk.store.days.on(today)
    if known:
        return [known]
    session = desk.calendar.on(today)
    over = session is not None and desk.clock.now() > session.close
    row = account_at_close(desk, session) if session is not None and over else account(desk)
    found, *others = with_drawdowns(desk, live_row(desk, session, today, row))
    with desk.store.transaction(low=True):
        if not desk.store.account.all(session=today, limit=1):
            desk.store.account.add(row)
        desk.store.days.add(found)
        desk.store.days.save(*others)
        event(desk, "snapshot", equity=str(row.desk_equity))
    return [found]


def _make_final(desk: Desk, early: Performance | None) -> None:
    """The row and the account of a session that is over, where they were taken before its close."""
    session = desk.calendar.on(early.session) if early is not None else None
    if early is None or session is None or not early.at < session.close <= desk.clock.now():
        return
    row = final_row(desk, session, early)
    accounts = desk.store.account.all(session=session.day, limit=1)
    if row is early or not accounts:
        return
    changed = {
        name: getattr(row, name) for name in ("equity", "desk_equity", "cash", "exposure", "exposure_pct", "positions")
    }
    changed |= {"at": session.close, "daily_pnl": row.pnl, "daily_pnl_pct": row.pnl_pct}
    with desk.store.transaction(low=True):
        desk.store.days.save(*with_drawdowns(desk, row))
        desk.store.account.add(msgspec.structs.replace(accounts[0], **changed))
        event(desk, "snapshot.final", session=str(session.day))


def _asked(desk: Desk, options: SnapshotOptions) -> list[Session]:
    if not options.session:
        return missing_sessions(desk)
    try:
        session = desk.calendar.on(date.fromisoformat(options.session))
    except ValueError:
        raise UsageError(f"--session {options.session} is not a date", "--session 2026-02-13") from None
    if session is None or session.close > desk.clock.now():
        raise UsageError(f"{options.session} is no session that is over", "tradekit schedule show")
    return [session]


def _past(desk: Desk, day: date) -> Performance:
    known = desk.store.days.on(day)
    session = desk.calendar.on(day)
    if known or session is None:
        assert known is not None
        return known
    found, *others = with_drawdowns(desk, rebuilt_row(desk, session))
    with desk.store.transaction(low=True):
        desk.store.days.add(found)
        desk.store.days.save(*others)
        event(desk, "snapshot.rebuilt", session=str(day))
    return found


def track(desk: Desk) -> list[Mark]:
    """Score every open position for a reversal and count the checks in which the market was dead."""
    reconcile(desk)
    _check_dead(desk)
    marks: list[Mark] = []
    checks: list[PositionCheck] = []
    before: dict[str, int | None] = {}
    for position in desk.store.positions.open():
        mark = desk.store.marks.get(position.id)
        if mark is None or _judged(desk, mark):
            continue
        before[position.id] = mark.reversal_score
        scored, reversal = _scored(desk, position, mark)
        marks.append(scored)
        checks.append(_check(desk, position, scored, reversal))
    with desk.store.transaction(low=True):
        desk.store.marks.save(marks, Marks.SAID)
        desk.store.position_checks.add_many(checks)
    for mark in marks:
        _warn(desk, mark, before.get(mark.position_id))
    desk.count("tracked", len(marks))
    return marks


def _judged(desk: Desk, mark: Mark) -> bool:
    every = timedelta(seconds=desk.settings.exits.reversal_every_s)
    return mark.reversal_at is not None and desk.clock.now() - mark.reversal_at < every


def _scored(desk: Desk, position: Position, mark: Mark) -> tuple[Mark, Reversal | None]:
    now = desk.clock.now()
    session = desk.calendar.day(now)
    history = desk.market.daily(position.symbol, session, 60)
    today = desk.market.day_bars(position.symbol, session, now)
    if not history or not today:
        return msgspec.structs.replace(mark, reversal_at=now, reversal_score=None), None
    surge = desk.market.surge(position.symbol, session, now)
    found = reversal_score(
        History(
            [bar.high for bar in history],
            [bar.low for bar in history],
            [bar.close for bar in history],
        ),
        Today(
            open=today[0].open,
            high=max(bar.high for bar in today),
            low=min(bar.low for bar in today),
            price=today[-1].close,
            surge=nan if surge is None else surge,
        ),
    )
    return msgspec.structs.replace(mark, reversal_at=now, reversal_score=found.score, note=found.because), found


def _check(desk: Desk, position: Position, mark: Mark, reversal: Reversal | None) -> PositionCheck:
    """Best and worst of the bars that began after the entry; the marks, which move the trail, are left to the exits."""
    now, entry = desk.clock.now(), position.avg_price
    bars = [bar for bar in desk.market.bars(position.symbol, position.opened_at, now) if bar.regular]
    top = max(bars, key=lambda bar: bar.high, default=None)
    high = dec(round(top.high, 10)) if top else None
    low = dec(round(min(bar.low for bar in bars), 10)) if bars else None
    price = dec(round(bars[-1].close, 10)) if bars else mark.last_price
    sign = 1 if position.side == "long" else -1
    best, worst = (high, low) if sign > 0 else (low, high)
    won = None if price is None else book(sign * (price - entry) * position.qty, desk.settings.desk.currency)
    return PositionCheck(
        id=f"{position.id}-{stamp(now)}",
        position_id=position.id,
        symbol=position.symbol,
        session=desk.calendar.day(now),
        at=now,
        price=price,
        high=high,
        low=low,
        high_at=top.end if top else None,
        mfe=None if best is None else float(sign * (best / entry - 1)),
        mae=None if worst is None else float(sign * (worst / entry - 1)),
        unrealized=won,
        stop_price=mark.stop_price,
        reversal_score=mark.reversal_score,
        signs=", ".join(part.name for part in reversal.parts) if reversal else None,
    )


def _warn(desk: Desk, mark: Mark, before: int | None) -> None:
    """Say it when the score has risen; one that stands is in the marks."""
    score = mark.reversal_score
    if score is None or score < desk.settings.exits.reversal_alert or score <= (before or 0):
        return
    position = desk.store.positions.get(mark.position_id)
    if position is not None:
        alert(
            desk,
            "reversal",
            f"{position.symbol}: {mark.note}",
            symbol=position.symbol,
            ref=position.id,
            score=mark.reversal_score,
        )


def _check_dead(desk: Desk) -> None:
    """Checks in a row with a benchmark half hour under a share of its usual range make the session dead."""
    rules, benchmark, now = desk.settings.regime, desk.settings.desk.benchmark, desk.clock.now()
    if benchmark is None:
        return
    session = desk.calendar.day(now)
    ranges = desk.market.half_hour_range(benchmark, session, now)
    key = f"dead:{session}"
    before = int(desk.store.meta.get(key) or 0)
    if ranges is None:
        return
    found, usual = ranges
    count = before + 1 if found < rules.dead_share * usual else 0
    if count == before:
        return
    with desk.store.transaction():
        desk.store.meta.set(key, str(count))
        if count == rules.dead_checks:
            desk.store.meta.set("dead_session", session.isoformat())
            alert(
                desk,
                "regime-dead",
                f"{benchmark}: half-hour range {found:g} against a usual {usual:g}",
                symbol=benchmark,
            )
        elif count == 0 and desk.store.meta.get("dead_session"):
            desk.store.meta.set("dead_session", None)
            event(desk, "regime.alive", symbol=benchmark)
