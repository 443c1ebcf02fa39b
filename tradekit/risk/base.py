"""What a risk check sees: the proposed entry, and the desk's book at this moment. No I/O, no clock."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from tradekit.model import Halt, Quote


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that somebody wants: a buy of `qty` at no more than `limit_price`."""

    decision_id: str
    symbol: str
    qty: Decimal
    limit_price: Decimal
    reference: Decimal  # fresh price that the limit is compared with
    stop_price: Decimal | None
    target_price: Decimal | None  # None: no target in the plan
    intent: str
    strategy: str | None
    cap: str | None  # of the thresholds: a symbol that universe.yaml does not list counts as mid
    sector: str | None
    kind: str | None  # leveraged | inverse | ...
    score: float | None
    max_hold_s: int | None
    on_open: bool  # a market-on-open order
    listed: bool = True  # universe.yaml names its cap class
    fee_in: Decimal | None = None  # what the buy costs in fees at the limit price; None: half the book's fee_rate
    fee_out: Decimal | None = None  # the same of the sell, regulatory fees included


class HeldView(msgspec.Struct, frozen=True, kw_only=True):
    """An open position of the desk, or a live entry order that may become one (`working` true)."""

    symbol: str
    qty: Decimal
    notional: Decimal | None  # at the last price; None: no fresh price
    cap: str | None
    sector: str | None
    session: date
    working: bool
    reversal_score: int | None
    reversal_at: datetime | None
    listed: bool = True  # universe.yaml names its cap class


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The state that checks judge; whatever is None is unknown, and unknown refuses an entry."""

    at: datetime
    session: date | None  # today's session, None: none today
    open_at: datetime | None
    close_at: datetime | None
    around_the_clock: bool
    equity: Decimal | None  # desk equity, the base of all percentages
    buying_power: Decimal | None
    day_pnl: Decimal | None  # realised + open since the previous close
    drawdown: float | None  # from the desk's peak, a positive fraction
    halts: Sequence[Halt] | None  # open ones; None: unreadable
    holdings: Sequence[HeldView]
    unmanaged: frozenset[str]  # symbols the account holds, or has foreign orders in, that are not the desk's
    other_desk: frozenset[str]
    quotes: Mapping[str, Quote]
    bar_end: Mapping[str, datetime]  # end of each symbol's last visible bar
    bar_seconds: Mapping[str, int]
    turnover: Mapping[str, float]  # median daily turnover over 20 sessions
    recent_volume: Mapping[str, float]  # shares over the last 5 minutes
    halted: frozenset[str]
    reopened_at: Mapping[str, datetime]
    closed_today: frozenset[str]
    last_closed_at: Mapping[str, datetime]
    entries_today: int  # with a fill
    entries_today_by_symbol: Mapping[str, int]
    entries_this_scan: int  # approved in this run of enter
    recent_entry_orders: Sequence[tuple[datetime, str]]  # (created_at, symbol) of the last day
    loss_streak: int
    reject_streak: int
    regime: str  # up | sideways | down | dead
    fee_rate: float  # both ways, as a fraction of notional
    day_trades_left: int | None  # None: the broker reports no limit
    settled_cash: Decimal | None
    returns: Mapping[str, Sequence[float]]  # daily returns, only where the correlation check is on
    exit_interval_s: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """None of these is an exception: a veto is a record. `because` says what would have to change."""

    rule: str
    approved: bool
    because: str
    limits: dict[str, Any] = {}
    skipped: bool = False  # the rule could not apply (no cap known) and says so


class Check(Protocol):
    """A frozen dataclass of settings with one method."""

    @property
    def name(self) -> str: ...

    def check(self, entry: Proposal, book: Book) -> Verdict: ...
