import subprocess
import sys

from tradekit.store import open_store

WRITE = """
import sys
from pathlib import Path
from tests.make import make_event
from tradekit.store import open_store
store = open_store(Path(sys.argv[1]), synchronous="OFF")
for n in range(5):
    with store.transaction(low=n % 2 == 0):
        store.events.add(make_event(id=f"{sys.argv[2]}-{n}"))
store.close()
"""


def test_many_writers_lose_nothing_and_see_no_lock(store):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(store.path), str(n)], stderr=subprocess.PIPE)
        for n in range(8)
    ]
    errors = [child.communicate()[1] for child in children]
    assert errors == [b""] * 8
    fresh = open_store(store.path, readonly=True)
    assert fresh.events.count() == 40
    assert fresh.db.value("PRAGMA integrity_check") == "ok"
    fresh.close()
