"""tradekit restore"""

import os
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Annotated

import typer

from tradekit.errors import UsageError

BOT = "bot.db"


def restore(
    ctx: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="BACKUP", help="A folder that `tradekit backup` made, or a desk.db.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Also the backup of another desk over a desk that traded.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Check the backup; put nothing in place.")] = False,
) -> None:
    """Put a backup in the place of the books; settings stay as they are.

    What was there is kept beside it as *.before-restore (-2, -3 ...); the bot's memory of what it did is added to what
    it knows. Stop the bot first; run `tradekit reconcile` afterwards.
    """
    from tradekit.base.files import private_folder
    from tradekit.base.locks import Lock
    from tradekit.bot.memory import check_copy
    from tradekit.brokers.paper.books import APPLICATION_ID as PAPER_ID
    from tradekit.commands._context import recorded
    from tradekit.commands._output import show
    from tradekit.store.backup import check, kept_name
    from tradekit.store.backup import restore as put_back
    from tradekit.store.connection import APPLICATION_ID

    desk = ctx.obj.here
    memory = source / BOT
    pairs = books_in(source, desk)
    kinds = {"desk.db": APPLICATION_ID, "paper.db": PAPER_ID}
    for copy, place in pairs:
        check(copy, application=kinds[place.name])
    if memory.is_file():
        check_copy(memory)
    if not force:
        same_desk(pairs[0][0], desk)
    rows: list[dict[str, str | None]]
    rows = [{"file": str(place), "from": str(copy), "kept": kept_name(place).name} for copy, place in pairs]
    if memory.is_file():
        rows.append({"file": str(desk / BOT), "from": str(memory), "kept": _kept_memory(desk / BOT)})
    if not dry_run:
        with ExitStack() as locks:
            if memory.is_file():
                private_folder(desk / "locks")
                locks.enter_context(Lock(desk / "locks" / "bot.lock", what="restore"))
            locks.enter_context(Lock(desk / "writer.lock", wait_s=10.0, what="restore"))
            if memory.is_file():  # first: whatever comes in between, what was done is not done again
                _remember(memory, desk / BOT)
            for copy, place in pairs:
                put_back(copy, place, application=kinds[place.name])
        with recorded(ctx.obj, "restore") as store:
            for run in store.runs.unfinished():  # at work when the backup was made: they will not end in this file
                if run.command != "restore":
                    store.runs.finish(run.id, run.started_at, 137, run.counts)
    show(rows, ctx.obj.format, dry_run=dry_run)


def _kept_memory(place: Path) -> str | None:
    """Under which name the bot's memory in place is kept: None where it is sound, and is only added to."""
    from tradekit.bot.memory import check_copy
    from tradekit.errors import StoreError
    from tradekit.store.backup import kept_name

    with suppress(StoreError):
        if place.is_file():
            check_copy(place)
        return None
    return kept_name(place).name


def _remember(copy: Path, place: Path) -> None:
    """Have the bot know what it did until the backup, and what it did since."""
    from tradekit.bot.memory import Memory

    kept = _kept_memory(place)
    if kept is not None:  # damaged
        os.replace(place, place.with_name(kept))
        place.with_name(f"{place.name}-journal").unlink(missing_ok=True)
    with Memory(place) as memory:
        memory.learn(copy)


def same_desk(copy: Path, desk: Path) -> None:
    """UsageError where a desk that has traded would get the books of another one; what cannot be read is not asked."""
    from sqlite3 import Error

    from tradekit.errors import StoreError
    from tradekit.store import open_store

    known = []
    try:
        for path in (copy, desk / "desk.db"):
            with closing(open_store(path, readonly=True)) as store:
                known.append((store.meta.get("desk_id"), bool(store.orders.all(limit=1))))
    except (StoreError, Error):  # damaged, or of another version: the reason to restore
        return
    (theirs, _), (ours, traded) = known
    if traded and theirs != ours:
        raise UsageError(f"{copy} is the backup of another desk, and {desk} has orders of its own", "restore --force")


def books_in(source: Path, desk: Path) -> list[tuple[Path, Path]]:
    """(copy, its place) for each database of a backup. UsageError where there is none."""
    if source.is_file():
        return [(source, desk / "desk.db")]
    pairs = [(source / name, desk / name) for name in ("desk.db", "paper.db") if (source / name).is_file()]
    if not pairs or pairs[0][1].name != "desk.db":
        raise UsageError(f"{source} is no backup: there is no desk.db in it", "ls backups/")
    return pairs
