"""tradekit report daily/fills/funnel"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import typer

from tradekit.commands._filters import AtOption, then
from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)
from tradekit.errors import Findings, UsageError

if TYPE_CHECKING:
    from tradekit.commands._context import Context
    from tradekit.config import Settings
    from tradekit.model import Candidate, Decision, Order, Position, RiskCheck, Run, Scan, Session, Trade
    from tradekit.reports.daily import Day
    from tradekit.reports.funnel import Funnel
    from tradekit.reports.missed import MissedLine, RejectedLine
    from tradekit.store import Store

DRAWN_DAYS = 84  # calendar days of equity under the account line: about 60 sessions
NO_SESSION = "no session yet: `tradekit scan`, or `tradekit replay DATE` on recorded bars"
DOUBTS = (("DO NOT MATCH", "bold red"), ("missed:", "yellow"), ("failed run", "red"), ("failed slot", "red"))


def daily(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    at: AtOption = None,
) -> None:
    """The day: books, blindness, account, trades, funnel, vetoes, what was missed, open positions.

    Without --session: the last one with anything in it; with a range: each one with a scan or an order, the oldest
    first. --strategy and --symbol narrow all but books, watch and account, which are the desk's. Reads only; 7 where
    the books or the funnel do not foot. With --at the broker's books, which are of now, are not compared, and what
    candidates did after is not told.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import show
    from tradekit.reports.daily import Daily
    from tradekit.reports.daily import daily as report

    settings, asked = read_settings(ctx.obj).settings, then(at)
    ranged = since is not None or until is not None
    pages: list[tuple[Daily, Session, list[float | None]]] = []
    with (read_copy if ranged else read_store)(ctx.obj, asked) as store:
        days = _days(store, session, since, until, settings) if ranged else [session]
        for each in days:
            chosen = _session(store, None if each is None else str(each), settings)
            if chosen is None:
                break
            day = _day(ctx.obj, store, chosen, settings, strategy, symbol)
            if asked is not None:
                day = msgspec.structs.replace(day, until=max(chosen.open, min(day.until, asked)), findings=None)
            equity = _equity(store, chosen.day) if ctx.obj.format == "table" else []
            pages.append((report(_narrowed(day, strategy, symbol)), chosen, equity))
    if not pages:
        show([], ctx.obj.format, empty=NO_SESSION, of=Daily)
        return
    if ctx.obj.format == "table":
        from tradekit.commands._pictures import rich_print
        from tradekit.commands._report_text import daily_text

        zone = ZoneInfo(settings.desk.timezone)
        texts = [daily_text(found, one, zone, equity) for found, one, equity in pages]
        rich_print("\n\n".join(texts), DOUBTS)
    else:
        show([found for found, _, _ in pages] if ranged else pages[0][0], ctx.obj.format)
    for found, one, _ in pages:
        wrong = [*found.books.findings, *found.funnel_findings]
        if wrong:
            raise Findings(f"report daily {one.day}: {len(wrong)} findings, the first: {wrong[0]}", "tradekit audit")


def fills(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    symbol: SymbolOption = None,
    strategy: StrategyOption = None,
    at: AtOption = None,
) -> None:
    """Per order: decision price, arrival quote, fill, slippage in bp (+ is a cost), seconds, fees.

    Without a session or a range: the last session with anything in it. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.reports.fills import OrderFills, fills_report

    settings = read_settings(ctx.obj).settings
    with read_copy(ctx.obj, then(at)) as store:
        first, last = _range(store, session, since, until, settings)
        orders = [
            order
            for order in store.orders.all(symbol=symbol.upper() if symbol else None)
            if (first is None or order.session >= first) and (last is None or order.session <= last)
        ]
        if strategy is not None:
            orders = [order for order in orders if _strategy(store, order) == strategy]
        decisions = {d.id: d for d in (store.decisions.get(o.decision_id) for o in orders if o.decision_id) if d}
        filled = [fill for order in orders if order.filled_qty > 0 for fill in store.fills.for_order(order.id)]
        events = store.events.all(since=min((o.created_at for o in orders), default=None)) if orders else []
    rows = fills_report(orders, filled, decisions, events, currency=settings.desk.currency)
    columns = (
        "order_id", "side", "filled_qty", "decision_price", "arrival_price", "avg_price", "slippage_bp", "fees",
        "currency", "decide_s", "send_s", "ack_s", "fill_s", "reason",
    )  # fmt: skip
    show(rows, ctx.obj.format, empty="no fills", columns=columns, of=OrderFills)


def funnel(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    at: AtOption = None,
) -> None:
    """From the universe to closed trades, and where the rest went; 7 where a stage does not foot.

    Each line: in = out + lost, by id. Without a session or a range: the last one with anything in it. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import say, show
    from tradekit.reports.funnel import FunnelLine

    settings = read_settings(ctx.obj).settings
    with read_copy(ctx.obj, then(at)) as store:
        days = _days(store, session, since, until, settings)
        if not days:
            span = ("first", "last") if since or until else ("session",)
            show([], ctx.obj.format, empty=NO_SESSION, of=(*span, *FunnelLine.COLUMNS))
            return
        found = funnel_of(store, days, settings, strategy, symbol)
    if ctx.obj.format == "table":
        from tradekit.commands._pictures import rich_print
        from tradekit.commands._report_text import funnel_text

        rich_print(funnel_text([line.as_row() for line in found.lines]))
    else:
        about = {"session": days[0]} if len(days) == 1 else {"first": days[0], "last": days[-1]}
        show([{**about, **line.as_row()} for line in found.lines], ctx.obj.format)
    if found.findings:
        for finding in found.findings:
            say(finding)
        raise Findings(f"report funnel {days[-1]}: {len(found.findings)} findings", "tradekit audit")


