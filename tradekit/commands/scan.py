"""tradekit scan"""

from typing import Annotated

import typer

from tradekit.commands._filters import DryAtOption, then


def scan(
    ctx: typer.Context,
    strategy: Annotated[str | None, typer.Option(help="Only this strategy; else those of scan.strategies.")] = None,
    cap: Annotated[str | None, typer.Option(help="Only symbols of this cap class: large, mid, small.")] = None,
    type: Annotated[str, typer.Option(help="Which scan of the day: open, midday, close, rescan.")] = "open",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be found; write nothing.")] = False,
    at: DryAtOption = None,
) -> None:
    """Universe to candidates: both stages, the score, and why the others were rejected.

    Safe to run twice: a second scan of the same minute shows the stored candidates. The rejected ones are in
    tradekit candidates --all.
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.scan import ScanOptions, scan
    from tradekit.model import Candidate

    with open_desk(ctx.obj, command="scan", dry_run=dry_run, at=then(at)) as desk:
        found = scan(desk, ScanOptions(strategy=strategy, cap=cap, type=type))
        show(found, ctx.obj.format, empty="no candidates", dry_run=dry_run, of=Candidate)
