"""The audit's facts, gathered from the store, the venue and, on paper, both files."""

from tradekit.desk.desk import Desk
from tradekit.reports.audit import audit as judge
from tradekit.reports.footing import Finding, foot


def audit(desk: Desk) -> list[Finding]:
    """Everything that wants a look; reads only. Raises BrokerError where the venue does not answer."""
    now, store = desk.clock.now(), desk.store
    session = desk.calendar.at(now)
    paper = desk.path / "paper.db"
    known = desk.settings.desk.broker != "paper" or paper.exists()
    held = {position.symbol: position.qty for position in desk.broker.positions()} if known else {}
    working = (
        {order.client_order_id or order.broker_order_id for order in desk.broker.open_orders()} if known else set()
    )
    findings = judge(
        store.positions.open(),
        {mark.position_id: mark for mark in store.marks.all()},
        store.orders.live(),
        store.owned(),
        held,
        working,
        now=now,
        open_since=session.open if session else None,
        exit_interval_s=desk.settings.exits.interval_s,
    )
    return [*findings, *foot(desk.path / "desk.db", paper)] if paper.exists() else findings
