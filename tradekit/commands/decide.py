"""tradekit decide"""

from typing import Annotated

import typer

from tradekit.commands._filters import DryAtOption, then


def decide(
    ctx: typer.Context,
    source: Annotated[str | None, typer.Argument(metavar="[-]", help="- reads candidates from stdin.")] = None,
    by: Annotated[str | None, typer.Option(help="Who decides: rules or human; else as desk.yaml says.")] = None,
    type: Annotated[
        str | None, typer.Option(help="Only the candidates of this type of scan, and no held positions.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be decided; write nothing.")] = False,
    at: DryAtOption = None,
) -> None:
    """Candidates to BUY, WATCH or SKIP, held positions to CLOSE or HOLD, each with its reason.

    Safe to run twice: a candidate is decided once, a position once per reversal score of jobs track. With - only the
    piped candidates count, and an empty pipe selects nothing; a human answers with approve or skip, and is always
    asked about what a rescan found.
    """
    from tradekit.commands._output import show
    from tradekit.commands._pipe import ids_from
    from tradekit.desk.decide import DecideOptions, decide
    from tradekit.desk.open import open_desk
    from tradekit.model import Decision

    ids = ids_from(source, "candidates")
    with open_desk(ctx.obj, command="decide", dry_run=dry_run, at=then(at)) as desk:
        found = decide(desk, DecideOptions(by=by, ids=ids, type=type))
        show(found, ctx.obj.format, empty="nothing to decide", dry_run=dry_run, of=Decision)
