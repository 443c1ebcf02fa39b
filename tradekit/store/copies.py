"""A desk's memory for reading at length: on a private copy, so that no commit of the desk waits for the reader."""

from contextlib import suppress
from pathlib import Path

from tradekit.errors import StoreError
from tradekit.store.backup import snapshot
from tradekit.store.store import Store, open_store


def open_copy(path: Path) -> Store:
    """Open a snapshot of a desk.db for reading only; closed by whoever opened it. Raises StoreError.

    The file itself where there is no room for a copy: commits may wait for the reader then.
    """
    for _ in range(2):  # a newer copy may replace this one before it is open
        with suppress(StoreError):
            return open_store(snapshot(path), readonly=True)
    return open_store(path, readonly=True)
