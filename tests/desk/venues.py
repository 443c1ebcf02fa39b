"""A venue in front of the paper one that misbehaves the way a test asks for: answers lost, late, wrong or made up."""

import msgspec

from tests.desk.world import at, decide
from tradekit.desk.enter import EnterOptions, enter
from tradekit.errors import AmbiguousSend, BrokerError, OrderRejected

PLAN = {"stop": 0.01, "target": 0.026, "after_target": "arm-trail", "trail": 0.015}


class Fake:
    """Everything of the venue behind it, but for what a test puts in place.

    `profile` changes capabilities; `lag_s` hides an accepted order from every look-up for so long; `submits`,
    `cancels` are lists of things to do to the next calls: "drop" (before the venue), "lose" (after it), an exception,
    or a function of the venue's own answer.
    """

    def __init__(self, desk, *, lag_s=0.0, submits=(), cancels=(), **profile):
        self.venue, self.desk, self.lag_s = desk.broker, desk, lag_s
        self.submits, self.cancels, self.profile = list(submits), list(cancels), profile
        self.sent, self.asked, self.born = [], [], {}
        desk.__dict__["broker"] = self

    def __getattr__(self, name):
        return getattr(self.venue, name)

    @property
    def capabilities(self):
        return msgspec.structs.replace(self.venue.capabilities, **self.profile)

    def submit(self, request):
        self.sent.append(request)
        todo = self.submits.pop(0) if self.submits else None
        if todo == "drop":
            raise AmbiguousSend("no answer in 10 s")
        if isinstance(todo, Exception):
            raise todo
        answer = self.venue.submit(request)
        self.born.setdefault(answer.client_order_id, self.desk.clock.now())
        if todo == "lose":
            raise AmbiguousSend("no answer in 10 s")
        answer = self._seen(answer)
        return todo(answer) if callable(todo) else answer

    def cancel(self, broker_order_id):
        self.asked.append(broker_order_id)
        todo = self.cancels.pop(0) if self.cancels else None
        if isinstance(todo, Exception):
            raise todo
        return todo() if callable(todo) else self.venue.cancel(broker_order_id)

    def order(self, client_order_id):
        if self.profile.get("client_ids") == "none":
            raise BrokerError("this venue keeps no client ids")
        found = self.venue.order(client_order_id)
        return found if found is None or self._visible(found) else None

    def order_by_broker_id(self, broker_order_id):
        found = self.venue.order_by_broker_id(broker_order_id)
        return self._seen(found) if found and self._visible(found) else None

    def open_orders(self):
        return [self._seen(order) for order in self.venue.open_orders() if self._visible(order)]

    def orders_since(self, since):
        return [self._seen(order) for order in self.venue.orders_since(since) if self._visible(order)]

    def fills_since(self, since):
        fills = self.venue.fills_since(since)
        if self.profile.get("client_ids") == "none":
            fills = [msgspec.structs.replace(fill, client_order_id=None) for fill in fills]
        return fills

    def _visible(self, order):
        born = self.born.get(order.client_order_id)
        return born is None or (self.desk.clock.now() - born).total_seconds() >= self.lag_s

    def _seen(self, order):
        if self.profile.get("client_ids") == "none":
            return msgspec.structs.replace(order, client_order_id=None)
        return order


def refusal(message, why=""):
    """What an adapter raises when the venue says no."""
    no = OrderRejected(message)
    no.why = why
    return no


def buy(desk, symbol="AAA", price=100.0, when="09:35", **plan):
    """Enter a symbol at a time of the day; what enter says."""
    desk.clock.set(at(when))
    decide(desk, symbol, price, **(plan or PLAN))
    return enter(desk, EnterOptions())


def writes(desk) -> int:
    """Rows that the store has changed so far."""
    return desk.store.db.raw.total_changes


def alerts(desk, kind: str) -> list:
    """The alerts of a kind, oldest first."""
    return [event for event in desk.store.events.alerts() if event.kind == f"alert.{kind}"]
