"""tradekit report overnight"""

from typing import TYPE_CHECKING, cast

import typer

from tradekit.commands._reporting import (
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    read_copy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tradekit.commands._reporting import Asked
    from tradekit.config import Settings
    from tradekit.model import Mark, Session
    from tradekit.reports.overnight import Overnight
    from tradekit.store import Store


def overnight(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """What is held: each position with its live stop, TIF, distance and age, and what a bad night would cost.

    Losses if all stops fill (against the entries) and if everything gaps -5 % (from the last prices). With a session
    or a range: as it was at the close of each; last prices of then are not kept. Reads only.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import show
    from tradekit.commands._reporting import asked
    from tradekit.desk.open import desk_clock

    found = asked(session, since, until, strategy, symbol)
    settings = read_settings(ctx.obj).settings
    if found.first is None and found.last is None:
        with read_store(ctx.obj) as store:
            now = desk_clock(store.meta.get("clock_at")).now()
            _print(ctx, _night(store, now, store.marks.of_open(), found, settings.desk.currency))
        return
    from tradekit.calendar import last_moment
    from tradekit.reports.overnight import Held
    from tradekit.store.as_of import AsOf

    nights = []
    with read_copy(ctx.obj) as store:
        sessions = _sessions(store, found, settings, desk_clock(store.meta.get("clock_at")).now())
        for session_ in sessions:
            end = last_moment(session_, around_the_clock=settings.desk.calendar == "24/7")
            then = cast("Store", AsOf(store, end))
            nights.append(_night(then, session_.close, {}, found, settings.desk.currency))
    if ctx.obj.format == "csv":
        show([row for night in nights for row in night.held], "csv", of=Held)
    elif ctx.obj.format != "table":
        show(nights, ctx.obj.format)
    elif not nights:
        show([], empty="no session in that range")
    else:
        for session_, night in zip(sessions, nights, strict=True):
            print(session_.day)  # around the clock a session's close is on the next date
            _print(ctx, night)


def _sessions(store: "Store", found: "Asked", settings: "Settings", now: "datetime") -> "list[Session]":
    """The sessions that were asked for, from the first one with an order on, as far as they are over."""
    from datetime import timedelta

    from tradekit.desk.open import load_calendar

    first = found.first or min((order.session for order in store.orders.all()), default=now.date())
    calendar = load_calendar(settings, store, now, since=first)
    sessions = calendar.between(first, min(found.last or now.date(), now.date() + timedelta(days=1)))
    return [session for session in sessions if session.close <= now]


def _night(store: "Store", at: "datetime", marks: "Mapping[str, Mark]", found: "Asked", currency: str) -> "Overnight":
    from tradekit.reports.overnight import overnight as report

    positions = [
        p for p in store.positions.open() if found.symbol in (None, p.symbol) and found.strategy in (None, p.strategy)
    ]
    last = store.account.latest()
    equity = last.desk_equity if last else None
    return report(positions, store.orders.live(), marks, at=at, desk_equity=equity, currency=currency)


def _print(ctx: typer.Context, answer: "Overnight") -> None:
    from tradekit.commands._output import as_table, show
    from tradekit.commands._pictures import percent, rounded
    from tradekit.reports.overnight import Held

    currency = answer.currency
    if ctx.obj.format != "table":
        show(answer.held if ctx.obj.format == "csv" else answer, ctx.obj.format, of=Held)
        return
    if not answer.positions:
        show([], empty="nothing is held")
        return
    table = [
        {
            "id": row.id, "intent": row.intent, "qty": row.qty, "entry": row.avg_price, "last": row.last_price,
            f"open {currency}": rounded(row.unrealized), "desk stop": row.desk_stop, "live stop": row.live_stop,
            "tif": row.tif, "distance %": percent(row.distance), "age h": rounded(row.age_s / 3600, 1),
            "at stop": rounded(row.loss_at_stop), "gap -5 %": rounded(row.loss_at_gap), "note": row.note,
        }
        for row in answer.held
    ]  # fmt: skip
    print(as_table(table), end="")
    print(f"{answer.positions} held, {answer.unprotected} without a stop at the venue")
    print(f"if all stops fill  {_loss(answer.if_all_stops_fill, answer.if_all_stops_fill_pct, currency)}")
    print(f"if all gap -5 %    {_loss(answer.if_all_gap, answer.if_all_gap_pct, currency)}")


def _loss(money: "Decimal | None", share: float | None, currency: str) -> str:
    """`-120.50 USD (-0.12 % of desk equity)`; what is not known is called so."""
    if money is None:
        return "unknown: a price is missing"
    return f"{money:,.2f} {currency} ({'unknown' if share is None else f'{share * 100:.2f} %'} of desk equity)"
