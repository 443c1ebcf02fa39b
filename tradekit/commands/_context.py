"""What every command gets as `ctx.obj`: which desk, which format, how much talk."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from tradekit.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from tradekit.base.settings_file import Loaded
    from tradekit.store import Store


class Context:
    """The global options of one call. `asked` is what -C said; `desk` the folder that was found."""

    def __init__(
        self,
        *,
        asked: Path | None = None,
        format: str = "table",
        quiet: bool = False,
        verbose: bool = False,
        exit_code: bool = False,
        argv: tuple[str, ...] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.asked = asked
        self.format = format
        self.quiet = quiet
        self.verbose = verbose
        self.exit_code = exit_code  # --exit-code: 3 when there was nothing to do
        self.argv = argv
        self.environ = environ

    @cached_property
    def desk(self) -> Path | None:
        """The desk's folder: -C, TRADEKIT_DESK, the nearest desk.yaml upwards, $XDG_DATA_HOME/tradekit; or None."""
        return find_desk(self.asked, self.environ)

    @property
    def here(self) -> Path:
        """The desk's folder; ConfigError where there is none."""
        if self.desk is not None:
            return self.desk
        named = self.asked or (Path(self.environ["TRADEKIT_DESK"]) if self.environ.get("TRADEKIT_DESK") else None)
        if named is not None:
            found = "no desk.yaml in it" if named.is_dir() else "there is no such folder"
            raise ConfigError(f"{named} is not a desk: {found}", f"tradekit init {named}")
        raise ConfigError("no desk here or above", "tradekit init DIR, then cd DIR (or tradekit -C DIR ...)")


def find_desk(asked: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The first folder with a desk.yaml, in the order of design section 1; None: there is none."""
    named = asked or (Path(environ["TRADEKIT_DESK"]) if environ.get("TRADEKIT_DESK") else None)
    if named is not None:
        return named if (named / "desk.yaml").is_file() else None
    try:
        cwd = Path.cwd()
    except FileNotFoundError:  # somebody removed the folder we stand in
        cwd = Path("/")
    data = Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tradekit"
    return next((d for d in (cwd, *cwd.parents, data) if (d / "desk.yaml").is_file()), None)


@contextmanager
def read_store(context: Context, at: datetime | None = None) -> "Iterator[Store]":
    """The desk's store, open for reading only; `at`: as it was then. Raises ConfigError (no desk) or StoreError."""
    from tradekit.store import open_store

    with reading(open_store(context.here / "desk.db", readonly=True), at) as store:
        yield store


@contextmanager
def reading(store: "Store", at: datetime | None) -> "Iterator[Store]":
    """An open store, as it is or as it was at `at`; closed at the end."""
    try:
        if at is None:
            yield store
        else:
            from tradekit.store.as_of import AsOf

            yield cast("Store", AsOf(store, at))
    finally:
        store.close()


def read_settings(context: Context) -> "Loaded":
    """The desk's settings with their origins; ConfigError names file, key and line."""
    from tradekit.base.settings_file import load_settings

    return load_settings(context.here, context.environ)


def piped(stream: IO[str] | None = None) -> list[dict[str, Any]]:
    """Records from stdin: JSON lines, one array or one object. An empty pipe gives an empty list.

    Raises UsageError where the text is not records with an `id`.
    """
    import msgspec

    text = (stream or sys.stdin).read().strip()
    if not text:
        return []
    hint = "pipe the records of the step before: tradekit scan --jsonl | tradekit decide -"
    try:
        if text.startswith("["):
            rows = msgspec.json.decode(text)
        else:
            rows = [msgspec.json.decode(line) for line in text.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise UsageError(f"stdin is not JSON: {error}", hint) from None
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise UsageError("stdin: a record without an id", hint)
    return list(rows)


@contextmanager
def recorded(context: Context, command: str, settings_hash: str = "") -> "Iterator[Store]":
    """The desk's store with a run row around what happens, for commands that change a desk without opening it whole.

    Raises StoreError; what the body raises closes the row with its exit code.
    """
    from tradekit import __version__
    from tradekit.base.logs import redact_words
    from tradekit.clock import clock_from
    from tradekit.errors import TradekitError
    from tradekit.ids import run_id
    from tradekit.model import Run
    from tradekit.store import open_store

    clock = clock_from(context.environ.get("TRADEKIT_CLOCK"))
    store = open_store(context.here / "desk.db")
    try:
        row = Run(
            id=run_id(command, clock.now()),
            command=command,
            argv=redact_words(context.argv),
            started_at=clock.now(),
            clock=clock.name,
            code_version=__version__,
            settings_hash=settings_hash,
        )
        row = store.runs.start(row)
        code = 1
        try:
            yield store
            code = 0
        except TradekitError as error:
            code = error.code
            raise
        finally:
            store.runs.finish(row.id, clock.now(), code, {})
    finally:
        store.close()
