"""tradekit export trades, fills, candidates, decisions, tax-lots, training"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from tradekit.commands._output import Kinds
    from tradekit.reports.tax_lots import Deal, Method
    from tradekit.store import Store

OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="Where; .csv, .jsonl and .parquet say the format.")
]
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".json": "json", ".parquet": "parquet"}
TRAINING = (
    "id", "kind", "session", "at", "symbol", "strategy", "state_score", "state_price", "state_cap", "state_regime",
    "action", "reward_1d", "reward_3d", "reward_5d", "reward_10d", "reward_max_gain", "reward_max_drawdown",
    "reward_net", "reward_return", "reward_r",
)  # fmt: skip
Row = dict[str, Any]


def trades(
    ctx: typer.Context,
    out: OutOption = None,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Closed trades as CSV, JSON lines or Parquet (--format csv|jsonl|parquet, or the name of --out).

    Text that a spreadsheet would run as a formula gets a leading quote mark. Reads only.
    """
    _export(ctx, "trades", out, asked(session, since, until, strategy, symbol))


def fills(
    ctx: typer.Context,
    out: OutOption = None,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Fills as CSV, JSON lines or Parquet (--format csv|jsonl|parquet, or the name of --out). Reads only."""
    _export(ctx, "fills", out, asked(session, since, until, strategy, symbol))


def candidates(
    ctx: typer.Context,
    out: OutOption = None,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Candidates with their features and outcomes, one column a feature; rejected ones too. Reads only."""
    _export(ctx, "candidates", out, asked(session, since, until, strategy, symbol))


def decisions(
    ctx: typer.Context,
    out: OutOption = None,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Decisions as CSV, JSON lines or Parquet. Reads only."""
    _export(ctx, "decisions", out, asked(session, since, until, strategy, symbol))


def training(
    ctx: typer.Context,
    out: OutOption = None,
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    strategy: StrategyOption = None,
    symbol: SymbolOption = None,
) -> None:
    """One row per candidate and per trade with state_, action and reward_ columns, for people who train models.

    A state holds only what was known when the action was taken. Reads only.
    """

    question = asked(session, since, until, strategy, symbol)
    with read_copy(ctx.obj) as store:
        _write(ctx, out, "training", _training(store, question), TRAINING)


def tax_lots(
    ctx: typer.Context,
    out: OutOption = None,
    method: Annotated[str, typer.Option(help="fifo, lifo, hifo, lofo or specific.")] = "fifo",
    lots: Annotated[
        Path | None, typer.Option(metavar="FILE", help="specific: CSV with close_id, lot_id, qty (fill ids).")
    ] = None,
    year: Annotated[int | None, typer.Option(help="Only lots that were closed in this year.")] = None,
    asset_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="stock, etf, option: wash sales; crypto: none.")
    ] = None,
    what: Annotated[str, typer.Option(metavar="WHAT", help="closed, open, deferred or years.")] = "closed",
    session: SessionOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Closed tax lots with wash sales flagged (61-day window), or open lots, losses deferred at year's end, sums.

    A range is about the day of the sale (closed, years); every fill before and after it still counts for the lots.
    A lot is no strategy's: shares of a symbol are all the same to the tax. Fees are in the basis. Other accounts are
    not seen. 7 where the lots do not foot to the fills. Reads only.
    """
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import say
    from tradekit.errors import Findings
    from tradekit.reports.tax_lots import ClosedLot, Deferred, OpenLot, TaxYear, years
    from tradekit.reports.tax_lots import tax_lots as report

    if method not in ("fifo", "lifo", "hifo", "lofo", "specific"):
        raise UsageError(f"--method {method}: not known", "--method fifo, lifo, hifo, lofo or specific")
    if (method == "specific") != (lots is not None):
        raise UsageError("--method specific and --lots FILE belong together", "a CSV with close_id, lot_id, qty")
    if what not in ("closed", "open", "deferred", "years"):
        raise UsageError(f"--what {what}: not known", "--what closed, open, deferred or years")
    question = asked(session, since, until, None, symbol)
    ranged = question.first is not None or question.last is not None
    if ranged and what not in ("closed", "years"):
        raise UsageError(f"--what {what} has no range: it is about now", "--what closed or years")
    settings = read_settings(ctx.obj).settings
    kind = asset_class or ("crypto" if settings.desk.calendar == "24/7" else "stock")
    with read_copy(ctx.obj) as store:
        deals = [d for d in _deals(store, settings.desk.timezone) if symbol is None or d.symbol == symbol.upper()]
    chosen = _chosen(lots) if lots else None
    wanted: Method = method  # type: ignore[assignment] # checked above
    found = report(deals, method=wanted, chosen=chosen, asset_class=lambda name: kind)
    rows: Sequence[Any] = getattr(found, what)
    if ranged:
        sold = [lot for lot in found.closed if question.holds(lot.disposed)]
        rows = sold if what == "closed" else years(sold)
    of = {"closed": ClosedLot, "open": OpenLot, "deferred": Deferred, "years": TaxYear}[what]
    _write(ctx, out, "tax-lots", (_row(r) for r in rows if year is None or getattr(r, "year", year) == year), of)
    gain = sum((lot.gain for lot in found.closed), Decimal(0))
    washed = sum((lot.wash_disallowed for lot in found.closed), Decimal(0))
    say(f"realized {found.realized:,.2f}; gains {gain:,.2f}, disallowed {washed:,.2f}; {len(found.open)} lots open")
    for note in found.notes:
        say(note)
    if abs(found.difference) > Decimal("0.005"):
        raise Findings(f"the lots miss the fills by {found.difference:.6f}", "tradekit audit")


def _deals(store: "Store", zone: str) -> "Iterator[Deal]":
    """Fills and adjustments in the order of their times, as the lots take them."""
    from zoneinfo import ZoneInfo

    from tradekit.reports.tax_lots import Deal
    from tradekit.store.fold import from_adjustment, from_fill

    here, currency = ZoneInfo(zone), store.currency
    moves = [
        (m, f.symbol) for page in store.fills.pages() for f in page if (m := from_fill(f, currency=currency)).qty > 0
    ]
    for row in store.adjustments.all():
        move = from_adjustment(row, currency=currency)
        if move is not None and row.symbol is not None:
            moves.append((move, row.symbol))
    moves.sort(key=lambda pair: (pair[0].at, pair[0].rank, pair[0].id))
    for move, symbol in moves:
        day = move.at.astimezone(here).date()
        yield Deal(move.id, symbol, day, move.kind, move.qty, move.notional or Decimal(0), move.fee)


def _chosen(path: Path) -> dict[str, list[tuple[str, Decimal]]]:
    """close_id -> [(lot_id, qty)] of a CSV file. Raises UsageError."""
    import csv
    from decimal import InvalidOperation

    found: dict[str, list[tuple[str, Decimal]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as text:
            for row in csv.DictReader(text):
                found.setdefault(row["close_id"], []).append((row["lot_id"], Decimal(row["qty"])))
    except (OSError, KeyError, InvalidOperation, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "a CSV with the columns close_id, lot_id, qty") from None
    return found


def _export(ctx: typer.Context, what: str, out: Path | None, question: Asked) -> None:

    from tradekit.commands._output import names_of
    from tradekit.model import Candidate, Decision, Fill, Trade

    kind = {"trades": Trade, "fills": Fill, "candidates": Candidate, "decisions": Decision}[what]
    with read_copy(ctx.obj) as store:
        _write(
            ctx, out, what, _rows(store, what, question), [n for n in names_of(kind) if n not in ("raw", "features")]
        )


def _rows(store: "Store", what: str, question: Asked) -> Iterator[Row]:
    """Records page by page, those of the question."""
    if what == "candidates":
        for c in store.candidates.found(rejected=True, symbol=question.symbol):
            if question.holds(c.session) and question.strategy in (None, c.strategy):
                yield _flat(_row(c))
        return
    table: Any = {"trades": store.trades, "fills": store.fills, "decisions": store.decisions}[what]
    mine = _fills_of(store, question.strategy) if what == "fills" and question.strategy else None
    for page in table.pages():
        for record in page:
            of_strategy = record.id in mine if mine is not None else question.strategy in (
                None, getattr(record, "strategy", None))  # fmt: skip
            if of_strategy and question.holds(record.session) and question.symbol in (None, record.symbol):
                row = _row(record)
                row.pop("raw", None)  # the venue's own text may hold account numbers
                yield row


def _fills_of(store: "Store", strategy: str) -> set[str]:
    """The fills of a strategy's positions: a fill itself does not know whose it is."""
    sql = "SELECT f.id FROM fills f WHERE f.position_id IN (SELECT id FROM positions WHERE strategy = ?)"
    return {id for (id,) in store.db.rows(sql, [strategy])}


def _flat(row: Row) -> Row:
    features = row.pop("features")
    return {**row, **{f"feature_{name}": value for name, value in features.items()}}


def _training(store: "Store", question: Asked) -> Iterator[Row]:
    decided = {d.candidate_id: d for d in store.decisions.all(symbol=question.symbol) if d.candidate_id}
    trades = {t.decision_id: t for t in store.trades.all(symbol=question.symbol) if t.decision_id}
    regimes = {scan.id: scan.context.get("regime") for scan in store.scans.all()}
    for c in store.candidates.found(rejected=True, symbol=question.symbol):
        if not question.holds(c.session) or question.strategy not in (None, c.strategy):
            continue
        decision = decided.get(c.id)
        trade = trades.get(decision.id) if decision else None
        state = {f"state_{name}": value for name, value in c.features.items()}
        base = {"id": c.id, "kind": "candidate", "session": c.session, "at": c.at, "symbol": c.symbol,
                "strategy": c.strategy, "state_score": c.score, "state_price": c.price, "state_cap": c.cap,
                "state_regime": regimes.get(c.scan_id), **state,
                "action": decision.action if decision else ("NONE" if c.passed else "REJECT")}  # fmt: skip
        yield base | {
            "reward_1d": c.return_1d, "reward_3d": c.return_3d, "reward_5d": c.return_5d, "reward_10d": c.return_10d,
            "reward_max_gain": c.max_gain, "reward_max_drawdown": c.max_drawdown,
            "reward_net": None, "reward_return": None, "reward_r": None,
        }  # fmt: skip
        if trade is not None:
            yield base | {
                "id": trade.id, "kind": "trade", "at": trade.entry_at, "action": "BUY", "reward_1d": None,
                "reward_3d": None, "reward_5d": None, "reward_10d": None, "reward_max_gain": trade.mfe,
                "reward_max_drawdown": trade.mae, "reward_net": trade.net, "reward_return": trade.return_pct,
                "reward_r": trade.r_multiple,
            }  # fmt: skip


def _row(record: Any) -> Row:
    """A record's fields; shares of money that do not come out even are cut to the millionth."""
    from tradekit.commands._output import row_of

    return {k: round(v, 6) if isinstance(v, Decimal) and len(v.as_tuple().digits) > 15 else v
            for k, v in row_of(record).items()}  # fmt: skip


def _write(ctx: typer.Context, out: Path | None, name: str, rows: Iterable[Row], of: "Kinds") -> None:
    """To a file, whole or not at all, or to stdout; `of`: the columns where there are no rows."""
    from tradekit.commands._output import as_array, as_csv, as_object, names_of, say

    format = _format(ctx, out)
    if format == "parquet":
        target = out or ctx.obj.here / "reports" / f"{name}.parquet"
        n = _parquet(target, list(rows), names_of(of))
        say(f"{n} rows in {target}")
        return
    found = list(rows)
    if format == "jsonl":
        text = "".join(as_object(row) + "\n" for row in found)
    else:
        text = as_array(found) if format == "json" else as_csv(found, names_of(of))
    if out is None:
        sys.stdout.write(text)
        return
    from tradekit.base.files import write_text

    out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_text(out, text)
    say(f"{len(found)} rows in {out}")


def _format(ctx: typer.Context, out: Path | None) -> str:
    """What was asked for, else what the file is called, else CSV; UsageError where the two disagree."""
    given = None if ctx.obj.format == "table" else str(ctx.obj.format)
    named = FORMATS.get(out.suffix.lower()) if out else None
    if given and named and given != named:
        raise UsageError(f"--format {given} into {out}", f"call it {out.stem if out else 'x'}.{given}")
    return given or named or "csv"


def _parquet(target: Path, rows: Sequence[Row], none: Sequence[str]) -> int:
    """Numbers as doubles, times as UTC timestamps, dates as dates, nested values as JSON text.

    `none`: the columns where there is no row; they are text, since nothing tells their type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tradekit.base.unfinished import in_the_making

    names = list(dict.fromkeys(name for row in rows for name in row)) or list(none)
    columns = {name: _column(pa, [row.get(name) for row in rows]) for name in names}
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with in_the_making(target) as partial:
        pq.write_table(pa.table(columns), partial, compression="zstd")
    return len(rows)


def _column(pa: Any, values: Sequence[Any]) -> Any:
    from tradekit.commands._output import as_text

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return pa.array(values, pa.bool_())
    if kinds <= {int, float, Decimal} and kinds:
        whole = kinds == {int}
        return pa.array([None if v is None else (v if whole else float(v)) for v in values],
                        pa.int64() if whole else pa.float64())  # fmt: skip
    if kinds == {datetime}:
        return pa.array(values, pa.timestamp("us", tz="UTC"))
    if kinds == {date}:
        return pa.array(values, pa.date32())
    return pa.array([None if v is None else as_text(v) for v in values], pa.string())
