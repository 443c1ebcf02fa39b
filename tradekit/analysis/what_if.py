"""The same entries with other plans, through the desk's own exit rules: what would have been better, and is it chance?

Costs are included. A setting is chosen on the first half of the sessions and shown on the second; its p-value comes
from a max-statistic permutation over the whole grid (White, A Reality Check for Data Snooping, 2000): signs of whole
sessions are flipped, because trades of one session move together.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import chain, product, starmap
from math import inf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tradekit.analysis.grid import Way, run_ways
from tradekit.analysis.held import Case, Numbers
from tradekit.exits import NONE, PRIORITY, begin, levels
from tradekit.exits.base import NAN, Bar, Held, Plan
from tradekit.exits.plan import Wish, levels_of, wish_of
from tradekit.exits.walk import walk
from tradekit.model import ExitPlan, Record

if TYPE_CHECKING:
    import numpy as np

MIN_TRADES, MIN_SESSIONS = 100, 20  # under which nothing is advised
SURE = 0.05
PERMUTATIONS = 2000
AS_TRADED = "as-traded"
AT_OPEN = "open"
WORTH_COMPILING = 100_000  # trades x settings from which machine code pays for being loaded or made
END = "end of bars"
NO_ENTRY = NONE - 1
NAMES: dict[int, str] = {NO_ENTRY: "no entry", NONE: END, **dict(enumerate(PRIORITY))}
PLACE = {name: place for place, name in NAMES.items()}


class Setting(NamedTuple):
    """One plan to try: `entry` is as-traded, a delay in minutes, or open (the first one after the pick, so the next
    session's for what was picked during one); None switches a part off.
    """

    entry: str
    stop: float | None
    target: float | None
    trail: float | None
    hold_min: int | None


class Costs(NamedTuple):
    """Fractions of the price a side: half the spread and slippage; `tick` in price units, `interval_s` of the exits."""

    half_spread: float
    slippage: float
    tick: float
    interval_s: float = 60.0

    @property
    def side(self) -> float:
        return self.half_spread + self.slippage


class Grid(NamedTuple):
    """What is tried: every combination."""

    entries: tuple[str, ...] = (AS_TRADED, "5", "15", "30", AT_OPEN)
    stops: tuple[float | None, ...] = (0.005, 0.009, 0.015, 0.025)
    targets: tuple[float | None, ...] = (0.01, 0.02, 0.026, 0.04, None)
    trails: tuple[float | None, ...] = (None, 0.015)
    holds: tuple[int | None, ...] = (None,)

    def settings(self) -> list[Setting]:
        """All combinations; the last axis runs fastest."""
        axes = (self.entries, self.stops, self.targets, self.trails, self.holds)
        return [Setting(*parts) for parts in product(*axes)]


class Outcome(NamedTuple):
    """One trade under one setting; `ret` after costs, as a fraction."""

    ret: float
    reason: str
    exit_s: float


class WhatIfLine(Record, frozen=True, kw_only=True):
    """One setting over all trades; means are returns a trade after costs, fractions."""

    entry: str
    stop: float | None
    target: float | None
    trail: float | None
    hold_min: int | None
    trades: int
    mean: float | None
    against_plan: float | None  # mean less the mean of the plans as they were
    win_rate: float | None
    first_half: float | None
    second_half: float | None
    exits: dict[str, int]
    mark: str  # baseline, best, region


class WhatIf(Record, frozen=True, kw_only=True):
    """The answer. `p_value`: how often chance alone finds a setting that beats the plans by as much, on this grid."""

    trades: int
    left_out: int  # no bars of their session, or no next open where opens are tried
    sessions: int
    settings: int
    traded_mean: float | None  # what the desk really made a trade
    baseline_mean: float | None  # the plans as they were, simulated the same way as the others
    best: dict[str, Any] | None  # chosen on the first half of the sessions
    best_first_half: float | None
    best_second_half: float | None
    baseline_second_half: float | None
    region: dict[str, Any] | None  # settings around it that are as good within one standard error
    p_value: float | None
    cost_a_side: float
    advice: str


class Tape:
    """The bars of one trade, with running extremes for each way to enter."""

    def __init__(self, case: Case, bars: Numbers, costs: Costs) -> None:
        self.case = case
        self.costs = costs
        self._read = bars
        self._bars = path(case, bars)
        self._starts = [bar.start_s for bar in self._bars]
        self._views: dict[str, View | None] = {}

    def view(self, entry: str) -> "View | None":
        """From an entry on; None where no bar is left."""
        if entry not in self._views:
            self._views[entry] = self._view(entry)
        return self._views[entry]

    def _view(self, entry: str) -> "View | None":
        case = self.case
        close_s = case.session.close.timestamp()
        if entry == AT_OPEN:
            return self._at_open()
        if entry == AS_TRADED:
            first, since = bisect_left(self._starts, case.entry_at.timestamp()), case.entry_at.timestamp()
            return View(self._bars, first, case.entry, since, close_s) if first < len(self._bars) else None
        since = case.entry_at.timestamp() + 60 * float(entry)
        first = bisect_left(self._starts, since)
        if first >= len(self._bars) or self._starts[first] >= case.deadline.timestamp():
            return None
        bar = self._bars[first]
        return View(self._bars, first, bar.open * (1 + self.costs.side), bar.start_s, close_s)

    def _at_open(self) -> "View | None":
        """The first open that came after the pick: its own session's only where it was picked before that."""
        case, session = self.case, self.case.opening
        if session is None:
            return None
        until = session.close if case.plan.intent == "day" else max(case.seen_to, session.close)
        bars = list(starmap(Bar, self._read(case.symbol, session.open, until)))
        if not bars or bars[0].start_s > session.open.timestamp() + 900:  # no opening bar: nobody knows that open
            return None
        return View(bars, 0, bars[0].open * (1 + self.costs.side), bars[0].start_s, session.close.timestamp())


class View:
    """Bars from an entry on: `rows` from place `start`. The running extremes say where a level can first be touched."""

    def __init__(self, rows: Sequence[Bar], start: int, entry: float, opened_s: float, close_s: float) -> None:
        self.rows, self.start, self.entry, self.opened_s, self.close_s = rows, start, entry, opened_s, close_s

    @cached_property
    def bars(self) -> Sequence[Bar]:
        return self.rows[self.start :]

    @cached_property
    def low(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        return np.array([bar.low for bar in self.bars])

    @cached_property
    def top(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        return np.maximum.accumulate(np.array([bar.high for bar in self.bars]))

    @cached_property
    def bottom(self) -> "np.ndarray[Any, Any]":
        """The lowest low so far, negative: it rises, so that it can be searched."""
        import numpy as np

        return -np.minimum.accumulate(self.low)

    @cached_property
    def ends(self) -> "np.ndarray[Any, Any]":
        import numpy as np

        return np.array([bar.end_s for bar in self.bars])

    def first(self, plan: Plan) -> int:
        """A bar at or before the one that ends the position: levels are taken a tick too wide, the rules decide."""
        found = len(self.bars)
        if not isnan(plan.stop):
            found = min(found, int(self.bottom.searchsorted(-plan.stop - plan.tick)))
        for level in (leaving_target(plan), plan.close_above):
            if not isnan(level):
                found = min(found, int(self.top.searchsorted(level - plan.tick)))
        for at in (plan.flat_at_s, self.opened_s + plan.max_hold_s):
            if not isnan(at):
                found = min(found, int(self.ends.searchsorted(at)))
        if not isnan(plan.trail):
            found = min(found, self._trailed(plan, found))
        return found

    def _trailed(self, plan: Plan, limit: int) -> int:
        since = int(self.top.searchsorted(plan.target - plan.tick)) if plan.arm else 0
        if since >= limit:
            return limit
        if not plan.arm and self.low[since] <= self.entry * (1 - plan.trail) + plan.tick:
            return since
        level = self.top[since : limit - 1].copy()
        level[level < self.entry] = self.entry
        level *= 1 - plan.trail
        if not isnan(plan.floor):
            level[level < plan.floor] = plan.floor
        touched = self.low[since + 1 : limit] <= level + plan.tick
        i = int(touched.argmax()) if len(touched) else 0
        return since + 1 + i if len(touched) and touched[i] else limit

    def held(self, i: int, plan: Plan) -> Held:
        """The position as the rules know it before bar i: what `advance` would have made of the bars so far."""
        start = begin(plan, self.entry, self.opened_s)
        if i == 0:
            return start
        top = float(self.top[i - 1])
        return Held(self.entry, max(self.entry, top), start.armed or (plan.arm and top >= plan.target), self.opened_s)


def leaving_target(plan: Plan) -> float:
    """The target where it exits; one that arms a trail ends nothing."""
    return float("nan") if plan.arm else plan.target


def plan_with(plan: ExitPlan, setting: Setting) -> ExitPlan:
    """The trade's own plan with the setting's parts in place of its own."""
    arms = setting.trail is not None and setting.target is not None
    return msgspec.structs.replace(
        plan,
        stop=setting.stop,
        stop_atr=None,
        stop_price=None,
        target=setting.target,
        target_price=None,
        close_above=None,
        trail=setting.trail,
        trail_from="target" if arms else "entry",
        after_target="arm-trail" if arms else "exit",
        max_hold_s=None if setting.hold_min is None else setting.hold_min * 60,
    )


def simulate(tape: Tape, plan: ExitPlan, entry: str) -> Outcome | None:
    """One trade under one plan, bar by bar through the exit rules; None without bars after its entry."""
    view = tape.view(entry)
    if view is None:
        return None
    fixed = levels(plan, view.entry, tape.costs.tick, opened_s=view.opened_s, close_s=view.close_s)
    return _walked(view, fixed, tape.costs)


def _walked(view: View, plan: Plan, costs: Costs) -> Outcome:
    """The exit, looked for from the first bar on that can bring it."""
    last = len(view.bars)
    i = view.first(plan)
    held = view.held(i, plan) if i < last else begin(plan, view.entry, view.opened_s)
    rule, price, at = walk(view.bars, i, last, held, plan, costs.interval_s)
    return Outcome(price * (1 - costs.side) / view.entry - 1, _name(rule), at)


def _name(rule: int) -> str:
    return END if rule == NONE else PRIORITY[rule]


def what_if(
    cases: Sequence[Case],
    bars: Numbers,
    grid: Grid,
    costs: Costs,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    kernels: Path | None = None,
) -> tuple[WhatIf, list[WhatIfLine]]:
    """Every setting of the grid over every long trade; the answer and a line per setting, the best first.

    `kernels`: a private folder for compiled loops (needs numba), used where the work is worth it; None: plain Python.
    The numbers are the same, bit for bit.
    """
    import numpy as np

    longs = [case for case in cases if case.side == "long"]
    tapes = [Tape(case, bars, costs) for case in longs]
    tapes = [tape for tape in tapes if tape.view(AS_TRADED) is not None]
    tapes, grid = _with_known_open(tapes, grid)
    settings = grid.settings()
    days = [tape.case.session.day for tape in tapes]
    if not tapes or not settings:
        return _nothing(cases, settings, costs), []
    rets = np.zeros((len(settings) + 1, len(tapes)))  # an entry that comes too late is no trade: it earned nothing
    rules = np.full(rets.shape, NO_ENTRY)
    fast = run_ways if kernels is None or rets.size < WORTH_COMPILING else _compiled(kernels)
    if fast is run_ways:
        _plainly(tapes, grid, costs, rets, rules, progress)
    else:
        _at_once(tapes, grid, costs, rets, rules, fast)
    for t, tape in enumerate(tapes):
        own = simulate(tape, tape.case.plan, AS_TRADED)
        if own is not None:
            rets[0, t], rules[0, t] = own.ret, PLACE[own.reason]
    progress(len(tapes), len(tapes))
    exits = [{NAMES[place]: int(n) for place, n in zip(*np.unique(row, return_counts=True), strict=True)}
             for row in rules]  # fmt: skip
    return _answer(cases, tapes, days, settings, grid, rets, exits, costs)


def _with_known_open(tapes: list[Tape], grid: Grid) -> tuple[list[Tape], Grid]:
    """All settings over the same trades: one whose next open nobody knows yet is left out where opens are tried.

    Where no trade has one, opens are not tried.
    """
    if AT_OPEN not in grid.entries:
        return tapes, grid
    known = [tape for tape in tapes if tape.view(AT_OPEN) is not None]
    if known:
        return known, grid
    return tapes, grid._replace(entries=tuple(entry for entry in grid.entries if entry != AT_OPEN))


def _plans(tape: Tape, grid: Grid) -> list[ExitPlan]:
    """What the settings make of a trade's plan; the same for every entry."""
    return [plan_with(tape.case.plan, setting) for setting in grid._replace(entries=("",)).settings()]


def _kept(plan: ExitPlan) -> tuple[Any, ...]:
    """What a setting leaves as it was: trades that agree in it share their plans."""
    return plan.intent, plan.flat_before_close_s


def _plainly(
    tapes: Sequence[Tape],
    grid: Grid,
    costs: Costs,
    rets: "np.ndarray[Any, Any]",
    rules: "np.ndarray[Any, Any]",
    progress: Callable[[int, int], None],
) -> None:
    shared: dict[tuple[Any, ...], list[Wish]] = {}
    for t, tape in enumerate(tapes):
        key = _kept(tape.case.plan)
        if key not in shared:
            shared[key] = [wish_of(plan) for plan in _plans(tape, grid)]
        wishes = shared[key]
        for e, entry in enumerate(grid.entries):
            view = tape.view(entry)
            if view is None:
                continue
            for w, wish in enumerate(wishes):
                plan = levels_of(wish, view.entry, costs.tick, view.close_s, NAN)
                ret, reason, _ = _walked(view, plan, costs)
                k = 1 + e * len(wishes) + w
                rets[k, t], rules[k, t] = ret, PLACE[reason]
        progress(t, len(tapes))


def _compiled(folder: Path) -> Callable[..., None]:
    """The loop as machine code; the plain one where numba cannot be loaded or the folder not be used."""
    from tradekit.exits.compiled import can_compile, compiled

    if not can_compile():
        return run_ways
    return compiled(run_ways, folder)


def _at_once(
    tapes: Sequence[Tape],
    grid: Grid,
    costs: Costs,
    rets: "np.ndarray[Any, Any]",
    rules: "np.ndarray[Any, Any]",
    run: Callable[..., None],
) -> None:
    """All bars in one row, all entries as places in it; the trades are shared out among the cores."""
    import os
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    kept = list(dict.fromkeys(_kept(tape.case.plan) for tape in tapes))
    plans = {key: _plans(tape, grid) for key, tape in {_kept(tape.case.plan): tape for tape in tapes}.items()}
    wishes = np.array([[wish_of(plan) for plan in plans[key]] for key in kept], dtype=_dtype(Wish))
    rows: list[Sequence[Bar]] = []
    placed: dict[int, tuple[int, int]] = {}  # the entries of one trade share its bars
    ways: list[Way] = []
    count = 0
    for t, tape in enumerate(tapes):
        for e, entry in enumerate(grid.entries):
            view = tape.view(entry)
            if view is None:
                continue
            if id(view.rows) not in placed:
                rows.append(view.rows)
                placed[id(view.rows)] = count, count + len(view.rows)
                count += len(view.rows)
            first, until = placed[id(view.rows)]
            ways.append(Way(first + view.start, until, view.entry, view.opened_s, view.close_s,
                            kept.index(_kept(tape.case.plan)), t, 1 + e * wishes.shape[1]))  # fmt: skip
    numbers = chain.from_iterable(chain.from_iterable(rows))
    bars = np.fromiter(numbers, np.float64, count * len(Bar._fields)).view(_dtype(Bar))
    all_ways = np.array(ways, dtype=_dtype(Way))

    def part(some: "np.ndarray[Any, Any]") -> None:
        run(bars, some, wishes, costs.tick, costs.side, float(costs.interval_s), rets, rules)

    part(all_ways[:0])  # compiles, or finds what was compiled before
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(part, [all_ways[i::cores].copy() for i in range(cores)]))


def _dtype(record: type) -> "np.dtype[Any]":
    """A NamedTuple of floats, flags and counts as a numpy record: the rules read its fields by the same names."""
    import numpy as np

    kinds = {float: "f8", bool: "?", int: "i8"}
    return np.dtype([(name, kinds[kind]) for name, kind in record.__annotations__.items()])


def path(case: Case, bars: Numbers) -> list[Bar]:
    """Regular bars from the session's open to its close, or for swing plans as far as they are known."""
    until = min(case.session.close, case.seen_to) if case.plan.intent == "day" else case.seen_to
    return list(starmap(Bar, bars(case.symbol, case.session.open, until)))


def _nothing(cases: Sequence[Case], settings: Sequence[Setting], costs: Costs) -> WhatIf:
    return WhatIf(
        trades=0,
        left_out=len(cases),
        sessions=0,
        settings=len(settings),
        traded_mean=None,
        baseline_mean=None,
        best=None,
        best_first_half=None,
        best_second_half=None,
        baseline_second_half=None,
        region=None,
        p_value=None,
        cost_a_side=costs.side,
        advice="no advice: no trade has intraday bars after its entry",
    )


def _answer(
    cases: Sequence[Case],
    tapes: Sequence[Tape],
    days: Sequence[date],
    settings: Sequence[Setting],
    grid: Grid,
    rets: "np.ndarray[Any, Any]",
    exits: Sequence[Mapping[str, int]],
    costs: Costs,
) -> tuple[WhatIf, list[WhatIfLine]]:
    import numpy as np

    sessions = sorted(set(days))
    early = np.array([day in set(sessions[: (len(sessions) + 1) // 2]) for day in days])
    means = rets.mean(axis=1)
    first = rets[:, early].mean(axis=1)
    second = rets[:, ~early].mean(axis=1) if (~early).any() else np.full(len(rets), np.nan)
    shape = tuple(len(axis) for axis in grid)
    around = _smoothed(first[1:].reshape(shape)).reshape(-1)
    best = int(around.argmax())
    p = permutation_p(rets[1:] - rets[0], days)
    region = _region(best, first[1:], rets[1:][:, early], shape, settings)
    known = [tape.case.return_pct for tape in tapes if tape.case.return_pct is not None]
    answer = WhatIf(
        trades=len(tapes),
        left_out=len(cases) - len(tapes),
        sessions=len(sessions),
        settings=len(settings),
        traded_mean=sum(known) / len(known) if known else None,
        baseline_mean=float(means[0]),
        best=settings[best]._asdict(),
        best_first_half=float(first[best + 1]),
        best_second_half=_number(second[best + 1]),
        baseline_second_half=_number(second[0]),
        region=_ranges([settings[i] for i in region]),
        p_value=p,
        cost_a_side=costs.side,
        advice=advice(len(tapes), len(sessions), p, _number(second[best + 1]), _number(second[0])),
    )
    lines = [
        WhatIfLine(
            **(settings[k - 1]._asdict() if k else _own()),
            trades=rets.shape[1] - exits[k].get("no entry", 0),
            mean=float(means[k]),
            against_plan=float(means[k] - means[0]) if k else None,
            win_rate=float((rets[k] > 0).mean()),
            first_half=float(first[k]),
            second_half=_number(second[k]),
            exits=dict(sorted(exits[k].items())),
            mark="baseline" if k == 0 else "best" if k - 1 == best else "region" if k - 1 in region else "",
        )
        for k in range(len(rets))
    ]
    order = sorted(range(1, len(lines)), key=lambda k: (k - 1 != best, -means[k], k))
    return answer, [lines[0], *(lines[k] for k in order)]


def _own() -> dict[str, Any]:
    return {"entry": AS_TRADED, "stop": None, "target": None, "trail": None, "hold_min": None}


def advice(trades: int, sessions: int, p: float | None, ours: float | None, baseline: float | None) -> str:
    """What may be said. Nothing on too little, nothing that chance explains, nothing that did not last."""
    if trades < MIN_TRADES or sessions < MIN_SESSIONS:
        return (
            f"no advice: {trades} trades in {sessions} sessions are too few "
            f"(at least {MIN_TRADES} in {MIN_SESSIONS}); the numbers describe the past only"
        )
    if p is None or p >= SURE:
        return f"keep the plans: on a grid this size chance finds as much in {p or 1:.0%} of the cases"
    if ours is None or baseline is None or ours <= baseline:
        return "keep the plans: what was best in the first half of the sessions was not better in the second"
    return "worth trying on paper: better in both halves, and more than chance finds on a grid this size"


def permutation_p(better: "np.ndarray[Any, Any]", days: Sequence[date], n: int = PERMUTATIONS) -> float | None:
    """How often flipping the signs of whole sessions gives a best setting as good as the one found.

    `better` is [setting, trade]: return less the baseline's. None of fewer than two sessions.
    """
    import numpy as np

    names = sorted(set(days))
    if len(names) < 2:
        return None
    index = np.array([names.index(day) for day in days])
    sums = np.zeros((better.shape[0], len(names)))
    for s in range(len(names)):
        sums[:, s] = better[:, index == s].sum(axis=1)
    spread = np.sqrt((sums**2).sum(axis=1))
    moves = spread > 0
    if not moves.any():
        return None
    scaled = sums[moves] / spread[moves, None]
    found = scaled.sum(axis=1).max()
    signs = np.random.default_rng(7).choice((-1.0, 1.0), size=(n, len(names)))
    reached = ((signs @ scaled.T).max(axis=1) >= found - 1e-12).sum()
    return float((1 + reached) / (1 + n))


def _smoothed(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Each cell's mean with its neighbours along every axis but the first (entries have no order)."""
    import numpy as np

    total, count = np.array(values), np.ones_like(values)
    for axis in range(1, values.ndim):
        for step in (-1, 1):
            moved = np.roll(values, step, axis=axis)
            valid = np.roll(np.ones_like(values), step, axis=axis)
            edge: list[Any] = [slice(None)] * values.ndim
            edge[axis] = 0 if step == 1 else -1
            valid[tuple(edge)] = 0
            total += moved * valid
            count += valid
    return total / count


def _region(
    best: int,
    means: "np.ndarray[Any, Any]",
    rets: "np.ndarray[Any, Any]",
    shape: tuple[int, ...],
    settings: Sequence[Setting],
) -> set[int]:
    """Settings reached from the best by single steps along the grid that stay within one standard error of it."""
    import numpy as np

    n = rets.shape[1]
    error = float(rets[best].std(ddof=1) / n**0.5) if n > 1 else 0.0
    found, todo = {best}, [best]
    while todo:
        place = list(np.unravel_index(todo.pop(), shape))
        for axis in range(1, len(shape)):
            for step in (-1, 1):
                near = list(place)
                near[axis] += step
                if not 0 <= near[axis] < shape[axis]:
                    continue
                i = int(np.ravel_multi_index(tuple(near), shape))
                if i not in found and means[i] >= means[best] - error:
                    found.add(i)
                    todo.append(i)
    return found


def _ranges(settings: Sequence[Setting]) -> dict[str, Any]:
    """Lowest and highest of each part; None (off) sorts last."""

    def span(values: Sequence[Any]) -> Any:
        ranked = sorted(set(values), key=lambda x: inf if x is None else x)
        return ranked[0] if len(ranked) == 1 else [ranked[0], ranked[-1]]

    names = Setting._fields[1:]
    return {"entry": settings[0].entry, **{name: span([getattr(s, name) for s in settings]) for name in names}}


def _number(x: Any) -> float | None:
    return None if isnan(float(x)) else float(x)


def parse_axis(text: str, option: str, *, whole: bool = False) -> tuple[float | None, ...]:
    """`0.005,0.01,none` as numbers; ValueError names the word."""
    found: list[float | None] = []
    for word in text.split(","):
        word = word.strip().lower()
        if word in ("none", "off"):
            found.append(None)
            continue
        try:
            value = float(word)
        except ValueError:
            raise ValueError(f"{option}: {word!r} is not a number or none") from None
        if not 0 < value < (inf if whole else 1):
            raise ValueError(f"{option}: {word} must be {'above 0' if whole else 'a fraction: 0.01 is 1 %'}")
        found.append(value)
    return tuple(dict.fromkeys(found))
