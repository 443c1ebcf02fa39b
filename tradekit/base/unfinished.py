"""Files and folders in the making: their maker holds a kernel lock on them, so that what a kill left behind is known.

A lock goes with its process, a pid is given again. Both are asked: an older tradekit made such files without a lock.
"""

import fcntl
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tradekit.clock import SystemClock

UNUSED_S = 3600  # without a lock, and of a living pid or of none: somebody else's pid by now
BESIDE = ("-journal", "-wal", "-shm")  # what SQLite leaves beside a copy that was killed
_PART = re.compile(r"\.(.+)\.(\d+)\.part")


@contextmanager
def in_the_making(target: Path) -> Iterator[Path]:
    """An empty 0600 file beside `target` that becomes it at the end of a block that went well; else it is gone.

    What a kill left of others with its name goes first. Raises OSError.
    """
    sweep_parts(target.parent, [target.name])
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    fd = _claimed(partial)
    try:
        yield partial
        os.replace(partial, target)
    finally:
        _unlink_part(partial)
        os.close(fd)


def sweep_parts(folder: Path, names: Collection[str] = ()) -> bool:
    """Take away the parts of files that nobody is making any more. True: there was one.

    `names`: only those of files with these names; a folder that others use too may hold parts of theirs.
    """
    found = False
    with suppress(OSError):
        for partial in list(folder.glob(".*.part")):
            found |= _swept(partial, names)
    return found


def _swept(partial: Path, names: Collection[str] = ()) -> bool:
    named = _PART.fullmatch(partial.name)
    if named is None or (names and named[1] not in names):
        return False
    with suppress(OSError):
        fd = os.open(partial, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _is_left(fd, partial, int(named[2])):
                _unlink_part(partial)
                return True
        finally:
            os.close(fd)
    return False


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A private folder among the temporary files, gone with its contents afterwards. Raises OSError.

    What a kill left of those with this prefix goes first.
    """
    import shutil
    import tempfile

    sweep_scratch(prefix)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-"))
        try:
            fd = locked(folder)
        except FileNotFoundError:
            continue  # swept before it was locked
        break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def sweep_scratch(prefix: str) -> None:
    """Take away the scratch folders of this user that a kill left behind."""
    import shutil
    import tempfile

    of_pid = re.compile(re.escape(prefix) + r"(?:(\d+)-)?\w+")
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            named = of_pid.fullmatch(folder.name)
            if named is None:
                continue
            with suppress(OSError):
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    if os.fstat(fd).st_uid == os.getuid() and _is_left(fd, folder, int(named[1] or 0)):
                        shutil.rmtree(folder)
                finally:
                    os.close(fd)


def locked(path: Path, *, shared: bool = False) -> int:
    """A descriptor that holds the lock on a file or folder. Raises OSError, also where it was taken away meanwhile."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)  # whoever sweeps has it for an instant
        if not _is_there(fd, path):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_free(fd: int, path: Path) -> bool:
    """Nobody holds the lock of an open file or folder, which still has its name; it is ours until `fd` is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held; or a file system without locks, where nothing is known
        return False
    return _is_there(fd, path)


def _claimed(partial: Path) -> int:
    _swept(partial)
    while True:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with suppress(FileNotFoundError):
            return _locked_if_it_can_be(partial)


def _locked_if_it_can_be(path: Path) -> int:
    """As `locked`; without the lock where the file system has none. NFS wants to write for one, and there it would
    keep SQLite, which locks the same bytes, from making the copy.
    """
    try:
        return locked(path)
    except FileNotFoundError:
        raise
    except OSError:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def _is_left(fd: int, path: Path, pid: int) -> bool:
    """`pid` 0: its name does not say whose it is."""
    if not is_free(fd, path):
        return False
    if pid == os.getpid() or (pid and not _lives(pid)):  # our own: in a container each process may have the same
        return True
    return SystemClock().now().timestamp() - os.fstat(fd).st_mtime > UNUSED_S


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _is_there(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _unlink_part(partial: Path) -> None:
    for suffix in (*BESIDE, ""):
        partial.with_name(partial.name + suffix).unlink(missing_ok=True)
