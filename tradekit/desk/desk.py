"""A desk at work: what the steps of the day are handed. desk/open.py is the only place that builds one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tradekit.brokers.base import Broker
from tradekit.calendar import Calendar
from tradekit.clock import Clock
from tradekit.config import Settings, Symbol
from tradekit.model import Run

if TYPE_CHECKING:
    from tradekit.market.market import Market
    from tradekit.store import Store
    from tradekit.strategies.base import Strategy


@dataclass
class Desk:
    """Settings and rules, the clock, the books, the data, the venue. A step never asks which kind they are."""

    path: Path
    id: str
    settings: Settings
    universe: Mapping[str, Symbol]
    clock: Clock
    calendar: Calendar
    store: "Store"
    market: "Market"
    broker: Broker
    strategies: Mapping[str, "Strategy"]
    settings_hash: str
    run: Run | None = None  # the run row of the command at work
    dry_run: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def cap(self, symbol: str) -> str:
        """The cap class that universe.yaml names; a symbol that it does not list counts as mid."""
        entry = self.universe.get(symbol)
        return (entry.cap if entry else None) or "mid"