def _days(
    store: "Store", session: str | None, since: str | None, until: str | None, settings: "Settings"
) -> list[date]:
    """The sessions with a scan or an order in the range that was asked for."""
    first, last = _range(store, session, since, until, settings)
    if first is not None and first == last:
        return [first]
    days = {scan.session for scan in store.scans.all()} | {order.session for order in store.orders.all()}
    return sorted(day for day in days if (first is None or day >= first) and (last is None or day <= last))


def _equity(store: "Store", day: date) -> list[float | None]:
    """Desk equity of the sessions up to a day, as many as a line of a terminal holds."""
    rows = store.days.between(day - timedelta(days=DRAWN_DAYS), day)
    return [None if row.desk_equity is None else float(row.desk_equity) for row in rows]


def _narrowed(day: "Day", strategy: str | None, symbol: str | None) -> "Day":
    """The day with the trades, positions and vetoes of one strategy or symbol."""
    if strategy is None and symbol is None:
        return day
    name = symbol.upper() if symbol else None

    def wanted(record: "Trade | Position") -> bool:
        return (name is None or record.symbol == name) and (strategy is None or record.strategy == strategy)

    return msgspec.structs.replace(
        day,
        trades=[trade for trade in day.trades if wanted(trade)],
        positions=[position for position in day.positions if wanted(position)],
    )


def _day(
    context: "Context",
    store: "Store",
    session: "Session",
    settings: "Settings",
    strategy: str | None = None,
    symbol: str | None = None,
) -> "Day":
    """What the store knows of a session, as the report takes it."""
    from tradekit.calendar import last_moment
    from tradekit.reports.daily import Day

    end_of_day = last_moment(session, around_the_clock=settings.desk.calendar == "24/7")
    newest = _last_day(store, ZoneInfo(settings.desk.timezone)) == session.day
    trades = store.trades.all(session=session.day)
    orders = {order.id: order for order in store.orders.all(session=session.day)}
    orders |= {order.id: order for order in store.orders.live()} if newest else {}
    for trade in trades:
        orders |= {order.id: order for order in store.orders.for_position(trade.id)}
    fills = {fill.id: fill for fill in store.fills.all(session=session.day)}
    for order in orders.values():
        fills |= {fill.id: fill for fill in store.fills.for_order(order.id)} if order.filled_qty > 0 else {}
    start, end = _whole_day(session, settings)
    runs = store.runs.all(since=start, until=end)
    checks = store.risk_checks.all(since=start, until=end)
    if strategy is not None or symbol is not None:
        about = {d.id for d in store.decisions.all(session=session.day) if _about(d, strategy, symbol)}
        checks = [check for check in checks if check.decision_id in about]
    accounts = store.account.all(session=session.day)
    stages = _stages(store, [session.day], settings, strategy, symbol)
    missed, rejected = stages.missed()
    return Day(
        session=session,
        until=_until(session, runs),
        trades=trades,
        orders=list(orders.values()),
        fills=list(fills.values()),
        checks=checks,
        events=store.events.all(session=session.day),
        slots=store.slots.on(session.day),
        runs=runs,
        account=accounts[-1] if accounts else None,
        positions=store.positions.open() if newest else store.positions_at(end_of_day),
        findings=_findings(context, session.day),
        funnel=stages.funnel(),
        missed=missed,
        rejected=rejected,
        exit_interval_s=settings.exits.interval_s,
        currency=settings.desk.currency,
    )


def _findings(context: "Context", day: date) -> list[str] | None:
    """What the comparison with the paper broker's books found; None where there is no such file."""
    paper = context.here / "paper.db"
    if not paper.is_file():
        return None
    from tradekit.reports.footing import foot_day

    found = foot_day(context.here / "desk.db", paper, day)
    return [f"{one.check} {one.subject}: {one.found}" for one in found]


def funnel_of(
    store: "Store", days: Sequence[date], settings: "Settings", strategy: str | None, symbol: str | None
) -> "Funnel":
    """The funnel of one session, or of several together."""
    return _stages(store, days, settings, strategy, symbol).funnel()


