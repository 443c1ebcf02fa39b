"""The user's own folder for what can be made again: private, and refused where somebody else could write into it."""

import os
from pathlib import Path

from tradekit.errors import ConfigError


def cache_folder(name: str) -> Path:
    """$XDG_CACHE_HOME/tradekit/NAME, or where the cache cannot be written one beside other temporary files; 0700.

    Raises ConfigError where it belongs to somebody else or others may write into it.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "tradekit" / name
    try:
        _make(folder)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        from tempfile import gettempdir

        folder = Path(gettempdir()) / f"tradekit-{os.getuid()}" / name
        try:
            _make(folder)
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}", "set XDG_CACHE_HOME to a folder of yours") from None
    for each in (folder.parent, folder):
        stat = each.lstat()
        if stat.st_uid != os.getuid() or each.is_symlink() or stat.st_mode & 0o022:
            raise ConfigError(f"{each} is not private", f"rm -r {each}, or set XDG_CACHE_HOME")
    return folder


def _make(folder: Path) -> None:
    """With its missing parents, each for the owner alone: mkdir gives its mode to the last one only."""
    for each in [*reversed(folder.parents), folder]:
        each.mkdir(exist_ok=True, mode=0o700)
