"""From decisions to orders: closes first, then the buys in order, each through the whole risk gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from math import isnan

from tradekit.desk.claims import claim
from tradekit.desk.desk import Desk
from tradekit.desk.dust import too_small
from tradekit.desk.events import event
from tradekit.desk.in_time import in_time, unless_over
from tradekit.desk.orders import new_order, send
from tradekit.desk.plans import average_true_range, plan_of
from tradekit.desk.pretrade import Ask
from tradekit.desk.prices import quote
from tradekit.desk.reconcile import catch_up, reconcile
from tradekit.desk.sell import sell
from tradekit.desk.state import regime_now
from tradekit.desk.trouble import count_the_day
from tradekit.errors import Refused, UsageError
from tradekit.exits import levels
from tradekit.ids import position_id
from tradekit.model import LIVE_STATUSES, Decision, ExitPlan, Order, OrderType, Quote, RiskCheck, Tif
from tradekit.money import ZERO, ceil_tick, dec
from tradekit.risk import refusal
from tradekit.risk.base import Proposal, Verdict
from tradekit.risk.sizing import size, why_zero


@dataclass(frozen=True)
class EnterOptions:
    """`ids`: the decisions that the caller named (a pipe); None: everything that is pending."""

    max_buys: int | None = None
    moo: bool = False
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Entered:
    """What enter did: the orders, then the vetoes. `refused`: the caller named decisions and none got through."""

    orders: list[Order]
    vetoes: list[RiskCheck]
    refused: bool


def enter(desk: Desk, options: EnterOptions) -> Entered:
    """Turn decisions into orders. A decision is used once; a repeat gives the stored orders and vetoes again."""
    if options.ids or desk.store.decisions.pending():
        reconcile(desk)
    else:
        catch_up(desk)
    decisions = chosen(desk, options)
    pending = [decision for decision in decisions if decision.status == "pending"]
    closes = in_time(desk, [decision for decision in pending if decision.action == "CLOSE"])
    orders = []
    for decision in closes:
        with unless_over(desk, decision.symbol):
            orders += [order for order in [close(desk, decision)] if order is not None]
    buys = sorted(
        (d for d in pending if d.action == "BUY" and (d.order_kind == "moo") == options.moo),
        key=_rank,
    )
    vetoes: list[RiskCheck] = []
    if buys:
        count_the_day(desk)  # a flat desk has numbers too: halts are raised before anything is bought
    bought = 0
    for decision in in_time(desk, buys):
        if options.max_buys is not None and bought >= options.max_buys:
            break
        order, veto = None, None
        with unless_over(desk, decision.symbol):
            order, veto = buy(desk, decision)
        if order is not None:
            orders.append(order)
            bought += order.status != "rejected"
        if veto is not None:
            vetoes.append(veto)
    if options.ids is not None:
        orders, vetoes = _stored(desk, decisions)
    elif not pending:
        orders, vetoes = _of_this_minute(desk)
    return Entered(orders, vetoes, refused=bool(options.ids) and bool(vetoes) and not orders)


def chosen(desk: Desk, options: EnterOptions) -> list[Decision]:
    """The decisions to work on. UsageError where a named one is not in the store."""
    if options.ids is None:
        return desk.store.decisions.pending()
    found = []
    for name in options.ids:
        decision = desk.store.decisions.get(name)
        if decision is None:
            raise UsageError(
                f"enter: there is no decision {name} in this desk",
                "pipe what `tradekit decide --jsonl` printed",
            )
        found.append(decision)
    return found


def _rank(decision: Decision) -> tuple[float, float, str]:
    """Score, then RVOL, then symbol."""
    return -(decision.score or 0.0), -(decision.rvol or 0.0), decision.symbol


def _stored(desk: Desk, decisions: Sequence[Decision]) -> tuple[list[Order], list[RiskCheck]]:
    orders = [order for d in decisions for order in _orders_of(desk, d)]
    vetoes = [row for d in decisions for row in desk.store.risk_checks.for_decision(d.id) if row.verdict == "vetoed"]
    return orders, vetoes


def _of_this_minute(desk: Desk) -> tuple[list[Order], list[RiskCheck]]:
    """What a run of the same minute sent and refused: there is nothing new, so it is shown again."""
    since = desk.clock.now().replace(second=0, microsecond=0)
    made = desk.store.orders.created_since(since)
    vetoes = [row for row in desk.store.risk_checks.all(since=since) if row.verdict == "vetoed" and row.decision_id]
    return [order for order in made if order.purpose == "entry" or order.reason == "decision"], vetoes


def _orders_of(desk: Desk, decision: Decision) -> list[Order]:
    """What became of a decision: its entry, or the sells of the position that it closes."""
    if decision.action == "CLOSE" and decision.position_id:
        sells = desk.store.orders.for_position(decision.position_id)
        return [order for order in sells if order.reason == "decision" and order.created_at >= decision.at]
    return [order for order in desk.store.orders.for_decision(decision.id) if order.purpose in ("entry", "exit")]


def close(desk: Desk, decision: Decision) -> Order | None:
    """Sell what a decision closes; the next pass of monitor-exits does it too, whoever comes first."""
    position = desk.store.positions.open_for(decision.symbol)
    if position is None or position.id != decision.position_id:  # closed since; another one may be open by now
        desk.store.decisions.set_status(decision.id, "used")
        return None
    return sell(desk, position, purpose="exit", reason="decision", because=decision.because)


def buy(desk: Desk, decision: Decision) -> tuple[Order | None, RiskCheck | None]:
    """One entry: price, size, gate, order. Gives the order, or the veto that stopped it."""
    seen = quote(desk, decision.symbol)
    early = _too_early_or_late(desk, decision) or _chased(desk, decision, seen)
    if early is not None:
        return None, _end(desk, decision, "expired", early)
    limit, reference = prices(desk, decision, seen)
    entry, veto = propose(desk, decision, limit, reference)
    if entry is None or limit is None:
        return None, _end(
            desk,
            decision,
            "refused",
            veto or Verdict(rule="stale-quote", approved=False, because="no quote"),
        )
    order = _order(desk, decision, entry)
    refused: list[RiskCheck] = []

    def record(verdicts: Sequence[Verdict]) -> None:
        """Written in the transaction of the intent: what the rules saw is what the order stands on."""
        no = refusal(verdicts)
        if no is not None:
            refused.append(_end(desk, decision, "refused", no))
            return
        because = f"{len(verdicts)} rules passed"
        passed = Verdict(rule="gate", approved=True, because=because, limits=_passed(verdicts))
        desk.store.risk_checks.add(_check(desk, decision, order.id, passed))
        desk.store.decisions.set_status(decision.id, "used")
        claim(desk, decision.symbol)

    sent = send(desk, order, Ask(entry, entries_of_scan(desk, decision), record))
    if sent is not None:
        desk.count("orders")
    return sent, (refused[0] if refused else None)


def entries_of_scan(desk: Desk, decision: Decision) -> int:
    """Entry orders of this session, filled or working, that came from the same scan as this decision."""
    scan, found = _scan_of(desk, decision), 0
    for order in desk.store.orders.all(session=desk.calendar.day(desk.clock.now())):
        counts = order.purpose == "entry" and (order.filled_qty > 0 or order.status in LIVE_STATUSES)
        other = desk.store.decisions.get(order.decision_id) if counts and order.decision_id else None
        found += other is not None and _scan_of(desk, other) == scan
    return found


def _scan_of(desk: Desk, decision: Decision) -> str:
    candidate = desk.store.candidates.get(decision.candidate_id) if decision.candidate_id else None
    return candidate.scan_id if candidate else f"{decision.at}"


def _passed(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """What each rule said, for `why`; rules that could not apply say so."""
    return {verdict.rule: verdict.because for verdict in verdicts}


def _too_early_or_late(desk: Desk, decision: Decision) -> Verdict | None:
    """On-open orders go in the last half hour before the open; venues refuse them two minutes before it."""
    if decision.order_kind != "moo":
        return None
    now = desk.clock.now()
    session = desk.calendar.on(desk.calendar.day(now))
    if session is None:
        return Verdict(
            rule="market-open",
            approved=False,
            because="no session today; the decision is over",
        )
    rules = desk.settings.entry
    first = session.open - timedelta(seconds=rules.on_open_from_s)
    last = session.open - timedelta(seconds=rules.on_open_until_s)
    if not first <= now < last:
        because = f"on-open orders go from {first:%H:%M} to {last:%H:%M} UTC; it was {now:%H:%M:%S}"
        return Verdict(rule="too-late", approved=False, because=because)
    if "opg" not in desk.broker.capabilities.tifs and not desk.settings.entry.moo_as_day_market:
        return Verdict(
            rule="market-open",
            approved=False,
            because=f"{desk.broker.name} has no on-open orders; entry.moo_as_day_market would send a day order",
        )
    return None


def _chased(desk: Desk, decision: Decision, seen: Quote | None) -> Verdict | None:
    if seen is None or decision.price is None or decision.order_kind == "moo":
        return None
    moved = float(seen.last / decision.price - 1)
    if moved <= desk.settings.decide.chase:
        return None
    return Verdict(
        rule="chase",
        approved=False,
        because=f"price moved up {moved:.2%} since the decision, at most {desk.settings.decide.chase:.2%} is followed",
        limits={"moved": round(moved, 6), "limit": desk.settings.decide.chase},
    )


def prices(desk: Desk, decision: Decision, seen: Quote | None) -> tuple[Decimal | None, Decimal | None]:
    """The most we pay (rounded up to the tick) and the reference it is compared with."""
    tick = desk.settings.market.tick_of(decision.symbol)
    if decision.order_kind == "moo":
        reference = decision.price or (seen.last if seen else None)
        return (None if reference is None else ceil_tick(reference, tick)), reference
    if seen is None:
        return None, None
    return ceil_tick(seen.ask * (1 + dec(desk.settings.entry.limit_offset)), tick), seen.mid


def propose(
    desk: Desk, decision: Decision, limit: Decimal | None, reference: Decimal | None
) -> tuple[Proposal | None, Verdict | None]:
    """The entry as the gate sees it, sized; or why it cannot be sized."""
    if limit is None or reference is None:
        return None, Verdict(
            rule="stale-quote",
            approved=False,
            because=f"{decision.symbol}: nobody knows a price; a quote would pass",
        )
    from tradekit.desk.open import fees_of
    from tradekit.desk.state import account

    plan = plan_of(decision.plan)
    atr = average_true_range(desk, decision.symbol, desk.calendar.day(desk.clock.now()), plan)
    if plan.stop_atr is not None and (atr is None or isnan(atr)):
        because = f"ATR14 of {decision.symbol} is not known; 15 sessions of daily bars before today would pass"
        return None, Verdict(rule="strategy-risk", approved=False, because=because)
    found = levels(
        plan,
        float(limit),
        float(desk.settings.market.tick_of(decision.symbol)),
        opened_s=0.0,
        close_s=None,
        atr=atr,
    )
    stop = _level(found.stop) or _first_trail(plan, limit)
    target = _level(found.target) or _level(found.close_above)
    equity = account(desk).desk_equity
    qty = size(desk.settings.sizing, equity, limit, stop, desk.settings.market.lot)
    if qty <= ZERO:
        return None, Verdict(
            rule="sizing",
            approved=False,
            because=why_zero(desk.settings.sizing, equity, limit, desk.settings.market.lot),
        )
    small = too_small(desk, qty, limit)
    if small is not None:
        return None, Verdict(rule="sizing", approved=False, because=f"{small}; a larger sizing: would pass")
    listed = desk.universe.get(decision.symbol)
    return Proposal(
        decision_id=decision.id,
        symbol=decision.symbol,
        qty=qty,
        limit_price=limit,
        reference=reference,
        stop_price=stop,
        target_price=target,
        intent=plan.intent,
        strategy=decision.strategy,
        cap=desk.cap(decision.symbol),
        sector=listed.sector if listed else None,
        kind=listed.kind if listed else None,
        score=decision.score,
        max_hold_s=plan.max_hold_s,
        on_open=decision.order_kind == "moo",
        listed=desk.listed(decision.symbol),
        fee_in=fees_of(desk, "buy", qty, limit),
        fee_out=fees_of(desk, "sell", qty, limit),
    ), None


def _first_trail(plan: ExitPlan, limit: Decimal) -> Decimal | None:
    """A trail from entry is the stop that risk counts from; not rounded, so that the fraction at risk is exact."""
    if plan.trail is None or plan.trail_from != "entry":
        return None
    return limit * (1 - dec(plan.trail))


def _level(x: float) -> Decimal | None:
    return None if isnan(x) else dec(round(x, 10))


def _order(desk: Desk, decision: Decision, entry: Proposal) -> Order:
    type_: OrderType = "market" if entry.on_open else "limit"
    tif: Tif = "opg" if entry.on_open and "opg" in desk.broker.capabilities.tifs else "day"
    return new_order(
        desk,
        subject=decision.id,
        purpose="entry",
        symbol=decision.symbol,
        side="buy",
        qty=entry.qty,
        type_=type_,
        tif=tif,
        reason="entry",
        because=decision.because,
        limit_price=None if entry.on_open else entry.limit_price,
        decision_price=decision.price or entry.reference,
        decision_id=decision.id,
        position_id=position_id(decision.symbol, decision.at),
        plan={
            "plan": decision.plan,
            "strategy": decision.strategy,
            "cap": entry.cap,
            "intent": entry.intent,
            "master": decision.master,
            "regime": regime_now(desk),
            "strategy_version": desk.code_version,
        },
    )


def _check(desk: Desk, decision: Decision, order: str | None, verdict: Verdict) -> RiskCheck:
    """The id says subject and rule; a later try of the same subject counts up."""
    base = f"{decision.id}-{verdict.rule}"
    n = sum(row.rule == verdict.rule for row in desk.store.risk_checks.for_decision(decision.id))
    return RiskCheck(
        id=base if not n else f"{base}-{n}",
        decision_id=decision.id,
        order_id=order,
        at=desk.clock.now(),
        verdict="approved" if verdict.approved else "vetoed",
        rule=verdict.rule,
        because=verdict.because,
        limits=verdict.limits,
    )


def _end(desk: Desk, decision: Decision, status: str, verdict: Verdict) -> RiskCheck:
    """A decision that buys nothing, with the rule that ended it."""
    row = _check(desk, decision, None, verdict)
    with desk.store.transaction(low=True):
        desk.store.risk_checks.add(row)
        desk.store.decisions.set_status(decision.id, status)
        event(
            desk,
            "veto",
            symbol=decision.symbol,
            ref=decision.id,
            rule=verdict.rule,
            because=verdict.because,
        )
    desk.count("vetoes")
    return row


def raise_if_refused(found: Entered) -> None:
    """Exit code 6: the caller named what to trade and all of it was refused."""
    if found.refused:
        rules = ", ".join(sorted({veto.rule for veto in found.vetoes}))
        raise Refused(
            f"all {len(found.vetoes)} decisions were refused by: {rules}",
            "tradekit why SYMBOL says what would have to change",
        )
