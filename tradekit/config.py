"""Settings: what desk.yaml may say, with the default of every key. Reading the file is base/settings_file.py.

Fractions, not percents (0.009 is 0.9 %); `_s` are seconds; money is in the desk's quote currency.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from tradekit.model import ExitPlan

Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NonNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


ABOVE_ZERO = frozenset({"tick", "ticks", "lot", "notional", "max_order_notional"})


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of desk.yaml; an unknown key is an error."""

    def __post_init__(self) -> None:
        """No setting that is a Decimal makes sense below 0 (msgspec bounds numbers, not Decimals)."""
        for name in self.__struct_fields__:
            said = getattr(self, name)
            for value in said.values() if isinstance(said, dict) else (said,):
                if not isinstance(value, Decimal):
                    continue
                if not value.is_finite() or value < 0 or (value == 0 and name in ABOVE_ZERO):
                    raise ValueError(f"{name}: {value} is too small or not a number")


class DeskSettings(Section, frozen=True):
    name: str = "desk"
    currency: str = "USD"
    calendar: str = "XNYS"  # an exchange_calendars name, or 24/7
    timezone: str = "America/New_York"  # exchange time; 24/7 desks: UTC
    benchmark: str | None = "SPY"
    broker: str = "paper"
    allocation: Annotated[float, Meta(gt=0, le=1)] = 1.0  # share of the account's equity that this desk trades


class PaperFee(Section, frozen=True):
    """One line of the dated fee table: `amount` per share, per trade, or as a fraction of notional."""

    kind: str  # sec | taf | cat | commission ...
    since: str  # ISO date; the latest row of a kind at or before the fill's session counts
    rate: Decimal
    per: Literal["share", "trade", "notional"]
    side: Literal["buy", "sell", "both"] = "sell"
    cap: Decimal | None = None  # per order and kind
    rounding: Literal["cent-up", "cent", "none"] = "cent-up"


class PaperSettings(Section, frozen=True):
    cash: Decimal = Decimal(100000)
    holdings: dict[str, Decimal] = {}  # shares that are not the desk's: never sold
    half_spread: Fraction = 0.0002  # the larger of this and half a tick
    half_spread_small: Fraction = 0.001  # small caps
    slippage: Fraction = 0.0005
    participation: Annotated[float, Meta(gt=0, le=1)] = 0.10
    latency_s: NonNegative = 0.5
    touch: bool = False  # true: a limit fills when price touches it; false: one tick through
    maker: NonNegative = 0.0  # fraction of notional
    taker: NonNegative = 0.0
    fees: list[PaperFee] | None = None  # None: the built-in US regulatory table; []: none


class HttpSettings(Section, frozen=True):
    """The venue behind HTTP that `desk.broker: http` trades at (docs/sim.md)."""

    base_url: str = ""  # https://..., or http:// on this machine
    account: str | None = None  # the account that must answer; null: the first one is remembered
    secret: str | None = None  # name of the bearer token among the secrets; null: none is sent
    client_ids: Literal["unique", "open-only", "none"] | None = None  # null: what the venue says
    connect_s: Positive = 3.0
    read_s: Positive = 5.0  # between two pieces of an answer
    total_s: Positive = 10.0  # a whole call, its repetitions and waits
    retries: Count = 2  # of reads; nothing else is sent twice
    settle_s: NonNegative = 10.0  # how long a cancel may take to become final
    grace_s: NonNegative = 10.0  # how long an order that was accepted may be invisible
    rate_per_minute: Positive = 180.0  # calls, all processes of the account together
    burst: Annotated[int, Meta(gt=0)] = 30
    reserve: Count = 10  # of the burst, for exits


class MarketSettings(Section, frozen=True):
    bars: str = "bars.db"  # relative to the desk
    source: str | None = None  # read only this source's series
    tick: Decimal = Decimal("0.01")  # smallest price step
    ticks: dict[str, Decimal] = {}  # of symbols that have another one
    lot: Decimal = Decimal(1)  # smallest quantity step
    silence_s: Annotated[int, Meta(gt=0)] = 300  # without a bar for so long a symbol is halted; 2 bars where longer

    def tick_of(self, symbol: str) -> Decimal:
        """The smallest price step of a symbol, quote currency."""
        return self.ticks.get(symbol, self.tick)


