"""tradekit backup"""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer

from tradekit.errors import UsageError

FILES = ("desk.db", "paper.db", "bot.db")  # in this order: what is told later knows of all that was done before
TEXTS = ("desk.yaml", "universe.yaml")


def backup(
    ctx: typer.Context,
    target: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where; backups/ and the time.")] = None,
    bars: Annotated[bool, typer.Option("--bars", help="Market history too.")] = False,
) -> None:
    """Copy the books while they are in use.

    Safe to run at any time: each copy is checked before it gets its name, and trading goes on meanwhile.
    """
    from tradekit.clock import clock_from
    from tradekit.commands._context import recorded
    from tradekit.commands._output import show

    desk = ctx.obj.here
    now = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK")).now()
    sweep(desk / "backups", target)
    folder = target or _free(desk / "backups" / f"{now:%Y%m%dT%H%M%S}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already", "name a new folder: tradekit backup DIR")
    with recorded(ctx.obj, "backup"):
        rows = copy_desk(desk, folder, bars=bars)
    show(rows, ctx.obj.format)


def _free(folder: Path) -> Path:
    """The folder, or with -2, -3 ... where another backup of the same second lies."""
    n = 1
    named = folder
    while named.exists():
        n += 1
        named = folder.with_name(f"{folder.name}-{n}")
    return named


def copy_desk(desk: Path, folder: Path, *, bars: bool = False) -> list[dict[str, object]]:
    """Books and settings of a desk into a new folder; rows (file, bytes). Raises StoreError.

    desk.db is copied first and gets its name last: a folder without it is no backup.
    """
    from tradekit.base.files import write_text
    from tradekit.store.backup import copied

    made: list[Path] = []
    with ExitStack() as copies:
        for name in [*FILES, *(["bars.db"] if bars else [])]:
            if name == "desk.db" or (desk / name).is_file():
                copies.enter_context(copied(desk / name, folder / name))
                made.append(folder / name)
        for name in TEXTS:
            if (desk / name).is_file():
                write_text(folder / name, (desk / name).read_text("utf-8"))
                made.append(folder / name)
    return [{"file": str(path), "bytes": path.stat().st_size} for path in made]


def sweep(backups: Path, target: Path | None = None) -> None:
    """Take away what killed backups left in backups/ and in the folder named; one that is being made stays."""
    from tradekit.base.unfinished import sweep_parts

    sweep_parts(backups)
    if target:
        sweep_parts(target, (*FILES, "bars.db"))
    for folder in backups.iterdir() if backups.is_dir() else []:
        if sweep_parts(folder) and not (folder / "desk.db").exists() and not any(folder.glob(".*.part")):
            for path in [*(folder / name for name in (*FILES, *TEXTS, "bars.db")), *folder.glob(".*.tmp")]:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: somebody else's files
                folder.rmdir()
