"""tradekit data import-fills"""

from pathlib import Path
from typing import Annotated

import typer

from tradekit.errors import UsageError

MANY = 50_000  # fills from which on it is worth a progress bar


def import_fills(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Statements: CSV, Flex XML, activities JSON.")],
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="A plain CSV: qty=Shares, at=When ...")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Of times that have none; default: the exchange's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count; write nothing.")] = False,
) -> None:
    """Fills in, from brokers' statements: IBKR activity CSV and Flex XML, Schwab, Alpaca, Kraken ledgers, any CSV.

    Safe to run twice, and to interrupt: a fill that is booked is not booked again. Rows that are no fills are counted
    and left out; a row that cannot be read is named, and then nothing is written.
    """
    from zoneinfo import ZoneInfo

    from tradekit.commands._context import read_settings, recorded
    from tradekit.commands._output import show
    from tradekit.commands._progress import progress_bar
    from tradekit.desk.statements import in_order, parse_columns, read_statement

    settings = read_settings(ctx.obj).settings
    try:
        here = ZoneInfo(zone or settings.desk.timezone)
    except (KeyError, ValueError):
        raise UsageError(f"--zone {zone}: not a time zone", "--zone America/New_York") from None
    statements = []
    for path in files:
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}", "a statement as the broker exports it") from None
        wanted = parse_columns(columns or [])
        statements.append(read_statement(text, zone=here, columns=wanted, currency=settings.desk.currency))
    new: int | None = None
    if not dry_run:
        fills = in_order(statements)
        silent = ctx.obj.quiet or len(fills) < MANY
        with recorded(ctx.obj, "data import-fills") as store, progress_bar("import-fills", quiet=silent) as progress:
            new = store.book_fills(fills, progress)
    rows = [
        {"file": path.name, "kind": each.kind, "fills": len(each.fills),
         "first": each.fills[0].session if each.fills else None, "last": each.fills[-1].session if each.fills else None,
         "symbols": len({fill.symbol for fill in each.fills}), "left_out": dict(each.left_out), "new": new}
        for path, each in zip(files, statements, strict=True)
    ]  # fmt: skip
    show(rows, ctx.obj.format, dry_run=dry_run)
