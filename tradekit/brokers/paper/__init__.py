"""A simulated exchange with books of its own, so that reconcile has somebody to disagree with.

`broker` is the venue, `engine` plays the tape, `prices` and `fees` say what a fill costs, `books` is paper.db.
"""

from tradekit.brokers.paper.broker import PaperBroker

__all__ = ["PaperBroker"]
