"""The day in one record: do the books match, was the desk blind, then what it earned and where the rest went."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tradekit.model import Account, Event, Fill, Order, Position, Record, RiskCheck, Run, Session, Slot, Trade
from tradekit.money import ZERO
from tradekit.reports.fills import average, slippage_bp
from tradekit.reports.funnel import Funnel
from tradekit.reports.missed import MissedLine, RejectedLine

LEVEL_EXITS = frozenset({"hard-stop", "trailing-stop", "target"})  # exits that name a level
STALE_RULES = frozenset({"stale-quote", "stale-bars"})


class Books(Record, frozen=True, kw_only=True):
    """Do the books match the broker's? `match` is None where nobody compared them."""

    match: bool | None
    findings: list[str]
    unknown_orders: list[str]
    estimated_fees: int  # fills whose fee the venue has not confirmed
    estimated_fees_sum: Decimal


class Blind(Record, frozen=True, kw_only=True):
    """Was anything not looked at? Minutes are of the session up to `until`; None: no run is recorded at all."""

    until: datetime
    exit_checks: int
    minutes_without_exit_check: float | None
    minutes_blind_while_holding: float | None
    longest_gap_s: float | None
    missed_slots: list[str]
    failed_slots: list[str]
    slots: list[dict[str, Any]]  # the missed and failed ones by state and name: count, first and last due_at
    restarts: int  # runs that were interrupted or died
    failed_runs: list[str]
    stale_data: int  # events and vetoes that named stale data
    alerts: list[dict[str, Any]]


class AccountLine(Record, frozen=True, kw_only=True):
    """The last snapshot of the session, in the desk's currency; fractions of desk equity."""

    at: datetime
    equity: Decimal | None
    desk_equity: Decimal | None
    cash: Decimal
    daily_pnl: Decimal | None
    daily_pnl_pct: float | None
    exposure: Decimal
    exposure_pct: float | None
    drawdown: float | None


class Result(Record, frozen=True, kw_only=True):
    """The session's closed trades together; every ratio is None on no data, never 0."""

    trades: int
    wins: int
    losses: int
    win_rate: float | None
    gross: Decimal
    fees: Decimal
    net: Decimal
    average_r: float | None
    profit_factor: float | None
    average_hold_s: float | None


class TradeLine(Record, frozen=True, kw_only=True):
    """A closed trade. Money in the desk's currency, `_bp` with + as a cost to us, overshoot of exits at a level."""

    id: str
    symbol: str
    side: str
    qty: Decimal
    entry_price: Decimal
    exit_price: Decimal
    exit_reason: str
    net: Decimal
    return_pct: float | None
    r_multiple: float | None
    entry_slippage_bp: float | None
    exit_slippage_bp: float | None
    overshoot_bp: float | None
    hold_s: int
    because: str


class Daily(Record, frozen=True, kw_only=True):
    """Everything about a session, the doubts first."""

    session: date
    currency: str
    books: Books
    blind: Blind
    account: AccountLine | None
    result: Result
    trades: list[TradeLine]
    funnel: list[dict[str, Any]]
    funnel_findings: list[str]
    vetoes: dict[str, int]
    missed: list[MissedLine]  # passed a scan and was not bought
    rejected: list[RejectedLine]  # no scan let it pass
    positions: list[Position]


class Day(Record, frozen=True, kw_only=True):
    """What the store knows of a session. `orders` and `fills` also hold those of trades that were opened earlier."""

    session: Session
    until: datetime  # how far the day has come: its close, or now
    trades: Sequence[Trade] = ()  # closed in the session
    orders: Sequence[Order] = ()
    fills: Sequence[Fill] = ()
    checks: Sequence[RiskCheck] = ()
    events: Sequence[Event] = ()
    slots: Sequence[Slot] = ()
    runs: Sequence[Run] = ()
    account: Account | None = None
    positions: Sequence[Position] = ()
    missed: Sequence[MissedLine] = ()
    rejected: Sequence[RejectedLine] = ()
    findings: Sequence[str] | None = None  # of the comparison with the broker's books; None: not compared
    funnel: Funnel
    exit_interval_s: int = 60
    currency: str = "USD"


