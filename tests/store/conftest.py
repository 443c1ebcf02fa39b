from collections.abc import Iterator
from pathlib import Path

import pytest

from tradekit.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store that need not survive a power cut."""
    opened = open_store(tmp_path / "desk.db", create=True, synchronous="OFF")
    yield opened
    opened.close()