class ScanSettings(Section, frozen=True):
    strategies: list[str] = field(default_factory=lambda: ["momentum"])
    buy_types: list[Literal["open", "midday", "close"]] = field(
        default_factory=lambda: ["open", "midday"]
    )  # candidates of other scan types are recorded, never bought
    min_price: NonNegative = 5.0
    min_change: float = 0.005
    min_rvol: NonNegative = 1.2
    min_notional: NonNegative = 100000.0  # 24/7 desks instead of min_price: usual daily turnover
    allow_leveraged: bool = False  # true: funds of kind leveraged or inverse are scanned too


class DecideSettings(Section, frozen=True):
    by: Literal["rules", "human"] = "rules"
    buy_score: NonNegative = 12.0
    watch_score: NonNegative = 8.0
    expires_s: Annotated[int, Meta(gt=0)] = 300
    human_expires_s: Annotated[int, Meta(gt=0)] = 900
    stale_s: Annotated[int, Meta(gt=0)] = 900  # an older candidate is skipped: scan again
    chase: Fraction = 0.01
    conviction_floor: Fraction = 0.6
    conviction_base: Fraction = 0.6  # at buy_score
    conviction_step: Fraction = 0.05  # more for each point above it
    masters: Count = 3


class EntrySettings(Section, frozen=True):
    limit_offset: Fraction = 0.003  # over the ask
    cancel_after_s: Annotated[int, Meta(gt=0)] = 60
    send_deadline_s: Positive = 10.0
    moo_as_day_market: bool = False
    on_open_from_s: Annotated[int, Meta(gt=0)] = 1800  # before the open
    on_open_until_s: Count = 120  # venues take none later


class SizingSettings(Section, frozen=True):
    mode: Literal["fraction", "notional", "risk"] = "fraction"
    fraction: Fraction = 0.10  # of desk equity
    notional: Decimal = Decimal(5000)
    risk: Fraction = 0.005  # of desk equity, to the stop


class EndOfDaySettings(Section, frozen=True):
    limit_s: Count = 900  # before the close: marketable limit
    market_s: Count = 600
    alert_s: Count = 300
    moc: bool = False
    moc_cutoff_s: Count = 720


class PlanSettings(Section, frozen=True):
    """The parts of an exit plan that desk.yaml names; what it leaves out stays as the strategy has it.

    `null` switches a part off, which is why "not named" needs a mark of its own.
    """

    stop: Fraction | None | UnsetType = UNSET
    target: Positive | None | UnsetType = UNSET
    after_target: Literal["exit", "arm-trail"] | UnsetType = UNSET
    trail: Fraction | None | UnsetType = UNSET
    trail_from: Literal["target", "entry"] | UnsetType = UNSET
    max_hold_s: Annotated[int, Meta(gt=0)] | None | UnsetType = UNSET
    intent: Literal["day", "swing"] | UnsetType = UNSET
    flat_before_close_s: Count | None | UnsetType = UNSET
    close_above: Positive | None | UnsetType = UNSET
    stop_atr: Positive | None | UnsetType = UNSET

    def over(self, plan: ExitPlan) -> dict[str, Any]:
        """`plan` as a mapping, with the parts that are named here in place of its own."""
        merged: dict[str, Any] = msgspec.to_builtins(plan)
        merged.update(msgspec.to_builtins(self))
        return merged


class ExitSettings(Section, frozen=True):
    protect: Literal["disaster", "exact", "none"] = "disaster"
    disaster_min: Fraction = 0.02
    interval_s: Annotated[int, Meta(gt=0)] = 60  # how often monitor-exits is meant to run
    triggered_unfilled_s: Count = 15
    limit_offset: Fraction = 0.005  # marketable limit and extended-hours exits: under the bid
    max_discount: Fraction = 0.03
    second_look_s: NonNegative = 1.5
    submit_wait_s: Positive = 30.0  # for another order on its way
    send_deadline_s: Positive = 10.0  # for what the venue says before a sell is sent
    trade_fresh_s: Positive = 10.0  # a last trade inside the quote is the price for so long, then its mid
    widest_quote: Fraction = 0.01  # spread up to which the mid is a price, a fraction of it
    reprice_s: Positive = 10.0  # outside regular hours: until a limit gives way
    retry_s: Positive = 5.0  # after an exit was refused; doubles
    longest_retry_s: Positive = 300.0
    stop_tries: Annotated[int, Meta(gt=0)] = 3  # refused stops until it is called unprotected
    stop_retry_s: Positive = 30.0  # after those; doubles
    longest_stop_retry_s: Positive = 600.0
    unprotected_every_s: Annotated[int, Meta(gt=0)] = 300  # an unprotected position is told again this often
    quiet_s: Positive = 300.0  # a held symbol's price may stand still for so long before it is told
    reversal_alert: Count = 3
    reversal_close: Count = 5
    reversal_every_s: Annotated[int, Meta(gt=0)] = 1800
    plans: dict[str, PlanSettings] = {}  # by strategy name; a key that is absent keeps the strategy's own


