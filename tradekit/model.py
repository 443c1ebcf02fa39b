"""The nouns of a desk, frozen. Field names are a contract: tables, JSON and CSV use them as they stand.

Unknown is None, never 0. Prices, quantities and money are Decimal in the desk's quote currency;
times (`*_at`, `at`) are aware UTC; `session` is the exchange's date; fractions, not percents.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

Side = Literal["buy", "sell"]
Intent = Literal["day", "swing"]
Purpose = Literal["entry", "exit", "protect", "liquidate"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
Tif = Literal["day", "gtc", "ioc", "opg", "cls"]  # opg: on the open; cls: on the close
AdjustmentKind = Literal[
    "deposit",
    "withdrawal",
    "dividend",
    "interest",
    "fee",
    "split",
    "cash-in-lieu",
    "correction",
    "adopt",
    "release",
    "external",
]
SlotState = Literal["running", "done", "failed", "missed", "skipped"]
OrderStatus = Literal[
    "intended",
    "submitted",
    "open",
    "partially_filled",
    "filled",
    "cancelled",
    "rejected",
    "expired",
    "unknown",
]
LIVE_STATUSES: frozenset[str] = frozenset({"intended", "submitted", "open", "partially_filled", "unknown"})
FINAL_STATUSES: frozenset[str] = frozenset({"filled", "cancelled", "rejected", "expired"})


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the store and an object of the output."""


