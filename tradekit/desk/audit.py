"""The audit's facts, gathered from the store, the venue and, on paper, both files."""

from tradekit.brokers.base import BrokerOrder
from tradekit.desk.desk import Desk
from tradekit.desk.match import row_of
from tradekit.reports.audit import audit as judge
from tradekit.reports.footing import Finding, foot
from tradekit.store.backup import snapshot


def audit(desk: Desk) -> list[Finding]:
    """Everything that wants a look; reads only. Raises BrokerError where the venue does not answer."""
    now, store = desk.clock.now(), desk.store
    session = desk.calendar.at(now)
    paper = desk.path / "paper.db"
    known = desk.settings.desk.broker != "paper" or paper.exists()
    held = {position.symbol: position.qty for position in desk.broker.positions()} if known else {}
    working = {_name(desk, order) for order in desk.broker.open_orders()} if known else set()
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
    if not paper.exists():
        return findings
    return [*findings, *foot(snapshot(desk.path / "desk.db"), snapshot(paper))]  # all rows: no commit waits for them


def _name(desk: Desk, answer: BrokerOrder) -> str:
    """Our client id of a venue's order, also where the venue keeps none; the venue's id of somebody else's."""
    row = row_of(desk, answer)
    return row.client_order_id if row is not None else answer.client_order_id or answer.broker_order_id
