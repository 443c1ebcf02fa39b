"""tradekit analyze entry-timing, price-movement, targets, what-if, missed, symbol, signals"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tradekit.commands._reporting import (
    Asked,
    SessionOption,
    SinceOption,
    StrategyOption,
    SymbolOption,
    UntilOption,
    asked,
    read_copy,
)
from tradekit.errors import UsageError

if TYPE_CHECKING:
    from tradekit.analysis.held import Bars, Case, Numbers
    from tradekit.analysis.what_if import Grid
    from tradekit.commands._output import Kinds
    from tradekit.desk.desk import Desk


class Seen(NamedTuple):
    """What is known by now: bars of any hours as records, and the regular ones as floats."""

    bars: "Bars"
    numbers: "Numbers"


EachOption = Annotated[bool, typer.Option("--each", help="A line per trade too (always in json, jsonl and csv).")]
NO_TRADES = "no closed trades"


def entry_timing(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    each: EachOption = False,
) -> None:
    """Were the picks late, or the entries? How much of the day's rise was over, and what waiting would have brought.

    Needs intraday bars of the days. Reads only.
    """
    from tradekit.analysis.entry_timing import EntryLine, EntryTiming, WaitLine
    from tradekit.analysis.entry_timing import entry_timing as analyse

    with _cases(ctx, asked(session, since, until, strategy, symbol)) as (cases, seen):
        summary, waits, lines = analyse(cases, seen.bars)
    if not cases:
        _print(ctx, [], NO_TRADES, of=(EntryTiming, WaitLine, EntryLine))
    elif ctx.obj.format != "table":
        _print(ctx, [summary, *waits, *lines])
    else:
        print(f"{summary.answer}\n")
        _print(ctx, [summary])
        print("\nthe same exits, entered later")
        _print(ctx, waits)
        if each:
            print()
            columns = ("id", "wait_s", "slippage_bp", "rise_before", "rise_of_day", "used_at_pick", "used",
                       "best_after", "worst_after", "low_in_30m", "verdict")  # fmt: skip
            _print(ctx, lines, columns=columns)


def price_movement(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    each: EachOption = False,
) -> None:
    """What the price did 5 minutes to the close after our entries, the best and the worst, and after our exits.

    Only bars that began after the entry count. Reads only.
    """
    from tradekit.analysis.price_movement import Horizon, MoveLine
    from tradekit.analysis.price_movement import price_movement as analyse

    with _cases(ctx, asked(session, since, until, strategy, symbol)) as (cases, seen):
        horizons, lines = analyse(cases, seen.bars)
    if not cases:
        _print(ctx, [], NO_TRADES, of=(Horizon, MoveLine))
        return
    if ctx.obj.format != "table":
        _print(ctx, [*horizons, *lines])
        return
    _print(ctx, horizons)
    if each:
        print()
        columns = ("id", "after_5m", "after_30m", "after_120m", "at_close", "mfe", "mfe_min", "mae", "mae_min",
                   "worst_first", "got", "left", "exit_reason")  # fmt: skip
        _print(ctx, lines, columns=columns)


def targets(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    each: EachOption = False,
) -> None:
    """Targets placed, filled, cancelled, and reachable: by the high AFTER our entry and before our deadline.

    With daily bars only, the order of high and entry is unknown, and it says so. Reads only.
    """
    from tradekit.analysis.targets import TargetLine, Targets
    from tradekit.analysis.targets import targets as analyse

    with _cases(ctx, asked(session, since, until, strategy, symbol)) as (cases, seen):
        summary, lines = analyse(cases, seen.bars)
    if not cases:
        _print(ctx, [], NO_TRADES, of=(Targets, TargetLine))
    elif ctx.obj.format != "table":
        _print(ctx, [summary, *lines])
    else:
        print(f"{summary.answer}\n")
        print(_list(summary), end="")
        if each:
            print()
            columns = ("id", "entry_price", "target", "high_after", "high_of_day", "best_possible", "missing",
                       "status", "why")  # fmt: skip
            _print(ctx, lines, columns=columns)


def missed(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    most: Annotated[int, typer.Option(min=0, help="How many of the best that were missed.")] = 20,
) -> None:
    """What we did not buy and what became of it, by the reason that kept us out; then the best of them.

    Outcomes come from `jobs outcomes`. Reads only.
    """
    from tradekit.analysis.missed import MissedLine, WhyLine
    from tradekit.analysis.missed import missed as analyse

    question = asked(session, since, until, strategy, symbol)
    with read_copy(ctx.obj) as store:
        candidates = [
            c
            for c in store.candidates.found(rejected=True, symbol=question.symbol, session=_one(question))
            if question.holds(c.session) and (strategy is None or c.strategy == strategy)
        ]
        decisions = {d.candidate_id: d for d in store.decisions.all(session=_one(question)) if d.candidate_id}
        vetoes: dict[str, str] = {}
        for check in store.risk_checks.all():
            if check.verdict == "vetoed" and check.decision_id:
                vetoes.setdefault(check.decision_id, check.rule)
        filled = {o.decision_id for o in store.orders.all(session=_one(question)) if o.filled_qty > 0}
        traded = {d.candidate_id for d in decisions.values() if d.id in filled and d.candidate_id}
    whys, lines = analyse(candidates, decisions, vetoes, traded, most=most)
    if ctx.obj.format != "table":
        _print(ctx, [*whys, *lines], of=(WhyLine, MissedLine))
        return
    _print(ctx, whys, "no candidates")
    if lines:
        print(f"\nthe {len(lines)} best that were missed")
        columns = ("id", "score", "why", "return_1d", "return_5d", "max_gain", "max_drawdown")
        _print(ctx, lines, columns=columns)


def symbol_(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL")],
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
) -> None:
    """Everything about one symbol: how often it was found, decided, refused, bought, and what that brought.

    Reads only.
    """
    from tradekit.analysis.symbol import symbol_history
    from tradekit.commands._output import show
    from tradekit.commands._reporting import trades_of

    question = asked(session, since, until, strategy, symbol)
    with read_copy(ctx.obj) as store:
        trades = trades_of(store, question)
        candidates = [
            c
            for c in store.candidates.found(rejected=True, symbol=question.symbol)
            if question.holds(c.session) and (strategy is None or c.strategy == strategy)
        ]
        decisions = [d for d in store.decisions.all(symbol=question.symbol) if question.holds(d.session)]
        decisions = [d for d in decisions if strategy is None or d.strategy == strategy]
        vetoes = [c.rule for d in decisions for c in store.risk_checks.for_decision(d.id) if c.verdict == "vetoed"]
    found = symbol_history(question.symbol or symbol, trades, candidates, decisions, vetoes)
    if ctx.obj.format != "table":
        _print(ctx, [found, *trades])
        return
    print(_list(found), end="")
    if trades:
        print()
        show(trades)


def signals(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    on: Annotated[str, typer.Option(metavar="WHAT", help="trades, or candidates (up a day later).")] = "trades",
) -> None:
    """Which features separated winners from losers: sizes, intervals, p-values corrected for looking often.

    Reads only.
    """
    from tradekit.analysis.signals import signals as analyse
    from tradekit.commands._output import show
    from tradekit.commands._reporting import trades_of

    question = asked(session, since, until, strategy, symbol)
    if on not in ("trades", "candidates"):
        raise UsageError(f"--on {on}: not known", "--on trades or --on candidates")
    rows: list[tuple[bool, dict[str, float | None]]] = []
    with read_copy(ctx.obj) as store:
        if on == "candidates":
            for c in store.candidates.found(rejected=True, symbol=question.symbol, session=_one(question)):
                wanted = question.holds(c.session) and (strategy is None or c.strategy == strategy)
                if wanted and c.return_1d is not None and c.features:
                    rows.append((c.return_1d > 0, {"score": c.score, **c.features}))
        else:
            for trade in trades_of(store, question):
                decision = store.decisions.get(trade.decision_id) if trade.decision_id else None
                found = store.candidates.get(decision.candidate_id) if decision and decision.candidate_id else None
                if found and trade.net != 0:
                    rows.append((trade.net > 0, {"score": found.score, **found.features}))
    summary, lines = analyse(rows, on=on)
    if ctx.obj.format != "table":
        _print(ctx, [summary, *lines])
        return
    print(f"{summary.warning}\n")
    show(lines, "table", empty="no features: the candidates of these trades are not known")


def what_if(
    ctx: typer.Context,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
    entry: Annotated[str, typer.Option(help="as-traded, open, minutes of delay.")] = "as-traded,5,15,30,open",
    stop: Annotated[str, typer.Option(help="Fractions of the entry, or none.")] = "0.005,0.009,0.015,0.025",
    target: Annotated[str, typer.Option(help="Fractions, or none.")] = "0.01,0.02,0.026,0.04,none",
    trail: Annotated[str, typer.Option(help="Fractions, once the target is hit; or none.")] = "none,0.015",
    hold: Annotated[str, typer.Option(help="Longest hold in minutes, or none.")] = "none",
    most: Annotated[int, typer.Option(min=1, help="Settings in the table.")] = 15,
) -> None:
    """The same entries with other plans through the desk's own exit rules, costs included, over a grid.

    Chosen on the first half of the sessions, shown on the second, with a permutation p-value over the whole grid.
    No advice below 100 trades in 20 sessions. Reads only.
    """
    from tradekit.analysis.what_if import Costs
    from tradekit.analysis.what_if import what_if as analyse
    from tradekit.commands._context import read_settings

    settings = read_settings(ctx.obj).settings
    grid = _grid(entry, stop, target, trail, hold)
    costs = Costs(settings.paper.half_spread, settings.paper.slippage, float(settings.market.tick),
                  settings.exits.interval_s)  # fmt: skip
    with _cases(ctx, asked(session, since, until, strategy, symbol)) as (cases, seen):
        summary, lines = analyse(cases, seen.numbers, grid, costs, kernels=_kernels())
    if ctx.obj.format != "table":
        _print(ctx, [summary, *lines])
        return
    print(f"{summary.advice}\n")
    print(_list(summary), end="")
    if lines:
        print()
        columns = ("entry", "stop", "target", "trail", "hold_min", "trades", "mean", "against_plan", "win_rate",
                   "first_half", "second_half", "exits", "mark")  # fmt: skip
        _print(ctx, lines[: most + 1], columns=columns)


def _kernels() -> Path | None:
    """Where compiled loops are kept; None where they cannot be: then plain Python does it."""
    from tradekit.base.cache import cache_folder
    from tradekit.errors import ConfigError

    try:
        return cache_folder("compiled")
    except ConfigError:
        return None


def _grid(entry: str, stop: str, target: str, trail: str, hold: str) -> "Grid":
    from tradekit.analysis.what_if import AS_TRADED, AT_OPEN, Grid, parse_axis

    entries = tuple(dict.fromkeys(word.strip().lower() for word in entry.split(",")))
    for word in entries:
        if word not in (AS_TRADED, AT_OPEN) and not (word.isdigit() and int(word) > 0):
            raise UsageError(f"--entry {word!r} is no way to enter", "--entry as-traded,5,15,open")
    try:
        holds = tuple(None if x is None else round(x) for x in parse_axis(hold, "--hold", whole=True))
        return Grid(entries, parse_axis(stop, "--stop"), parse_axis(target, "--target"), parse_axis(trail, "--trail"),
                    holds)  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error), "--stop 0.009,0.015,none") from None


@contextmanager
def _cases(ctx: typer.Context, question: Asked) -> "Iterator[tuple[list[Case], Seen]]":
    """Closed trades with their plans, and the bars that are known by now."""
    from tradekit.commands._reporting import eyes, trades_of

    with read_copy(ctx.obj) as store:
        trades = trades_of(store, question)
        if not trades:
            yield [], Seen(lambda symbol, since, until: [], lambda symbol, since, until: [])
            return
        desk = eyes(ctx.obj, store, min(trade.session for trade in trades))
        cases = [case for trade in trades if (case := _case(desk, trade)) is not None]
        now = desk.clock.now()
        yield (
            cases,
            Seen(
                lambda symbol, since, until: desk.market.bars(symbol, since, min(until, now)),
                lambda symbol, since, until: desk.market.regular(symbol, since, min(until, now)),
            ),
        )


def _case(desk: "Desk", trade: Any) -> "Case | None":
    """A trade with its plan; None where its day is no session."""
    import msgspec

    from tradekit.analysis.held import case_of
    from tradekit.model import ExitPlan

    day = desk.calendar.day(trade.entry_at)
    session = desk.calendar.on(day)
    if session is None:
        found = desk.store.sessions.load(day, day)
        session = found[0] if found else None
    if session is None:
        return None
    position = desk.store.positions.get(trade.id)
    plan = msgspec.convert(position.plan if position else {}, ExitPlan, strict=False)
    decision = desk.store.decisions.get(trade.decision_id) if trade.decision_id else None
    candidate = desk.store.candidates.get(decision.candidate_id) if decision and decision.candidate_id else None
    # a swing plan is followed up to ten sessions after its entry
    later = _after(desk, day)
    last = session.close if plan.intent == "day" else (later[-1].close if later else session.close)
    return case_of(
        trade,
        plan,
        session,
        last=min(desk.clock.now(), max(last, trade.exit_at)),
        target=float(position.target_price) if position and position.target_price is not None else None,
        target_hit=bool(position and position.target_hit),
        decision=decision,
        candidate=candidate,
        following=desk.calendar.next(day),
    )


def _after(desk: "Desk", day: Any) -> list[Any]:
    found = []
    for _ in range(10):
        session = desk.calendar.next(day)
        if session is None:
            break
        found.append(session)
        day = session.day
    return found


def _one(question: Asked) -> Any:
    return question.first if question.first is not None and question.first == question.last else None


# Of the analyses; printed in percent.
FRACTIONS = frozenset({
    "mean", "low", "high", "median", "better", "up", "up_low", "up_high", "at_close", "mfe", "mae", "got", "left",
    "captured", "used", "used_at_pick", "average_used", "rise_before", "rise_of_day", "high_before", "best_after",
    "worst_after", "low_in_30m", "missing", "best_possible", "target_pct", "filled_share", "filled_low",
    "filled_high", "average_target_pct", "average_best_possible", "return_1d", "return_5d", "max_gain",
    "max_drawdown", "gained_2pct", "traded_mean", "baseline_mean", "best_first_half", "best_second_half",
    "baseline_second_half", "cost_a_side", "against_plan", "win_rate", "first_half", "second_half", "after_5m",
    "after_30m", "after_120m",
})  # fmt: skip


def _percent_of(name: str) -> str:
    return f"{name.removesuffix('_pct')} %" if name in FRACTIONS else name


def _in_percent(record: Any) -> dict[str, Any]:
    """A record as a table shows it: fractions in percent, and the columns say so."""
    from tradekit.commands._output import row_of

    return {
        _percent_of(name): round(value * 100, 2) if name in FRACTIONS and isinstance(value, float) else value
        for name, value in row_of(record).items()
    }


def _print(
    ctx: typer.Context,
    rows: Sequence[Any],
    empty: str = "nothing",
    columns: Sequence[str] | None = None,
    of: "Kinds" = (),
) -> None:
    """Records as they are; in tables fractions are percent."""
    from tradekit.commands._output import show

    if ctx.obj.format == "table":
        rows, columns = [_in_percent(row) for row in rows], columns and [_percent_of(name) for name in columns]
    show(rows, ctx.obj.format, empty=empty, columns=columns, of=of)


def _list(record: Any) -> str:
    from tradekit.commands._output import as_list

    return as_list(_in_percent(record))
