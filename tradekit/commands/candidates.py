"""tradekit candidates"""

from typing import Annotated

import typer

from tradekit.commands._filters import AtOption, LimitOption, SessionOption, SinceOption, SymbolOption, UntilOption


def candidates(
    ctx: typer.Context,
    rejected: Annotated[bool, typer.Option("--all", help="Rejected ones too, with the reason.")] = False,
    scan: Annotated[str | None, typer.Option("--scan", help="Only of the scan with this id.")] = None,
    session: SessionOption = None,
    symbol: SymbolOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = None,
    at: AtOption = None,
) -> None:
    """What the scans found, oldest first."""
    from tradekit.commands._context import read_store
    from tradekit.commands._filters import filters, named_well
    from tradekit.commands._output import show
    from tradekit.errors import UsageError
    from tradekit.model import Candidate

    asked = filters(session=session, symbol=symbol, since=since, until=until, at=at)
    with read_store(ctx.obj) as store:
        if scan is not None and store.scans.get(scan) is None:
            raise UsageError(f"there is no scan {scan}", 'tradekit sql "SELECT id FROM scans"')
        found = store.candidates.found(rejected=rejected, scan_id=scan, **asked)
        named_well(ctx.obj, store, symbol, found)
    show(found[-limit:] if limit else found, ctx.obj.format, empty="no candidates", of=Candidate)
