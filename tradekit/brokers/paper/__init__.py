"""A simulated exchange with books of its own, so that reconcile has somebody to disagree with.

`broker.PaperBroker` is the venue, `prices` its fill prices, `fees` its dated fee table, `books` its file.
"""