class Session(NamedTuple):
    """One trading session: `day` is the exchange's date, open and close are UTC, `minutes` its length."""

    day: date
    open: datetime
    close: datetime
    half: bool

    @property
    def minutes(self) -> int:
        return int((self.close - self.open).total_seconds() // 60)


class PriceBar(NamedTuple):
    """One recorded bar as floats; `start` and `end` are UTC. It is known to nobody before `end`."""

    symbol: str
    start: datetime
    end: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    regular: bool  # inside the session's regular hours


class BarSource(Protocol):
    """Where the paper engine gets its bars: the finest series a symbol has on each session."""

    def played(self, symbol: str, since: datetime, until: datetime) -> Sequence[PriceBar]:
        """Bars of the symbol's finest series with start >= since and end <= until, in order."""
        ...

    def last(self, symbol: str, at: datetime) -> PriceBar | None:
        """The last bar (any hours) whose end is at or before `at`; intraday before daily."""
        ...

    def bar_seconds(self, symbol: str, session: date) -> int | None:
        """Length of the symbol's finest bars in that session; None without intraday bars."""
        ...


class Scan(Record, frozen=True, kw_only=True):
    id: str
    session: date
    at: datetime
    strategy: str
    cap: str | None
    type: str
    counts: dict[str, int]
    context: dict[str, Any]


class MarketSnapshot(Record, frozen=True, kw_only=True):
    at: datetime
    benchmark: str
    price: Decimal | None
    trend: float | None
    sma20: float | None
    volatility: float | None
    breadth: float | None
    regime: str
    stale: bool = False


class Candidate(Record, frozen=True, kw_only=True, gc=False):  # thousands a scan, and no cycles
    id: str
    scan_id: str
    session: date
    at: datetime
    strategy: str
    symbol: str
    cap: str | None
    price: Decimal | None
    score: float | None
    passed: bool
    reject_reason: str | None
    because: str
    features: dict[str, float | None]
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    return_1d: float | None = None
    return_3d: float | None = None
    return_5d: float | None = None
    return_10d: float | None = None
    max_gain: float | None = None
    max_drawdown: float | None = None


class Decision(Record, frozen=True, kw_only=True):
    id: str
    candidate_id: str | None
    position_id: str | None
    session: date
    at: datetime
    expires_at: datetime | None
    symbol: str
    action: Literal["BUY", "WATCH", "SKIP", "CLOSE", "HOLD"]
    by: str
    score: float | None
    conviction: float | None
    intent: Intent | None
    stop_price: Decimal | None
    target_price: Decimal | None
    order_kind: str  # limit | moo
    because: str
    status: Literal["waiting", "pending", "used", "expired", "refused"]
    strategy: str | None = None
    cap: str | None = None
    price: Decimal | None = None  # what the candidate cost when it was decided
    rvol: float | None = None
    master: bool = False
    plan: dict[str, Any] = {}  # the ExitPlan that an entry will carry


class RiskCheck(Record, frozen=True, kw_only=True):
    id: str
    decision_id: str | None
    order_id: str | None
    at: datetime
    verdict: Literal["approved", "vetoed"]
    rule: str
    because: str
    limits: dict[str, Any]


class Order(Record, frozen=True, kw_only=True):
    id: str
    client_order_id: str
    broker_order_id: str | None = None
    decision_id: str | None = None
    position_id: str | None = None
    session: date
    symbol: str
    side: Side
    qty: Decimal
    type: OrderType
    tif: Tif
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_pct: Decimal | None = None
    extended_hours: bool = False
    purpose: Purpose
    reason: str
    status: OrderStatus = "intended"
    raw_status: str | None = None
    filled_qty: Decimal = Decimal(0)
    avg_price: Decimal | None = None
    fees: Decimal = Decimal(0)
    decision_price: Decimal | None = None
    created_at: datetime
    submitted_at: datetime | None = None
    updated_at: datetime | None = None
    error: str | None = None
    attempt: int = 0
    because: str = ""
    trigger_at: datetime | None = None  # start of the bar that touched an exit level, see brokers/base.py
    plan: dict[str, Any] = {}  # entries: the ExitPlan and strategy facts of the position to be
    run_id: str | None = None


class Fill(Record, frozen=True, kw_only=True, gc=False):  # a million in a statement, and no cycles
    id: str
    broker_fill_id: str
    order_id: str | None
    at: datetime
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    fee_estimated: bool
    session: date
    raw: str | None = None


class ExitPlan(Record, frozen=True, kw_only=True):
    """How a position leaves, as fractions of its entry price; None switches a part off.

    `after_target`: exit, or arm-trail (then `trail` below the high, never below entry + half the target).
    `trail_from`: the trail starts at the target or at entry. `close_above` is a target that exits.
    """

    stop: float | None = None
    target: float | None = None
    after_target: Literal["exit", "arm-trail"] = "exit"
    trail: float | None = None
    trail_from: Literal["target", "entry"] = "target"
    max_hold_s: int | None = None
    intent: Intent = "day"
    flat_before_close_s: int | None = 900
    close_above: float | None = None
    stop_atr: float | None = None
    stop_price: float | None = None  # absolute levels win over fractions: a signal's, or the operator's
    target_price: float | None = None


class Position(Record, frozen=True, kw_only=True):
    id: str
    symbol: str
    side: Literal["long", "short"]
    qty: Decimal
    avg_price: Decimal
    opened_at: datetime
    session: date
    strategy: str | None
    cap: str | None
    intent: Intent
    plan: dict[str, Any]
    stop_price: Decimal | None
    target_price: Decimal | None
    target_hit: bool
    high: Decimal | None
    low: Decimal | None
    last_price: Decimal | None
    unrealized: Decimal | None
    decision_id: str | None
    master: bool
    protected_by: str | None


class Mark(Record, frozen=True, kw_only=True):
    """What the passes have seen of a position; all marks of a pass are written in one transaction."""

    position_id: str
    at: datetime
    judged_to: datetime  # end of the last complete bar that the exit rules have judged
    last_price: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    target_hit: bool = False
    stop_price: Decimal | None = None  # the level in force now (a trail moves it)
    reversal_score: int | None = None
    reversal_at: datetime | None = None
    note: str | None = None  # why it is held overnight, halted, ...


class Trade(Record, frozen=True, kw_only=True):
    id: str
    symbol: str
    side: Literal["long", "short"]
    strategy: str | None
    qty: Decimal
    entry_at: datetime
    entry_price: Decimal
    exit_at: datetime
    exit_price: Decimal
    exit_reason: str
    exits: list[dict[str, Any]]
    gross: Decimal
    fees: Decimal
    net: Decimal
    return_pct: float | None
    planned_risk: Decimal | None
    r_multiple: float | None
    mfe: float | None
    mae: float | None
    hold_s: int
    regime: str | None
    session: date
    decision_id: str | None
    strategy_version: str | None
    because: str


class Adjustment(Record, frozen=True, kw_only=True):
    id: str
    at: datetime
    kind: AdjustmentKind
    symbol: str | None
    qty: Decimal | None
    amount: Decimal | None
    ref: str | None


class Halt(Record, frozen=True, kw_only=True):
    id: str
    at: datetime
    kind: str  # manual | daily-loss | drawdown | consecutive-losses | reject-streak
    reason: str
    flatten: bool
    by: str
    cleared_at: datetime | None = None
    session: date | None = None


class Slot(Record, frozen=True, kw_only=True):
    name: str
    session: date
    due_at: datetime
    state: SlotState
    run_id: str | None


class Account(Record, frozen=True, kw_only=True):
    at: datetime
    equity: Decimal | None
    cash: Decimal
    buying_power: Decimal
    desk_equity: Decimal | None
    exposure: Decimal
    exposure_pct: float | None
    positions: int
    daily_pnl: Decimal | None
    daily_pnl_pct: float | None
    peak_equity: Decimal | None
    drawdown: float | None
    session: date | None = None


class Run(Record, frozen=True, kw_only=True):
    id: str
    command: str
    argv: str
    started_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    counts: dict[str, int] = {}
    clock: str
    code_version: str
    settings_hash: str


class Event(Record, frozen=True, kw_only=True):
    id: str
    at: datetime
    session: date | None
    run_id: str | None
    kind: str
    symbol: str | None = None
    ref: str | None = None
    data: dict[str, Any] = {}


class Performance(Record, frozen=True, kw_only=True):
    """One session of the desk, one row: money in the desk's currency, fractions of desk equity."""

    session: date
    at: datetime  # when the row was taken: the session's close, or the moment of the job
    equity: Decimal | None  # of the account
    desk_equity: Decimal | None  # what this desk trades: its allocation and what it made of it
    cash: Decimal
    exposure: Decimal
    exposure_pct: float | None
    positions: int
    pnl: Decimal | None  # of the session, realised and open, after fees
    pnl_pct: float | None
    realized: Decimal  # net of the trades that closed in the session
    fees: Decimal  # of the session's fills
    flow: Decimal  # deposits less withdrawals: no performance
    trades: int
    wins: int
    drawdown: float | None  # below the highest growth of returns so far, the start included
    benchmark: str | None
    benchmark_close: Decimal | None
    benchmark_return: float | None  # close over the close of the session before
    rebuilt: bool  # made later, from the books and recorded bars


class PositionCheck(Record, frozen=True, kw_only=True):
    """What `jobs track` saw of an open position; fractions of the entry price."""

    id: str
    position_id: str
    symbol: str
    session: date
    at: datetime
    price: Decimal | None
    high: Decimal | None  # since the entry, of bars that began after it
    low: Decimal | None
    high_at: datetime | None  # end of the bar that made the high
    mfe: float | None
    mae: float | None
    unrealized: Decimal | None
    stop_price: Decimal | None
    reversal_score: int | None
    signs: str | None  # names of the signs that made the score


class PoorSignal(Record, frozen=True, kw_only=True):
    """A trade that a reversal ended: what spoke for it, what ended it, how long that took."""

    id: str  # of the trade
    symbol: str
    strategy: str | None
    session: date
    at: datetime  # of the exit
    entry_because: str
    exit_because: str
    score: float | None  # of the candidate, 0 to 20
    reversal_score: int | None
    hold_s: int
    net: Decimal
    return_pct: float | None
    features: dict[str, float | None]
    pattern: str  # the parts of the reversal, in a fixed order


class Watched(Record, frozen=True, kw_only=True):
    """A symbol that somebody put on the watchlist by hand."""

    symbol: str
    at: datetime
    session: date
    by: str
    because: str


class Quote(Record, frozen=True, kw_only=True):
    """Bid and ask at `at` (the end of the bar it was made of, or the venue's own time)."""

    symbol: str
    at: datetime
    bid: Decimal
    ask: Decimal
    last: Decimal
    last_at: datetime
    source: str
    assumed: bool  # the spread is a setting, not an observation
    age_s: float | None = None

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2
