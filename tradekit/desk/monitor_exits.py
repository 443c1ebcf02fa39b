"""One pass over the managed positions: catch up, mark, ask the exit rules, sell what they say, protect the rest."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import isnan

import msgspec

from tradekit.base.deadline import within
from tradekit.desk.desk import Desk
from tradekit.desk.end_of_day import end_of_day_order, warn_late
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.extended import gives_way, tries
from tradekit.desk.frozen import UNPRICED, frozen
from tradekit.desk.in_time import bounded, in_time, one_symbol
from tradekit.desk.pauses import silence
from tradekit.desk.plans import held_of, plan_levels
from tradekit.desk.prices import fresh_limit_s, quote
from tradekit.desk.protect import protect
from tradekit.desk.reconcile import warn_unknown
from tradekit.desk.sell import sell, was_refused, working_exit
from tradekit.desk.state import regime_now
from tradekit.desk.triggered import escalate_triggered
from tradekit.desk.trouble import count_the_day, try_to_catch_up, warn_stale
from tradekit.errors import Busy, StoreError, UpstreamError, UsageError
from tradekit.exits import LEVELS, NO_STATE, advance, judge, judge_without_price, level_in_force
from tradekit.exits.base import Bar, Found, Held, Plan, State
from tradekit.model import Mark, Order, Position, PriceBar, Quote
from tradekit.money import dec
from tradekit.store.positions import Marks

RESTING_RULES = (
    "hard-stop",
    "trailing-stop",
)  # a level that a long bar went through is where we got out
ALERT_S = 1.0  # an alert about a lock waits no longer for it: the next pass comes first


@dataclass(frozen=True)
class MonitorOptions:
    """monitor-exits takes no options that change what it does."""


@dataclass(frozen=True)
class Seen:
    """What one pass found for one position."""

    mark: Mark
    found: Found | None
    bar: PriceBar | None  # the complete bar that asked for the exit; None: the time did, or a quote
    since: Sequence[PriceBar] = ()  # that bar and those after it: the position is held through them all the same


def monitor_exits(desk: Desk, options: MonitorOptions | None = None) -> list[Order]:
    """One pass. Safe to run at any time and at any rate: a position whose sell order is working is left alone.

    What fails for one symbol stops no other one. Raises the venue's error, after everything else, where catching up
    with it failed; the sells go out all the same, capped by what it says it holds.
    """
    trouble = try_to_catch_up(desk)
    positions = desk.store.positions.open()
    if not positions:
        if desk.counts.get("closed"):  # a resting stop took the last one out
            count_the_day(desk, trouble.account)
        warn_unknown(desk)
        if trouble.problem is not None:
            raise trouble.problem
        return []
    orders, marks = escalate_triggered(desk, trouble.listed), []
    known, state_for = desk.store.marks.of_open(), _states(desk)
    unscaled = {symbol for kind, symbol in frozen(desk) if kind in UNPRICED}
    for position in in_time(desk, positions):
        mark = known.get(position.id) or _first_mark(desk, position)
        with one_symbol(desk, position.symbol):
            seen = look(desk, position, mark, state_for(position, mark), priced=position.symbol not in unscaled)
            marks.append(seen.mark)
            order = leave(desk, position, seen)
            if order is not None:
                orders.append(order)
            if seen.since and (order is not None or working_exit(desk, position)):
                marks[-1] = widened(seen.mark, seen.since)
    save_marks(desk, marks)
    orders += protect_all(desk, {mark.position_id: mark for mark in marks})
    count_the_day(desk, trouble.account)
    warn_unknown(desk)
    desk.count("positions", len(positions))
    if trouble.problem is not None:
        raise trouble.problem
    return orders


def _states(desk: Desk) -> Callable[[Position, Mark], State]:
    halts = desk.store.halts.open()
    flatten, dead = any(halt.flatten for halt in halts), regime_now(desk) == "dead"
    closes = desk.store.decisions.asked_to_close() | desk.store.orders.still_asked()

    def state(position: Position, mark: Mark) -> State:
        return state_of(desk, position, mark, flatten=flatten, dead=dead, close_asked=position.id in closes)

    return state


def look(desk: Desk, position: Position, mark: Mark, state: State, *, priced: bool = True) -> Seen:
    """Judge the complete bars since the last pass, in order, then the present moment.

    Without data, or with prices that a split may have moved (`priced` is False), only the rules that need no price
    are judged.
    """
    known = _bars(desk, position.symbol, mark.judged_to) if priced else None
    if known is None:
        return _blind(desk, position, mark, state)
    bars = [bar for bar in known if bar.regular]
    plan, held = plan_levels(desk, position), held_of(position, mark)
    now = desk.clock.now()
    judged_to, found, low = mark.judged_to, None, float(mark.low or position.avg_price)
    since: Sequence[PriceBar] = ()
    for i, bar in enumerate(bars):
        found = judge(held, _bar(bar), plan, NO_STATE)
        if found:
            since = bars[i:]
            break
        held, judged_to, low = (
            advance(held, _bar(bar), plan),
            bar.end,
            min(low, bar.low),
        )
    price = quote(desk, position.symbol)
    if not found:
        trigger = None if price is None else _fresh_trigger(desk, price, now, judged_to)
        found = judge_now(desk, price, trigger, now, held, plan, state)
        if (
            not found
            and trigger is not None
            and desk.market.bar_seconds(position.symbol, desk.calendar.day(now)) is None
        ):
            # where bars come, the one that is running brings this price too, and is judged by what was known before it
            held, low = advance(held, _moment(now, trigger), plan), min(low, trigger)
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
    return Seen(changed, found, since[0] if since else None, since)


def _bars(desk: Desk, symbol: str, since: datetime) -> Sequence[PriceBar] | None:
    """The bars since then; None where the data source breaks down."""
    try:
        return desk.market.bars(symbol, since, desk.clock.now())
    except Exception as problem:
        message = f"{symbol}: no bars: {type(problem).__name__}: {problem}; its price rules wait"
        alert_once(desk, "exits-blind", message, symbol=symbol, every_s=300)
        return None


def _blind(desk: Desk, position: Position, mark: Mark, state: State) -> Seen:
    """Time, kill switch, decisions and the end of the day need no price."""
    now = desk.clock.now()
    found = judge_without_price(held_of(position, mark), now.timestamp(), plan_levels(desk, position), state)
    return Seen(msgspec.structs.replace(mark, at=now), found, None)


def widened(mark: Mark, bars: Sequence[PriceBar]) -> Mark:
    """With the bars from the one that asked for the exit on: their range counts for MFE and MAE."""
    if mark.high is None or mark.low is None:
        return mark
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    return msgspec.structs.replace(
        mark, high=max(mark.high, dec(round(high, 10))), low=min(mark.low, dec(round(low, 10)))
    )


def judge_now(
    desk: Desk, seen: Quote | None, trigger: float | None, now: datetime, held: Held, plan: Plan, state: State
) -> Found | None:
    """A bar made of the trigger price; without one only the timed rules are judged."""
    if seen is not None and trigger is not None:
        found = judge(held, _moment(now, trigger), plan, state)
        sure = found is None or found.rule not in RESTING_RULES or trigger == float(seen.last)
        if sure or _seen_again(desk, seen, held, plan):
            return found
    return judge_without_price(held, now.timestamp(), plan, state)


def _fresh_trigger(desk: Desk, seen: Quote, now: datetime, judged_to: datetime) -> float | None:
    """The trigger price where it is fresh and newer than the bars that were judged."""
    if seen.at <= judged_to or (now - seen.at).total_seconds() > fresh_limit_s(desk, seen.symbol):
        return None
    return _trigger_price(desk, seen, now)


def _seen_again(desk: Desk, first: Quote, held: Held, plan: Plan) -> bool:
    """A stop that only a quote touched needs a second look: one bad tick sells nothing."""
    desk.clock.sleep(desk.settings.exits.second_look_s)
    now, again = desk.clock.now(), quote(desk, first.symbol)
    if again is None or again.at <= first.at:
        return False  # nothing newer to look at; the next pass asks again
    price = _trigger_price(desk, again, now)
    found = None if price is None else judge(held, _moment(now, price), plan, NO_STATE)
    return found is not None and found.rule in RESTING_RULES


def _trigger_price(desk: Desk, seen: Quote, now: datetime) -> float | None:
    """The last trade where it is fresh and inside the quote, else the mid where its spread is narrow, else none."""
    rules = desk.settings.exits
    trade, middle, low, high = (float(x) for x in (seen.last, seen.mid, seen.bid, seen.ask))
    if (now - seen.last_at).total_seconds() <= rules.trade_fresh_s and low <= trade <= high:
        return trade
    return middle if middle > 0 and (high - low) / middle <= rules.widest_quote else None


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
    working = working_exit(desk, position)
    if found.rule == "end-of-day":
        return end_of_day_order(desk, position, found.because, seen.mark.last_price)
    if working is not None and working.reason == "end-of-day":  # what else is true by now does not hold the close up
        return end_of_day_order(desk, position, working.because, seen.mark.last_price)
    most = None if found.rule == "decision" else desk.settings.exits.max_discount  # what was said of a CLOSE binds it
    if working is not None and not gives_way(desk, position, working, most):
        warn_halted(desk, working)
        return None
    session = desk.calendar.on(desk.calendar.day(desk.clock.now()))
    after_close = session is not None and not desk.calendar.around_the_clock and desk.clock.now() >= session.close
    on_open = after_close and not tries(desk, position)  # limits that are giving way already go on doing so
    decided = working if working is not None and working.reason == "decision" else None  # asked for until it is sold
    reason, because = (found.rule, found.because) if decided is None else (decided.reason, decided.because)
    inside = reason in RESTING_RULES and seen.bar is not None
    order = sell(
        desk,
        position,
        purpose="exit",
        reason=reason,
        because=because,
        level=level_of(found, seen.mark),
        trigger_at=seen.bar.start if inside and seen.bar is not None else None,
        instead_of=working,
        on_open=on_open,
        discount=most,
    )
    if order is not None:
        event(
            desk,
            "exit",
            symbol=position.symbol,
            ref=order.id,
            rule=reason,
            because=because,
            position=event_ref,
        )
        if on_open and not was_refused(order):
            alert(
                desk,
                "exit-at-open",
                f"{position.symbol}: {reason}, and the market has closed; sold at the next open",
                symbol=position.symbol,
                ref=order.id,
            )
    return order


def warn_halted(desk: Desk, working: Order) -> None:
    """A sell that rests because nothing trades: said once, left alone until the reopening."""
    session = desk.calendar.at(desk.clock.now())
    seen = quote(desk, working.symbol)
    if session is None or (seen is not None and seen.at > working.created_at):
        return
    if desk.clock.now() - max(working.created_at, session.open) >= silence(desk):
        message = f"{working.symbol}: no quotes; {working.id} rests for the reopening"
        alert_once(desk, "halted", message, symbol=working.symbol, ref=working.id, every_s=86400)


def level_of(found: Found, mark: Mark) -> Decimal | None:
    """The price that asked for the exit; for a rule that names none, the last price that this pass has seen."""
    return dec(round(found.price, 10)) if found.rule in LEVELS and not isnan(found.price) else mark.last_price


def save_marks(desk: Desk, marks: list[Mark]) -> None:
    """All marks of the pass in one transaction, without those whose position is gone."""
    still = {position.id for position in desk.store.positions.open()}
    desk.store.marks.save([mark for mark in marks if mark.position_id in still], Marks.SEEN)


def protect_all(desk: Desk, marks: dict[str, Mark]) -> list[Order]:
    """A resting stop for every open position; `marks` are those that this pass has written. Gives the sells that
    took the place of a stop that could not be placed.
    """
    live: dict[str, list[Order]] = {}
    for order in desk.store.orders.live():
        live.setdefault(order.symbol, []).append(order)
    sold, levels = [], {}
    for position in in_time(desk, desk.store.positions.open()):
        with one_symbol(desk, position.symbol):
            mark = marks.get(position.id) or desk.store.marks.get(position.id)
            sent = keep_protected(desk, position, mark, live.get(position.symbol, []))
            if sent is not None and sent.purpose != "protect":
                sold.append(sent)
            levels[position.symbol] = mark.stop_price if mark else None
    tell_levels(desk, levels)
    return sold


def tell_levels(desk: Desk, levels: Mapping[str, Decimal | None]) -> None:
    """The desk's own levels, for a venue that simulates; what it was not told it is told at the next pass."""
    try:
        desk.broker.guard(levels)
    except (StoreError, UsageError):
        raise
    except Exception as problem:
        if isinstance(problem, Busy) and not problem.no_time:
            raise
        message = f"the venue was not told the desk's own levels: {type(problem).__name__}: {problem}"
        alert_once(desk, "exits-failing", message, every_s=300)


def keep_protected(desk: Desk, position: Position, mark: Mark | None, live: list[Order]) -> Order | None:
    """A resting stop for a position that is not on its way out."""
    order = None
    if working_exit(desk, position, live) is None:
        order = protect(desk, position, mark, live)
    warn_late(desk, position)
    warn_stale(desk, position)
    return order


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
    """A pass every `pause_s` seconds until somebody interrupts; a failure of venue or data, or a lock that somebody
    else holds, ends a pass, not the loop.
    """
    while True:
        started = desk.clock.monotonic()
        try:
            with bounded(desk, "monitor-exits", alarm=False):
                orders = monitor_exits(desk)
            yield orders
        except (UpstreamError, Busy) as problem:
            _say_failed(desk, f"a pass of the exit rules failed: {problem.message}")
        desk.count("passes")
        desk.clock.sleep(max(0.0, pause_s - (desk.clock.monotonic() - started)))


def _say_failed(desk: Desk, message: str) -> None:
    try:
        with within(ALERT_S):
            alert_once(desk, "exits-failing", message, every_s=300)
    except Busy:  # nothing can be written just now
        desk.say(message)
