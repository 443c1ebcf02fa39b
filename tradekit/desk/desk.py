"""A desk at work: what the steps of the day are handed. desk/open.py is the only place that builds one."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tradekit.brokers.base import Broker
from tradekit.calendar import Calendar
from tradekit.clock import Clock
from tradekit.config import Settings, Symbol
from tradekit.errors import ConfigError
from tradekit.model import Event, Run

if TYPE_CHECKING:
    from tradekit.market.market import Market
    from tradekit.store import Store
    from tradekit.strategies.base import Strategy


def print_stderr(text: str) -> None:
    """Talk goes to stderr; stdout is data. A stderr that cannot be written to (full disk, pipe) stops nothing."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr)


@dataclass
class Desk:
    """Settings and rules, the clock, the books, the data, the venue. A step never asks which kind they are.

    Market and broker are built at first use: a pass with nothing to do loads neither.
    """

    path: Path
    id: str
    settings: Settings
    universe: Mapping[str, Symbol]
    clock: Clock
    calendar: Calendar
    store: "Store"
    open_market: Callable[[], "Market"]
    open_broker: Callable[["Desk"], Broker]
    strategies: Mapping[str, "Strategy"]
    settings_hash: str
    code_version: str
    account_dir: Path  # submit lock and limits, shared by every desk of the account
    run: Run | None = None  # the run row of the command at work
    dry_run: bool = False
    counts: dict[str, int] = field(default_factory=dict)  # what the run row will say it did
    events: list[Event] = field(default_factory=list)  # written by this run
    trouble: ConfigError | None = None  # what is wrong with desk.yaml: the settings are those of before
    left: list[str] = field(default_factory=list)  # symbols that the time of the command did not suffice for
    sending: bool = False  # this process has the account's submit lock
    say: Callable[[str], None] = print_stderr
    place: Callable[..., str] = lambda *keys: "desk.yaml"  # where a key stands: place("schedule", 3) -> desk.yaml:41

    @cached_property
    def market(self) -> "Market":
        return self.open_market()

    @cached_property
    def broker(self) -> Broker:
        return self.open_broker(self)

    def cap(self, symbol: str) -> str:
        """The cap class that universe.yaml names; a symbol that it does not list counts as mid."""
        entry = self.universe.get(symbol)
        return (entry.cap if entry else None) or "mid"

    def listed(self, symbol: str) -> bool:
        """Does universe.yaml name its cap class?"""
        entry = self.universe.get(symbol)
        return entry is not None and entry.cap is not None

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the run row."""
        self.counts[name] = self.counts.get(name, 0) + n