def daily(day: Day) -> Daily:
    """The report of one session."""
    return Daily(
        session=day.session.day,
        currency=day.currency,
        books=books(day),
        blind=blind(day),
        account=_account(day.account),
        result=result(day.trades),
        trades=[trade_line(trade, day.orders, day.fills) for trade in day.trades],
        funnel=[line.as_row() for line in day.funnel.lines],
        funnel_findings=list(day.funnel.findings),
        vetoes=dict(Counter(check.rule for check in day.checks if check.verdict == "vetoed").most_common()),
        missed=list(day.missed),
        rejected=list(day.rejected),
        positions=list(day.positions),
    )


def books(day: Day) -> Books:
    """The audit's word, orders that nobody knows the fate of, and fees that are only estimates."""
    estimated = [fill for fill in day.fills if fill.fee_estimated and fill.session == day.session.day]
    return Books(
        match=None if day.findings is None else not day.findings,
        findings=list(day.findings or ()),
        unknown_orders=sorted(order.id for order in day.orders if order.status == "unknown"),
        estimated_fees=len(estimated),
        estimated_fees_sum=sum((fill.fee for fill in estimated), ZERO),
    )


def blind(day: Day) -> Blind:
    """Missed slots, time without an exit check, alerts, restarts, stale data."""
    checks = _exit_checks(day)
    gaps = _gaps(checks, day.session.open, min(day.until, day.session.close), day.exit_interval_s)
    alerts = [event for event in day.events if event.kind.startswith("alert.")]
    stale = sum("stale" in event.kind for event in day.events)
    stale += sum(check.rule in STALE_RULES and check.verdict == "vetoed" for check in day.checks)
    known = bool(day.runs)
    return Blind(
        until=min(day.until, day.session.close),
        exit_checks=len(checks),
        minutes_without_exit_check=_minutes(gaps) if known else None,
        minutes_blind_while_holding=_minutes(_overlap(gaps, _held(day))) if known else None,
        longest_gap_s=max(((b - a).total_seconds() for a, b in gaps), default=0.0) if known else None,
        missed_slots=[slot.name for slot in day.slots if slot.state == "missed"],
        failed_slots=[slot.name for slot in day.slots if slot.state == "failed"],
        slots=_slots_not_done(day.slots),
        restarts=sum(run.exit_code in (130, 137, 143) for run in day.runs),
        failed_runs=[f"{run.id} ({run.exit_code})" for run in day.runs if run.exit_code in (1, 4, 5, 8, 9)],
        stale_data=stale,
        alerts=[
            {"at": e.at, "kind": e.kind.removeprefix("alert."), "symbol": e.symbol, "message": e.data.get("message")}
            for e in alerts
        ],
    )


def _slots_not_done(slots: Sequence[Slot]) -> list[dict[str, Any]]:
    """Missed slots, then failed ones, one row a name: a slot of every minute may be missed 390 times."""
    times: dict[tuple[str, str], list[datetime]] = {}
    for state in ("missed", "failed"):
        for slot in slots:
            if slot.state == state:
                times.setdefault((state, slot.name), []).append(slot.due_at)
    return [
        {"state": state, "name": name, "count": len(due), "first": min(due), "last": max(due)}
        for (state, name), due in times.items()
    ]


def result(trades: Sequence[Trade]) -> Result:
    """The trades together; break-even counts as neither win nor loss."""
    wins = [trade for trade in trades if trade.net > 0]
    losses = [trade for trade in trades if trade.net < 0]
    rs = [trade.r_multiple for trade in trades if trade.r_multiple is not None]
    won, lost = (sum((t.net for t in each), ZERO) for each in (wins, losses))
    return Result(
        trades=len(trades),
        wins=len(wins),
        losses=len(losses),
        win_rate=len(wins) / len(trades) if trades else None,
        gross=sum((t.gross for t in trades), ZERO),
        fees=sum((t.fees for t in trades), ZERO),
        net=sum((t.net for t in trades), ZERO),
        average_r=sum(rs) / len(rs) if rs else None,
        profit_factor=float(won / -lost) if lost else None,
        average_hold_s=sum(t.hold_s for t in trades) / len(trades) if trades else None,
    )