class RiskSettings(Section, frozen=True):
    max_positions: Count = 6
    max_per_cap: Count | None = None
    max_per_scan: Count = 3
    daily_loss: Fraction = 0.02
    drawdown: Fraction = 0.08
    position_size: Fraction = 0.10
    exposure: Fraction = 0.60
    exposure_cap: Fraction = 1.0
    consecutive_losses: Count = 6
    reject_streak: Count = 3
    strategy_risk: Fraction = 0.005
    reopen_wait_s: Count = 300
    too_late_s: Count = 3600
    entries_per_day: Count = 12
    entries_per_symbol: Count = 1
    stale_quote_s: Positive = 20.0
    stale_bars: Positive = 2.0  # timeframes
    order_rate: Count = 20  # entries a minute
    symbol_cooldown_s: Count = 60  # after a close
    close_cooldown_s: Count = 86400  # the same on 24/7 desks
    spread: Fraction = 0.003
    spread_small: Fraction = 0.008
    spread_of_stop: Fraction = 0.25
    min_turnover: NonNegative = 10_000_000.0  # median of 20 days
    min_turnover_small: NonNegative = 3_000_000.0
    turnover_sessions: Annotated[int, Meta(ge=1, le=20)] = 10  # with a daily bar, of the last 20; fewer: not known
    turnover_share: Fraction = 0.01
    recent_volume_share: Fraction = 0.10
    recent_volume_s: Annotated[int, Meta(gt=0)] = 300  # what "recent" is
    room_to_profit: NonNegative = 3.0
    price_collar: Fraction = 0.05
    max_per_sector: Count = 2
    correlation: Fraction | None = None  # off; 0.8 over 60 days where it is on
    correlation_days: Count = 60
    duplicate_s: Count = 60
    restricted: list[str] = []
    allowed: list[str] | None = None
    regime: dict[str, Count] = field(default_factory=lambda: {"up": 6, "sideways": 4, "down": 2, "dead": 0})
    day_trade_rule: Literal["none", "broker", "legacy", "settled-cash"] = "broker"
    legacy_equity: NonNegative = 25_000.0  # from here on day trades are not counted
    legacy_day_trades: Count = 3  # in five sessions
    skip_buys_when_healthy: bool = False
    healthy_positions: Count = 3
    healthy_within_s: Count = 2100
    exit_interval_multiple: NonNegative = 5.0
    max_order_notional: Decimal | None = None
    stop_when_masters_hit: bool = False  # no entry for the rest of the session once all masters left at their target
    flatten_on: list[Literal["daily-loss", "drawdown", "consecutive-losses", "reject-streak"]] = []
    held_unmanaged: bool = True
    closed_today: bool = True
    leveraged_funds: bool = False  # true: symbols of kind leveraged or inverse may be bought


class RegimeSettings(Section, frozen=True):
    """What the market's regime is called; how many positions it allows is risk.regime."""

    band: Fraction = 0.01  # up above SMA20 x (1 + band), down below SMA20 x (1 - band)
    dead_share: Fraction = 0.25  # of the usual range of that half hour, under which a check counts as dead
    dead_checks: Annotated[int, Meta(gt=0)] = 3  # of those in a row


class DeadlineSettings(Section, frozen=True):
    """How long a command may take in all, waits for locks and answers included; seconds of the host.

    A pass of `monitor-exits --every` counts as a command. The last tenth (at most 10 s) is kept for finishing.
    """

    exits: Positive = 100.0  # monitor-exits, cancel
    liquidate: Positive = 600.0  # outside regular hours its limits give way step by step
    entries: Positive = 120.0  # enter
    other: Positive = 540.0  # scan, decide, reconcile, jobs and the rest
    catch_up: Annotated[float, Meta(gt=0, lt=1)] = 0.5  # share for catching up with the venue; exits have the rest


