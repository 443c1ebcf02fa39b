"""tradekit data import, data list, data check, data synthetic"""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tradekit.errors import Findings, UsageError

if TYPE_CHECKING:
    from tradekit.calendar import Calendar
    from tradekit.config import Settings
    from tradekit.market.bars import BarStore
    from tradekit.store import Store

TIMEFRAMES = ("1m", "5m", "1h", "1d")


def import_(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="CSV or Parquet with symbol, ts, open, high, low, close, volume.")
    ],
    timeframe: Annotated[str, typer.Option(help="Length of the bars: 1m, 5m, 1h or 1d.")],
    source: Annotated[str, typer.Option(help="Name of the feed; series of one source belong together.")] = "file",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite stored bars that differ.")] = False,
    zone: Annotated[str | None, typer.Option(help="Time zone of times that have none: America/New_York.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge and count; write nothing.")] = False,
) -> None:
    """Bars in, from CSV or Parquet files.

    All files or none of them. Importing a file again writes nothing; a bar that differs from the stored one is
    refused (7) unless --replace.
    """
    from tradekit.clock import SystemClock
    from tradekit.commands._output import say, show
    from tradekit.desk.open import open_desk

    if timeframe not in TIMEFRAMES:
        raise UsageError(f"--timeframe {timeframe}: not one of {', '.join(TIMEFRAMES)}")
    with open_desk(ctx.obj, command="data import", dry_run=dry_run) as desk:
        from tradekit.market.importing import import_files, read_files, span

        tables = read_files(files, timeframe, zone)
        days = span(tables)
        calendar = calendar_over(desk.store, desk.settings, *days) if days else desk.calendar
        with bar_store(ctx.obj.here, desk.store, desk.settings, write=True, dry_run=dry_run) as bars:
            rows = import_files(
                bars, tables, calendar, timeframe=timeframe, source=source, replace=replace, now=SystemClock().now(),
                dry_run=dry_run,
            )  # fmt: skip
        desk.counts["bars"] = sum(row.bars for row in rows)
    for row in rows:
        if row.dropped or row.disordered:
            lost = ", ".join(f"{count} {reason}" for reason, count in row.dropped.items()) or "nothing"
            say(f"{row.file}: dropped {lost}; {row.disordered} rows were out of order")
    show(rows, ctx.obj.format, columns=IMPORT_COLUMNS, dry_run=dry_run)


IMPORT_COLUMNS = (
    "file", "source", "timeframe", "rows", "symbols", "sessions", "bars", "known", "replaced", "dropped", "first",
    "last",
)  # fmt: skip


def list_(
    ctx: typer.Context,
    symbol: Annotated[str | None, typer.Option(help="One symbol's series instead of the sums.")] = None,
) -> None:
    """The series there are.

    A read: safe at any time.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import show
    from tradekit.market.bars import SUMMARY
    from tradekit.market.bars import TIMEFRAMES as SECONDS

    names = {seconds: name for name, seconds in SECONDS.items()}
    with read_store(ctx.obj) as store, bar_store(ctx.obj.here, store, read_settings(ctx.obj).settings) as bars:
        if symbol is None:
            rows = [{**row, "timeframe": names.get(row["timeframe"], row["timeframe"])} for row in bars.summary()]
        else:
            known = bars.axis()
            if symbol not in known:
                raise unknown_symbol(symbol, known)
            rows = [{**s._asdict(), "timeframe": names[s.timeframe_s]} for s in bars.series(symbol)]
    show(
        rows,
        ctx.obj.format,
        empty="no bars: tradekit data import FILE... --timeframe 1d",
        columns=LIST_COLUMNS,
        of=SUMMARY,
    )


LIST_COLUMNS = ("source", "timeframe", "symbols", "first", "last", "sessions", "bars")


def check(
    ctx: typer.Context,
    session: Annotated[str | None, typer.Option(help="Only this session, as 2026-02-13.")] = None,
) -> None:
    """Look for gaps, missing sessions, unadjusted splits, bad ticks and bars without volume; 7 when there are any.

    A read: safe at any time.
    """
    from tradekit.commands._context import read_settings, read_store
    from tradekit.commands._output import show

    day = day_of(session, "--session") if session else None
    settings = read_settings(ctx.obj).settings
    with read_store(ctx.obj) as store, bar_store(ctx.obj.here, store, settings) as bars:
        from tradekit.market.checking import Finding
        from tradekit.market.checking import check as look

        spans = [(s.first, s.last) for s in bars.series()]
        if not spans:
            found = []
        else:
            first, last = min(s[0] for s in spans), max(s[1] for s in spans)
            calendar = calendar_over(store, settings, date.fromisoformat(first), date.fromisoformat(last))
            found = look(bars, calendar, session=day)
    show(
        found,
        ctx.obj.format,
        empty="nothing wrong with the bars" if spans else "no bars",
        counts_as_idle=False,
        of=Finding,
    )
    if found:
        raise Findings(f"{len(found)} findings", "import corrected bars with --replace")


def synthetic(
    ctx: typer.Context,
    session: Annotated[str, typer.Option(help="The day that gets minute bars, as 2026-02-13.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 1,
    symbols: Annotated[int, typer.Option(help="How many, the benchmark included.", min=2, max=5000)] = 200,
    history: Annotated[int, typer.Option(help="Daily sessions before the day.", min=0, max=1000)] = 60,
    source: Annotated[str, typer.Option(help="Name of the feed.")] = "synthetic",
) -> None:
    """Make up a market: daily history and one day of minute bars.

    The same words make the same bars, so running it again writes nothing.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk

    day = day_of(session, "--session")
    with open_desk(ctx.obj, command="data synthetic") as desk:
        from datetime import timedelta

        from tradekit.market.synthetic import generate

        calendar = calendar_over(desk.store, desk.settings, day - timedelta(days=2 * history + 30), day)
        with bar_store(ctx.obj.here, desk.store, desk.settings, write=True) as bars:
            row = generate(
                bars, seed=seed, symbols=symbols, session=day, calendar=calendar, history=history, source=source,
                benchmark=desk.settings.desk.benchmark or "SPY",
            )  # fmt: skip
    show([row], ctx.obj.format)


def bar_store(
    desk: Path, store: "Store", settings: "Settings", *, write: bool = False, dry_run: bool = False
) -> "BarStore":
    """The desk's bar file; a replay's is its parent's. A dry run that writes into no file writes into memory."""
    from tradekit.market.bars import BarStore

    path = desk / (store.meta.get("bars") or settings.market.bars)
    return BarStore(path, create=write and (path.exists() or not dry_run))


def calendar_over(store: "Store", settings: "Settings", first: date, last: date) -> "Calendar":
    """The desk's calendar from `first` to `last`, from the session table."""
    from tradekit.calendar import AllDayCalendar, ExchangeCalendar

    if settings.desk.calendar == "24/7":
        return AllDayCalendar()
    return ExchangeCalendar(store.sessions.load(first, last), settings.desk.timezone)


def unknown_symbol(symbol: str, known: "dict[str, int] | list[str]") -> UsageError:
    """The error for a symbol without bars, with the nearest names."""
    from difflib import get_close_matches

    close = get_close_matches(symbol.upper(), list(known), n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "tradekit data list shows what there is"
    return UsageError(f"{symbol}: no bars of that symbol", hint)


def day_of(text: str, option: str) -> date:
    """A date from what was typed; UsageError names the option."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: not a date", f"{option} 2026-02-13") from None