def trade_line(trade: Trade, orders: Sequence[Order], fills: Sequence[Fill]) -> TradeLine:
    """One trade with what its fills cost against the decision and against the exit's level."""
    mine = [o for o in orders if o.position_id == trade.id and o.symbol == trade.symbol]
    entries = [o for o in mine if o.purpose == "entry"]
    exits = [o for o in mine if o.purpose != "entry"]
    at_level = [o for o in exits if o.reason in LEVEL_EXITS or o.purpose == "protect"]
    return TradeLine(
        id=trade.id,
        symbol=trade.symbol,
        side=trade.side,
        qty=trade.qty,
        entry_price=trade.entry_price,
        exit_price=trade.exit_price,
        exit_reason=trade.exit_reason,
        net=trade.net,
        return_pct=trade.return_pct,
        r_multiple=trade.r_multiple,
        entry_slippage_bp=_slippage(entries, fills),
        exit_slippage_bp=_slippage(exits, fills),
        overshoot_bp=_slippage(at_level, fills),
        hold_s=trade.hold_s,
        because=trade.because,
    )


def _slippage(orders: Sequence[Order], fills: Sequence[Fill]) -> float | None:
    """Of several orders together, weighted by what each filled, in bp; None where no order names a price."""
    total, qty = 0.0, ZERO
    for order in orders:
        mine = [fill for fill in fills if fill.order_id == order.id]
        wanted = order.decision_price if order.decision_price is not None else order.stop_price
        bp = slippage_bp(order.side, wanted, average(mine))
        if bp is not None:
            part = sum((fill.qty for fill in mine), ZERO)
            total, qty = total + bp * float(part), qty + part
    return round(total / float(qty), 4) if qty else None


def _account(row: Account | None) -> AccountLine | None:
    if row is None:
        return None
    return AccountLine(**{name: getattr(row, name) for name in AccountLine.__struct_fields__})


def _exit_checks(day: Day) -> list[tuple[datetime, datetime]]:
    """When exits were looked at: each pass, and the whole life of a loop."""
    found = []
    for run in day.runs:
        if run.command == "monitor-exits" and run.exit_code in (0, 3, 7, 130, 143, None):
            loop = "--every" in run.argv.split()
            found.append((run.started_at, (run.ended_at or run.started_at) if loop else run.started_at))
    return sorted(found)


def _gaps(
    checks: Sequence[tuple[datetime, datetime]], first: datetime, last: datetime, interval_s: int
) -> list[tuple[datetime, datetime]]:
    """Stretches of the session in which a check was overdue: two intervals without one, less the one that is normal."""
    normal = timedelta(seconds=interval_s)
    gaps, seen = [], first
    for start, end in [*checks, (last, last)]:
        start, end = min(max(start, first), last), min(max(end, first), last)
        if start - seen > 2 * normal:
            gaps.append((seen + normal, start))
        seen = max(seen, end)
    return gaps


def _held(day: Day) -> list[tuple[datetime, datetime]]:
    """When something was held: closed trades, and what is still open."""
    spans = [(trade.entry_at, trade.exit_at) for trade in day.trades]
    return spans + [(position.opened_at, day.until) for position in day.positions]


def _overlap(
    gaps: Sequence[tuple[datetime, datetime]], spans: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    """The parts of the gaps in which at least one span runs, each minute once."""
    found = []
    for low, high in gaps:
        parts = sorted((max(low, a), min(high, b)) for a, b in spans if a < high and b > low)
        seen = low
        for a, b in parts:
            if b > max(a, seen):
                found.append((max(a, seen), b))
                seen = b
    return found


def _minutes(gaps: Sequence[tuple[datetime, datetime]]) -> float:
    return round(sum((b - a).total_seconds() for a, b in gaps) / 60, 3)
