"""Copies of a database file: whole or not there at all, and never in a writer's way."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2s
from itertools import chain, count
from pathlib import Path

from tradekit.base.cache import cache_folder
from tradekit.base.unfinished import in_the_making, sweep_parts
from tradekit.errors import ConfigError, StoreError
from tradekit.store.connection import APPLICATION_ID, translated

STEP_PAGES = 256
UNUSED_S = 3600  # a desk that is gone leaves its last copy behind, a killed copy a part of one
RESTARTS = 4  # a busy writer makes the copy start again; then it is taken in one step


def backup(path: Path, target: Path) -> Path:
    """Copy a database to `target`, checked, synced and renamed into place. Raises StoreError."""
    with copied(path, target):
        return target


@contextmanager
def copied(path: Path, target: Path, *, lasting: bool = True) -> Iterator[Path]:
    """A whole copy of a database, which gets its name at the end of a block that went well. Raises StoreError.

    One that is to last is checked and synced before. What killed copies of that name left in the folder goes first.
    """
    if not path.is_file():
        raise StoreError(f"{path} is missing", "tradekit init DIR, or -C with the right folder")
    _make_folder(target.parent)
    try:
        with in_the_making(target) as partial:
            _copy(path, partial)
            if lasting:
                check(partial)
                _sync(partial)
            yield partial
        if lasting:
            _sync(target.parent)
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror}", f"make {target.parent} writable") from error


def restore(source: Path, target: Path, *, application: int | None = APPLICATION_ID) -> Path:
    """Put a backup in place of `target`, which is kept as `<name>.before-restore` (-2, -3 ...). Raises StoreError.

    `application` is whose file it must be (None: anybody's). Nothing else may use the desk meanwhile: the caller
    holds writer.lock.
    """
    check(source, application=application)
    if target.is_file():
        kept = kept_name(target)
        try:
            backup(target, kept)
        except StoreError:  # a damaged file is the reason to restore: keep its bytes as they are
            os.replace(target, kept)
    for suffix in ("-wal", "-shm", "-journal"):  # they belong to the old file and would be played into the new one
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    return backup(source, target)


def kept_name(target: Path) -> Path:
    """Where `restore` will keep what is there: a second one must not write over what the first one kept."""
    first = target.with_name(f"{target.name}.before-restore")
    others = (first.with_name(f"{first.name}-{n}") for n in count(2))
    return next(name for name in chain([first], others) if not name.exists())


def check(path: Path, *, application: int | None = None) -> None:
    """StoreError unless the file is a sound SQLite database (of this application, where one is named)."""
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            found = db.execute("PRAGMA application_id").fetchone()[0]
            verdict = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        finally:
            db.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    if verdict != "ok":
        raise StoreError(f"{path}: {verdict}", "use an older backup: ls backups/")
    if application is not None and found != application:
        raise StoreError(f"{path} is not a tradekit database", "name a file of backups/")


def newest_good(folder: Path) -> Path | None:
    """The newest sound copy of a desk.db in a folder of backups: what `tradekit restore` takes; None without one.

    A folder that `tradekit backup` made counts as its desk.db and is named itself.
    """
    found = [*folder.glob("*/desk.db"), *folder.glob("*.db")]
    for copy in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            check(copy, application=APPLICATION_ID)
        except StoreError:
            continue
        return copy.parent if copy.name == "desk.db" and copy.parent != folder else copy
    return None


def snapshot(path: Path) -> Path:
    """A private copy for long reads, made again only when the file has changed. Raises StoreError.

    The copy lies in the user's cache folder; the next one replaces it, and copies that nobody asked for in an hour go.
    It is read once and never restored, so it is neither checked nor synced.
    """
    folder = _cache_folder()
    key = blake2s(str(path.resolve()).encode(), digest_size=8).hexdigest()
    target = folder / f"{key}-{_signature(path)}.db"
    with suppress(OSError):
        os.utime(target)  # somebody asked for it
        return target
    sweep_parts(folder)
    with copied(path, target, lasting=False):
        pass
    old = target.stat().st_mtime - UNUSED_S
    for other in folder.iterdir():  # whoever still reads one keeps it open
        with suppress(OSError):
            if (other.name.startswith(f"{key}-") and other != target) or other.stat().st_mtime < old:
                other.unlink()
    return target


def _copy(path: Path, target: Path) -> None:
    restarts = last = 0

    def progress(status: int, remaining: int, total: int) -> None:
        nonlocal restarts, last
        if last and remaining >= last:
            restarts += 1
            if restarts > RESTARTS:
                raise InterruptedError
        last = remaining

    try:
        source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=5.0)
        copy = sqlite3.connect(target)
        try:
            copy.execute("PRAGMA synchronous = OFF")  # the file is synced once, when it is whole
            try:
                source.backup(copy, pages=STEP_PAGES, progress=progress, sleep=0.01)
            except InterruptedError:
                source.backup(copy)
            if copy.execute("PRAGMA journal_mode = delete").fetchone()[0] != "delete":
                raise StoreError(f"{target}: the copy is not one file", "try again")
        finally:
            copy.close()
            source.close()
    except sqlite3.Error as error:
        raise translated(error, path) from error


def _signature(path: Path) -> str:
    """Changes with every commit: the header's change counter in a rollback journal, the head of the index in WAL."""
    if not path.is_file():
        raise StoreError(f"{path} is missing", "tradekit init DIR, or -C with the right folder")
    try:
        with path.open("rb") as file:
            header = file.read(100)
        parts: list[object] = [header[24:28].hex(), header[40:44].hex()]
        for name in (path, path.with_name(path.name + "-wal")):
            if name.exists():
                stat = name.stat()
                parts += [stat.st_ino, stat.st_size, stat.st_mtime_ns]
        index = path.with_name(path.name + "-shm")
        if index.exists():  # a log that is used again keeps its size, and its time ticks too slowly
            with index.open("rb") as file:
                parts.append(file.read(48).hex())
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", f"make {path} readable") from error
    return blake2s(repr(parts).encode(), digest_size=8).hexdigest()


def _cache_folder() -> Path:
    try:
        return cache_folder("snapshots")
    except ConfigError as error:
        raise StoreError(error.message, error.hint) from None


def _make_folder(folder: Path) -> None:
    """With its missing parents, each for the owner alone: mkdir gives its mode to the last one only."""
    try:
        for each in [*reversed(folder.parents), folder]:
            each.mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}", f"make {folder.parent} writable") from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