class _Stages(NamedTuple):
    """What came how far in some sessions."""

    days: Sequence[date]
    candidates: "list[Candidate]"
    decisions: "list[Decision]"
    checks: "list[RiskCheck]"
    orders: "list[Order]"
    trades: "list[Trade]"
    scans: "list[Scan]"
    buy_types: Sequence[str] | None

    def funnel(self) -> "Funnel":
        from tradekit.reports.funnel import funnel as report

        one = self.days[0] if len(self.days) == 1 else None
        return report(one, *self[1:6], scans=self.scans, buy_types=self.buy_types)

    def missed(self) -> "tuple[list[MissedLine], list[RejectedLine]]":
        from tradekit.reports.missed import missed

        types = {scan.id: scan.type for scan in self.scans}
        return missed(*self[1:5], types=types, buy_types=self.buy_types)


def _stages(
    store: "Store", days: Sequence[date], settings: "Settings", strategy: str | None, symbol: str | None
) -> _Stages:
    name = symbol.upper() if symbol else None
    candidates = [c for day in days for c in store.candidates.found(rejected=True, session=day, symbol=name)]
    decisions = [d for day in days for d in store.decisions.all(session=day, symbol=name)]
    scans = [scan for day in days for scan in store.scans.all(session=day)]
    orders = [o for day in days for o in store.orders.all(session=day, symbol=name) if o.purpose == "entry"]
    if strategy is not None:
        scans = [scan for scan in scans if scan.strategy == strategy]
        candidates = [candidate for candidate in candidates if candidate.strategy == strategy]
        decisions = [decision for decision in decisions if decision.strategy == strategy]
        wanted = {decision.id for decision in decisions}
        orders = [order for order in orders if order.decision_id in wanted]
    checks = [check for decision in decisions for check in store.risk_checks.for_decision(decision.id)]
    trades = [trade for order in orders if order.position_id and (trade := store.trades.get(order.position_id))]
    if name is not None:  # a scan counts all symbols; which scan a candidate is of is still needed
        scans = [msgspec.structs.replace(scan, counts={}) for scan in scans]
    return _Stages(days, candidates, decisions, checks, orders, trades, scans, settings.scan.buy_types)


def _about(decision: "Decision", strategy: str | None, symbol: str | None) -> bool:
    return (strategy is None or decision.strategy == strategy) and (symbol is None or decision.symbol == symbol.upper())


def _session(store: "Store", text: str | None, settings: "Settings") -> "Session | None":
    """The session that was asked for, else the last one with anything in it; UsageError for a day without one."""
    day = _date(text, "--session") if text else _last_day(store, ZoneInfo(settings.desk.timezone))
    if day is None:
        return None
    found = _on(store, day, settings)
    if found is None:
        before = [session.day for session in store.sessions.load(day - timedelta(days=10), day)]
        hint = f"the session before it: --session {before[-1]}" if before else "tradekit schedule show"
        raise UsageError(f"{day} is no session of this exchange", hint)
    return found


def _on(store: "Store", day: date, settings: "Settings") -> "Session | None":
    from tradekit.model import Session

    if settings.desk.calendar == "24/7":
        start = datetime.combine(day, time(), UTC)
        return Session(day, start, start + timedelta(days=1), False)
    found = store.sessions.load(day, day)
    return found[0] if found else None


def _last_day(store: "Store", zone: ZoneInfo) -> date | None:
    """The newest session that a scan, an order, a trade or a run belongs to; a run of a weekend to the one before."""
    last: Sequence[Any] = [*store.scans.all(limit=1), *store.orders.all(limit=1), *store.trades.all(limit=1)]
    days = [record.session for record in last]
    if not days:
        days = [run.started_at.astimezone(zone).date() for run in store.runs.all(limit=1)]
        days = [_session_before(store, day) for day in days]
    return max(days, default=None)


def _session_before(store: "Store", day: date) -> date:
    """The day, or the last session before it; the day itself where nothing is known of sessions."""
    known = store.sessions.load(day - timedelta(days=10), day)
    return known[-1].day if known else day


def _range(
    store: "Store", session: str | None, since: str | None, until: str | None, settings: "Settings"
) -> tuple[date | None, date | None]:
    """First and last session of a report, both included."""
    if session and (since or until):
        raise UsageError("--session with --since or --until", "give one session or a range")
    if since or until:
        return _date(since, "--since") if since else None, _date(until, "--until") if until else None
    chosen = _session(store, session, settings)
    return (chosen.day, chosen.day) if chosen else (None, None)


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text} is not a date", f"{option} 2026-02-13") from None


def _strategy(store: "Store", order: "Order") -> str | None:
    if order.plan.get("strategy"):
        return str(order.plan["strategy"])
    if order.position_id is None:
        return None
    position = store.positions.get(order.position_id)
    return position.strategy if position else None


def _whole_day(session: "Session", settings: "Settings") -> tuple[datetime, datetime]:
    """The exchange's date from midnight to midnight, in UTC."""
    start = datetime.combine(session.day, time(), ZoneInfo(settings.desk.timezone))
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


def _until(session: "Session", runs: "Sequence[Run]") -> datetime:
    """How far the day has come: a virtual clock has come as far as its last run, the host's clock to now."""
    from tradekit.clock import SystemClock, was_the_hosts

    if runs and not any(was_the_hosts(run.clock) for run in runs):
        return min(session.close, max(run.ended_at or run.started_at for run in runs))
    return max(session.open, min(session.close, SystemClock().now()))
