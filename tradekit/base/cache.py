"""The user's own folder for what can be made again: private, and refused where somebody else could write into it."""

import os
from pathlib import Path

from tradekit.base.files import private_folder
from tradekit.errors import ConfigError


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