class SuperviseSettings(Section, frozen=True):
    """What `tradekit supervise` (and run-slot) hold their children to; seconds of the host."""

    timeout_s: Positive = 600.0  # of a slot that names none
    exit_timeout_s: Positive = 120.0  # the same for monitor-exits
    backoff_s: Positive = 1.0  # before a child that died is started again; doubles
    longest_backoff_s: Positive = 300.0
    exit_backoff_s: Positive = 10.0  # exits never wait longer than this
    crashes: Annotated[int, Meta(gt=0)] = 5  # in a row, until it is called broken
    health_s: Positive = 30.0
    asleep_health_s: Positive = 300.0  # while the market is closed
    wake_before_s: Count = 300  # before the next slot
    grace_s: Positive = 5.0  # after a child's time limit until SIGTERM, and from there to SIGKILL
    busy_again_s: Positive = 5.0  # a child that found another copy at work is tried again
    jump_s: Positive = 30.0  # a clock or a host that jumps further is told
    stop_s: Annotated[float, Meta(gt=0, le=10)] = 8.0  # from SIGTERM to SIGKILL for children
    rescan_s: Annotated[int, Meta(ge=0, multiple_of=60)] = 0  # scan again so often and ask a human; 0: never


class ChannelSettings(Section, frozen=True):
    """One way to a human. Bot tokens, passwords and apprise URLs are secrets: they are named here, never written."""

    kind: Literal["telegram", "webhook", "ntfy", "smtp", "apprise"]
    url: str = ""  # webhook, ntfy, telegram: https://..., or http:// on this machine; ntfy and telegram have their own
    secret: str | None = None  # NAME of the token, password or apprise URL among the secrets
    chat: str = ""  # telegram: the chat's id
    topic: str = ""  # ntfy
    host: str = ""  # smtp
    port: Annotated[int, Meta(gt=0, lt=65536)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"  # smtp; none is for this machine only
    user: str = ""  # smtp; empty: no login
    sender: str = ""  # smtp
    to: list[str] = []  # smtp
    only: list[str] = []  # kinds that go here, e.g. ["alert.*"]; []: all that are switched on
    urgent: bool = False  # true: only what is urgent goes here


class NotifySettings(Section, frozen=True):
    """What goes to a human, and how. Kinds are those of `tradekit events`; `alert.*` stands for all alerts."""

    channels: dict[str, ChannelSettings] = {}
    events: dict[str, bool] = {}  # switches over the built-in ones (docs/notify.md)
    urgent: list[str] = field(
        default_factory=lambda: [
            "alert.unprotected", "alert.exit-by-hand", "alert.exit-failed", "alert.exits-blind", "alert.exits-failing",
            "alert.untraded", "alert.still-open", "alert.stop-stuck", "alert.child-broken", "alert.halt",
        ]
    )  # fmt: skip
    every_s: Positive = 10.0  # how often the supervisor's notifier looks
    burst: Annotated[int, Meta(gt=0)] = 20  # events in one message
    retry_s: Positive = 5.0  # after a failure; doubles
    longest_retry_s: Positive = 300.0
    keep_s: Annotated[int, Meta(gt=0)] = 259200  # what could not be delivered for so long is given up
    escalate_s: Annotated[int, Meta(gt=0)] = 300  # a position without a live stop is told again this often


class BotSettings(Section, frozen=True):
    """The Telegram bot (docs/bot.md). The token is a secret: it is named here, never written."""

    enabled: bool = False  # true: supervise keeps it running
    users: list[int] = []  # Telegram's numbers of those who may; []: nobody, and the bot does not start
    groups: bool = False  # true: the same users are served in groups too
    secret: str = "telegram-token"  # NAME of the token among the secrets
    url: str = "https://api.telegram.org"  # of the Bot API: https://HOST, or http:// on this machine
    settable: list[str] = field(
        default_factory=lambda: [
            "risk.max_positions", "risk.max_per_scan", "risk.entries_per_day", "risk.restricted", "sizing.fraction",
            "decide.buy_score",
        ]
    )  # fmt: skip
    confirm_s: Annotated[int, Meta(gt=0)] = 60  # life of a question's buttons
    too_old_s: Annotated[int, Meta(gt=0)] = 120  # an order by chat that is older is not carried out
    poll_s: Annotated[int, Meta(gt=0, le=600)] = 50  # how long one call waits for news
    retry_s: Positive = 1.0  # after a failure; doubles
    longest_retry_s: Positive = 60.0
    offline_s: Positive = 300.0  # without Telegram for so long: an alert
    answer_s: Positive = 600.0  # how long an answer is tried to be delivered
    timeout_s: Positive = 120.0  # of a command that looks something up
    act_timeout_s: Positive = 660.0  # of one that trades or changes something
    stop_s: Annotated[float, Meta(gt=0, le=9)] = 6.0  # what its commands have to end in when it is stopped
    at_once: Annotated[int, Meta(gt=0)] = 2  # looks that are answered at the same time
    pieces: Annotated[int, Meta(gt=0)] = 5  # an answer of more messages is sent as a file
    file_mb: Positive = 50.0  # largest file that is sent; Telegram's own limit
    strangers: Count = 1000  # users who are not served and were written down; the rest is not even that


class ProviderSettings(Section, frozen=True):
    """One OAuth login. What is not named comes from the built-in facts of `type` (or of the section's own name)."""

    client_id: str
    type: str | None = None  # schwab or tradestation, where the section has another name
    secret_name: str | None = None  # NAME of the client secret (never the secret); None: SECTION-client-secret
    redirect_uri: str | None = None  # as registered, character for character
    authorize_url: str | None = None
    token_url: str | None = None
    client_auth: Literal["basic", "body", "none"] | None = (
        None  # how the secret goes along; none: a PKCE key without one
    )
    scope: str | None = None
    audience: str | None = None
    pkce: bool | None = None
    access_s: Positive | None = None  # life of an access token, where the answer does not say
    login_s: Positive | None | UnsetType = UNSET  # life of a login; null: it does not end
    one_use: bool | None = None  # true: a refresh token works once, and a second use kills the login
    retry_lost: bool | None = None  # after a lost answer try the old refresh token once more; default: not one_use
    refresh_after: Fraction | None = None  # share of an access token's life after which it is replaced
    warn_after: Fraction | None = None  # share of a login's life after which every run warns
    login_steps: str | None = None  # YAML for --login browser; relative to the desk


class Settings(Section, frozen=True):
    """The whole of desk.yaml. `strategies` holds each strategy's own fields, checked when it is built."""

    desk: DeskSettings = field(default_factory=DeskSettings)
    market: MarketSettings = field(default_factory=MarketSettings)
    paper: PaperSettings = field(default_factory=PaperSettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    scan: ScanSettings = field(default_factory=ScanSettings)
    decide: DecideSettings = field(default_factory=DecideSettings)
    entry: EntrySettings = field(default_factory=EntrySettings)
    sizing: SizingSettings = field(default_factory=SizingSettings)
    exits: ExitSettings = field(default_factory=ExitSettings)
    end_of_day: EndOfDaySettings = field(default_factory=EndOfDaySettings)
    risk: RiskSettings = field(default_factory=RiskSettings)
    regime: RegimeSettings = field(default_factory=RegimeSettings)
    deadlines: DeadlineSettings = field(default_factory=DeadlineSettings)
    supervise: SuperviseSettings = field(default_factory=SuperviseSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    bot: BotSettings = field(default_factory=BotSettings)
    providers: dict[str, ProviderSettings] = {}  # OAuth logins that refresh-token looks after
    strategies: dict[str, dict[str, Any]] = {}
    schedule: list[dict[str, Any]] | None = None  # None: the default schedule

    def strategy_defaults(self) -> dict[str, float]:
        """The scan's limits, for every strategy that has fields of these names and no setting of its own."""
        scan, around_the_clock = self.scan, self.desk.calendar == "24/7"
        return {
            "min_price": 0.0 if around_the_clock else scan.min_price,
            "min_notional": scan.min_notional if around_the_clock else 0.0,
            "min_change": scan.min_change,
            "min_rvol": scan.min_rvol,
        }


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """One line of universe.yaml. A symbol that is not listed has cap None."""

    symbol: str
    cap: str | None = None
    sector: str | None = None
    kind: str | None = None  # leveraged | inverse | etf | ...
    since: str | None = None
    until: str | None = None
