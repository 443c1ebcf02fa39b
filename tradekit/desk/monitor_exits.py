"""One pass over the managed positions: catch up, mark, ask the exit rules, sell what they say, protect the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isnan

import msgspec

from tradekit.desk.desk import Desk
from tradekit.desk.end_of_day import end_of_day_order, warn_late
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.halts import raise_automatic_halts
from tradekit.desk.plans import held_of, plan_levels
from tradekit.desk.protect import protect
from tradekit.desk.reconcile import catch_up, warn_unknown
from tradekit.desk.sell import sell, working_exit
from tradekit.desk.state import account, fresh_limit_s, regime_now
from tradekit.errors import UpstreamError
from tradekit.exits import NO_STATE, advance, judge, judge_without_price, level_in_force
from tradekit.exits.base import Bar, Found, Held, Plan, State
from tradekit.model import Mark, Order, Position, PriceBar, Quote
from tradekit.money import dec

RESTING_RULES = (
    "hard-stop",
    "trailing-stop",
)  # a level that a long bar went through is where we got out


@dataclass(frozen=True)
class MonitorOptions:
    """monitor-exits takes no options that change what it does."""


@dataclass(frozen=True)
class Seen:
    """What one pass found for one position."""

    mark: Mark
    found: Found | None
    bar: PriceBar | None  # the complete bar that asked for the exit; None: the time did, or a quote


def monitor_exits(desk: Desk, options: MonitorOptions | None = None) -> list[Order]:
    """One pass. Safe to run at any time and at any rate: a position whose sell order is working is left alone."""
    catch_up(desk)
    positions = desk.store.positions.open()
    if not positions:
        if desk.counts.get("closed"):  # a resting stop took the last one out
            raise_automatic_halts(desk, account(desk))
        warn_unknown(desk)
        return []
    halts = desk.store.halts.open()
    flatten, dead = any(halt.flatten for halt in halts), regime_now(desk) == "dead"
    known, closes = desk.store.marks.of_open(), desk.store.decisions.asked_to_close()
    orders, marks = [], []
    for position in positions:
        mark = known.get(position.id) or _first_mark(desk, position)
        state = state_of(desk, position, mark, flatten=flatten, dead=dead, close_asked=position.id in closes)
        seen = look(desk, position, mark, state)
        order = leave(desk, position, seen)
        if order is not None:
            orders.append(order)
        marks.append(seen.mark if order is None else widened(seen.mark, seen.bar))
    save_marks(desk, marks)
    protect_all(desk, {mark.position_id: mark for mark in marks})
    raise_automatic_halts(desk, account(desk))
    warn_unknown(desk)
    desk.count("positions", len(positions))
    return orders


def look(desk: Desk, position: Position, mark: Mark, state: State) -> Seen:
    """Judge the complete bars since the last pass, in order, then the present moment."""
    plan, held = plan_levels(desk, position), held_of(position, mark)
    now = desk.clock.now()
    judged_to, found, low = mark.judged_to, None, float(mark.low or position.avg_price)
    last = None
    for bar in desk.market.bars(position.symbol, mark.judged_to, now):
        if not bar.regular:
            continue
        last = bar
        found = judge(held, _bar(bar), plan, NO_STATE)
        if found:
            break
        held, judged_to, low = (
            advance(held, _bar(bar), plan),
            bar.end,
            min(low, bar.low),
        )
    asked, price = last if found else None, desk.market.quote(position.symbol, now)
    if not found:
        found = judge_now(desk, price, now, held, plan, state, judged_to)
    level = level_in_force(held, plan)
    changed = msgspec.structs.replace(
        mark,
        at=now,
        judged_to=judged_to,
        last_price=price.last if price else mark.last_price,
        high=dec(round(held.high, 10)),
        low=dec(round(low, 10)),
        target_hit=held.armed and plan.arm,
        stop_price=None if isnan(level) else dec(round(level, 10)),
    )
    return Seen(changed, found, asked)


def widened(mark: Mark, bar: PriceBar | None) -> Mark:
    """With the bar that ended the position: its range counts for MFE and MAE, but never for its own trail."""
    if bar is None or mark.high is None or mark.low is None:
        return mark
    return msgspec.structs.replace(
        mark, high=max(mark.high, dec(round(bar.high, 10))), low=min(mark.low, dec(round(bar.low, 10)))
    )


def judge_now(
    desk: Desk,
    seen: Quote | None,
    now: datetime,
    held: Held,
    plan: Plan,
    state: State,
    judged_to: datetime,
) -> Found | None:
    """A bar made of the trigger price. What is not newer than the judged bars moves no price rule, only timed ones."""
    fresh = (
        seen is not None and seen.at > judged_to and (now - seen.at).total_seconds() <= fresh_limit_s(desk, seen.symbol)
    )
    if fresh and seen is not None:
        price = _trigger_price(
            seen.last,
            seen.mid,
            seen.bid,
            seen.ask,
            (now - seen.last_at).total_seconds(),
        )
        if price is not None:
            return judge(held, _moment(now, price), plan, state)
    return judge_without_price(held, now.timestamp(), plan, state)


def _trigger_price(last: Decimal, mid: Decimal, bid: Decimal, ask: Decimal, last_age_s: float) -> float | None:
    """The last trade where it is fresh and inside the quote, else the mid of a spread of at most 1 %, else none."""
    trade, middle, low, high = (float(x) for x in (last, mid, bid, ask))
    if last_age_s <= 10 and low <= trade <= high:
        return trade
    return middle if middle > 0 and (high - low) / middle <= 0.01 else None


def state_of(desk: Desk, position: Position, mark: Mark, *, flatten: bool, dead: bool, close_asked: bool) -> State:
    """What the rules know beside the bar."""
    closing = desk.settings.exits.reversal_close
    return State(
        kill=flatten,
        regime_dead=dead and position.intent == "day",
        reversal=mark.reversal_score is not None and mark.reversal_score >= closing,
        close_asked=close_asked,
    )


def leave(desk: Desk, position: Position, seen: Seen) -> Order | None:
    """Send the exit that was found, as the hour allows."""
    found = seen.found
    if found is None:
        return None
    event_ref = position.id
    if found.rule == "end-of-day":
        return end_of_day_order(desk, position, found)
    working = working_exit(desk, position)
    if working is not None:
        return None
    session = desk.calendar.on(desk.calendar.day(desk.clock.now()))
    after_close = session is not None and not desk.calendar.around_the_clock and desk.clock.now() >= session.close
    inside = found.rule in RESTING_RULES and seen.bar is not None
    order = sell(
        desk,
        position,
        purpose="exit",
        reason=found.rule,
        because=found.because,
        level=level_of(found, position),
        trigger_at=seen.bar.start if inside and seen.bar is not None else None,
        on_open=after_close,
    )
    if order is not None:
        event(
            desk,
            "exit",
            symbol=position.symbol,
            ref=order.id,
            rule=found.rule,
            because=found.because,
            position=event_ref,
        )
        _close_used(desk, position)
        if after_close and desk.store.orders.get(order.id) is not None:
            alert(
                desk,
                "exit-at-open",
                f"{position.symbol}: {found.rule} in the last bar; sold at the next open",
                symbol=position.symbol,
                ref=order.id,
            )
    return order


def level_of(found: Found, position: Position) -> Decimal | None:
    """The price that asked for the exit; a rule without one names the last price known."""
    return position.last_price if isnan(found.price) else dec(round(found.price, 10))


def _close_used(desk: Desk, position: Position) -> None:
    decision = desk.store.decisions.closing(position.id)
    if decision is not None:
        desk.store.decisions.set_status(decision.id, "used")


def save_marks(desk: Desk, marks: list[Mark]) -> None:
    """All marks of the pass in one transaction, without those whose position is gone."""
    still = {position.id for position in desk.store.positions.open()}
    desk.store.marks.save([mark for mark in marks if mark.position_id in still])


def protect_all(desk: Desk, marks: dict[str, Mark]) -> None:
    """A resting stop for every open position; `marks` are those that this pass has written."""
    live: dict[str, list[Order]] = {}
    for order in desk.store.orders.live():
        live.setdefault(order.symbol, []).append(order)
    for position in desk.store.positions.open():
        mark = marks.get(position.id) or desk.store.marks.get(position.id)
        keep_protected(desk, position, mark, live.get(position.symbol, []))


def keep_protected(desk: Desk, position: Position, mark: Mark | None, live: list[Order]) -> None:
    """A resting stop for a position that is not on its way out, and the desk's own level told to the venue."""
    if working_exit(desk, position, live) is None:
        protect(desk, position, mark, live)
        warn_late(desk, position)
    desk.broker.guard(position.symbol, mark.stop_price if mark else None)


def _first_mark(desk: Desk, position: Position) -> Mark:
    return Mark(
        position_id=position.id,
        at=desk.clock.now(),
        judged_to=position.opened_at,
        high=position.avg_price,
        low=position.avg_price,
    )


def _bar(bar: PriceBar) -> Bar:
    return Bar(
        bar.start.timestamp(),
        bar.end.timestamp(),
        bar.open,
        bar.high,
        bar.low,
        bar.close,
    )


def _moment(now: datetime, price: float) -> Bar:
    at = now.timestamp()
    return Bar(at, at, price, price, price, price)


def keep_monitoring(desk: Desk, pause_s: float) -> Iterator[list[Order]]:
    """A pass every `pause_s` seconds until somebody interrupts; a venue or data failure ends a pass, not the loop."""
    while True:
        started = desk.clock.monotonic()
        try:
            yield monitor_exits(desk)
        except UpstreamError as problem:
            alert_once(
                desk,
                "exits-failing",
                f"a pass of the exit rules failed: {problem.message}",
                every_s=300,
            )
        desk.count("passes")
        desk.clock.sleep(max(0.0, pause_s - (desk.clock.monotonic() - started)))
