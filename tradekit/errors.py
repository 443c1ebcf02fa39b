"""Every error that tradekit raises on purpose, each with its exit code.

    TradekitError            1   a bug, or nothing better is known
    ├── UsageError           2   a wrong word, option or id
    │   ├── ConfigError      2   desk.yaml, universe.yaml or an environment variable
    │   └── MissingExtra     2   an optional package is not installed
    ├── NothingToDo          3   not due, market closed (only with --exit-code)
    ├── AuthError            4   somebody has to log in
    ├── UpstreamError        5   broker, data or network failed: retry later
    │   ├── BrokerError      5   the venue did not answer as it should
    │   │   └── AmbiguousSend 5  an order may or may not have reached the venue
    │   ├── DataError        5   no bars or quotes where some are needed
    │   └── TimeIsOver       5   the command has used the time it may take
    ├── Refused              6   a risk rule or a halt said no
    │   └── OrderRejected    6   the venue said no
    ├── Findings             7   done, and something wants a look
    ├── Busy                 8   another copy holds the lock
    └── StoreError           9   the database cannot be used

A message names the thing and what was found; `hint` is the command or edit that fixes it.
"""


class TradekitError(Exception):
    """The root of the tree. `hint` is the next thing to do, `retryable` whether waiting may help."""

    code = 1
    retryable = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TradekitError):
    code = 2


class ConfigError(UsageError):
    pass


class MissingExtra(UsageError):
    pass


class NothingToDo(TradekitError):
    code = 3


class AuthError(TradekitError):
    code = 4


class UpstreamError(TradekitError):
    code = 5
    retryable = True


class BrokerError(UpstreamError):
    """`sent` is False where it is certain that no byte of the request left this machine."""

    sent = True


class AmbiguousSend(BrokerError):
    """The order may be at the venue: never send it again under another id."""


class DataError(UpstreamError):
    pass


class TimeIsOver(UpstreamError):
    pass


class Refused(TradekitError):
    code = 6


class OrderRejected(Refused):
    """`why` is the venue's reason as one word (held, buying-power, wash-trade ...), empty where it gave none."""

    why = ""


class Findings(TradekitError):
    code = 7


class Busy(TradekitError):
    """`no_time` is True where the command had no time left to wait for the lock: then its time is what was short."""

    code = 8
    retryable = True
    no_time = False


class StoreError(TradekitError):
    code = 9
