"""tradekit restore"""

from pathlib import Path
from typing import Annotated

import typer

from tradekit.errors import UsageError


def restore(
    ctx: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="BACKUP", help="A folder that `tradekit backup` made, or a desk.db.")
    ],
    dry_run: Annotated[bool, typer.Option(help="Check the backup; put nothing in place.")] = False,
) -> None:
    """Put a backup in the place of the books; settings stay as they are.

    What was there is kept beside it as *.before-restore. Run `tradekit reconcile` afterwards.
    """
    from tradekit.base.locks import Lock
    from tradekit.brokers.paper.books import APPLICATION_ID as PAPER_ID
    from tradekit.commands._context import recorded
    from tradekit.commands._output import show
    from tradekit.store.backup import check
    from tradekit.store.backup import restore as put_back
    from tradekit.store.connection import APPLICATION_ID

    desk = ctx.obj.here
    pairs = books_in(source, desk)
    kinds = {"desk.db": APPLICATION_ID, "paper.db": PAPER_ID}
    for copy, place in pairs:
        check(copy, application=kinds[place.name])
    if not dry_run:
        with Lock(desk / "writer.lock", wait_s=10.0, what="restore"):
            for copy, place in pairs:
                put_back(copy, place, application=kinds[place.name])
        with recorded(ctx.obj, "restore") as store:
            for run in store.runs.unfinished():  # at work when the backup was made: they will not end in this file
                if run.command != "restore":
                    store.runs.finish(run.id, run.started_at, 137, run.counts)
    rows = [{"file": str(place), "from": str(copy), "kept": f"{place.name}.before-restore"} for copy, place in pairs]
    show(rows, ctx.obj.format, dry_run=dry_run)


def books_in(source: Path, desk: Path) -> list[tuple[Path, Path]]:
    """(copy, its place) for each database of a backup. UsageError where there is none."""
    if source.is_file():
        return [(source, desk / "desk.db")]
    pairs = [(source / name, desk / name) for name in ("desk.db", "paper.db") if (source / name).is_file()]
    if not pairs or pairs[0][1].name != "desk.db":
        raise UsageError(f"{source} is no backup: there is no desk.db in it", "ls backups/")
    return pairs
