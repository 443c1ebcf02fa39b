"""tradekit backup"""

from pathlib import Path
from typing import Annotated

import typer

from tradekit.errors import UsageError

FILES = ("desk.db", "paper.db")
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
    """Books and settings of a desk into a new folder; rows (file, bytes). Raises StoreError."""
    from tradekit.base.files import write_text
    from tradekit.store.backup import backup as copy

    names = [*FILES, *(["bars.db"] if bars else [])]
    rows: list[dict[str, object]] = []
    for name in names:
        if name == "desk.db" or (desk / name).is_file():
            rows.append({"file": str(copy(desk / name, folder / name)), "bytes": (folder / name).stat().st_size})
    for name in TEXTS:
        if (desk / name).is_file():
            write_text(folder / name, (desk / name).read_text("utf-8"))
            rows.append({"file": str(folder / name), "bytes": (folder / name).stat().st_size})
    return rows
