"""A desk's memory for reading at length: on a private copy, so that no commit of the desk waits for the reader."""

from pathlib import Path

from tradekit.errors import StoreError
from tradekit.store.backup import snapshot
from tradekit.store.store import Store, open_store


def open_copy(path: Path) -> Store:
    """Open a snapshot of a desk.db for reading only; closed by whoever opened it. Raises StoreError."""
    try:
        return open_store(snapshot(path), readonly=True)
    except StoreError:  # a newer copy may have replaced this one before it was open
        return open_store(snapshot(path), readonly=True)
