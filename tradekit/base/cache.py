"""The user's own folder for what can be made again: private, and refused where somebody else could write into it."""

import os
from contextlib import suppress
from pathlib import Path

from tradekit.base.files import private_folder
from tradekit.base.unfinished import is_free, locked
from tradekit.errors import ConfigError

_held: dict[Path, int] = {}  # versions that this process uses, with the descriptors that hold their locks


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/tradekit/NAME, or where the cache cannot be written one beside other temporary files; 0700.

    Raises ConfigError where it belongs to somebody else or others may write into it.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "tradekit" / name
    try:
        private_folder(folder)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        from tempfile import gettempdir

        folder = Path(gettempdir()) / f"tradekit-{os.getuid()}" / name
        try:
            private_folder(folder)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}", "set XDG_CACHE_HOME to a folder of yours") from None
    for each in (folder.parent, folder):
        stat = each.lstat()
        if stat.st_uid != os.getuid() or each.is_symlink() or stat.st_mode & 0o022:
            raise ConfigError(f"{each} is not private", f"rm -r {each}, or set XDG_CACHE_HOME")
    return folder


def hold_version(versions: Path, name: str, *, keep: int) -> Path:
    """`versions/name`, made where it is missing and held until this process ends. Raises OSError.

    A new one takes away the others, but the `keep` - 1 that were used last and those that a process holds.
    """
    folder = versions / name
    if folder not in _held:
        new = not folder.exists()
        while folder not in _held:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # taken away before it was held
                _held[folder] = locked(folder, shared=True)
        os.utime(folder)
        if new:
            _sweep_versions(versions, keep)
    return folder


def _sweep_versions(versions: Path, keep: int) -> None:
    import shutil

    used: list[tuple[int, Path]] = []
    for folder in versions.iterdir():
        with suppress(OSError):  # another process sweeps too
            used.append((folder.stat().st_mtime_ns, folder))
    for _, folder in sorted(used, reverse=True)[keep:]:
        with suppress(OSError):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                if is_free(fd, folder):
                    shutil.rmtree(folder)
            finally:
                os.close(fd)
