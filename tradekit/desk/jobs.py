"""Housekeeping by the clock: the day's account row, the half-hourly look at reversals and at a dead market."""

from datetime import timedelta
from math import nan

import msgspec

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, event
from tradekit.desk.reconcile import reconcile
from tradekit.desk.state import account
from tradekit.exits.reversal_score import History, Today, reversal_score
from tradekit.model import Account, Mark, Position

DEAD_CHECKS = 3
DEAD_SHARE = 0.25


def snapshot(desk: Desk) -> list[Account]:
    """One account row a session; a repeat gives the stored row."""
    reconcile(desk)
    today = desk.calendar.day(desk.clock.now())
    known = desk.store.account.all(session=today)
    if known:
        return known[-1:]
    row = account(desk)
    with desk.store.transaction(low=True):
        desk.store.account.add(row)
        event(desk, "snapshot", equity=str(row.desk_equity))
    return [row]


def track(desk: Desk) -> list[Mark]:
    """Score every open position for a reversal and count the checks in which the market was dead."""
    reconcile(desk)
    _check_dead(desk)
    marks: list[Mark] = []
    before: dict[str, int | None] = {}
    for position in desk.store.positions.open():
        mark = desk.store.marks.get(position.id)
        if mark is None or _judged(desk, mark):
            continue
        before[position.id] = mark.reversal_score
        marks.append(_scored(desk, position, mark))
    desk.store.marks.save(marks)
    for mark in marks:
        _warn(desk, mark, before.get(mark.position_id))
    desk.count("tracked", len(marks))
    return marks


def _judged(desk: Desk, mark: Mark) -> bool:
    every = timedelta(seconds=desk.settings.exits.reversal_every_s)
    return mark.reversal_at is not None and desk.clock.now() - mark.reversal_at < every


def _scored(desk: Desk, position: Position, mark: Mark) -> Mark:
    now = desk.clock.now()
    session = desk.calendar.day(now)
    history = desk.market.daily(position.symbol, session, 60)
    today = desk.market.day_bars(position.symbol, session, now)
    if not history or not today:
        return msgspec.structs.replace(mark, reversal_at=now, reversal_score=None)
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
    return msgspec.structs.replace(mark, reversal_at=now, reversal_score=found.score, note=found.because)


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
    """Three checks running with a benchmark half hour under a quarter of its usual range make the session dead."""
    benchmark, now = desk.settings.desk.benchmark, desk.clock.now()
    if benchmark is None:
        return
    session = desk.calendar.day(now)
    ranges = desk.market.half_hour_range(benchmark, session, now)
    key = f"dead:{session}"
    before = int(desk.store.meta.get(key) or 0)
    if ranges is None:
        return
    found, usual = ranges
    count = before + 1 if found < DEAD_SHARE * usual else 0
    if count == before:
        return
    with desk.store.transaction():
        desk.store.meta.set(key, str(count))
        if count == DEAD_CHECKS:
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
