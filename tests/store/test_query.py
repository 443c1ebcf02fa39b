import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.make import make_event, make_order
from tradekit.base.interrupts import Interrupted, handled
from tradekit.errors import UsageError
from tradekit.store.query import query

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n, orders"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_select(store):
    store.orders.add(make_order(id="a", qty=3))
    assert query(store.path, "SELECT id, qty, qty * 2 AS twice, id FROM orders").rows == [
        {"id": "a", "qty": 3.0, "twice": 6.0, "id:2": "a"}
    ]
    assert query(store.path, "WITH x AS (SELECT count(*) n FROM orders) SELECT n FROM x;").rows == [{"n": 1}]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "INSERT INTO meta VALUES ('a', 'b')",
        "DROP TABLE orders",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "ATTACH '{folder}/made.db' AS x",
        "VACUUM INTO '{folder}/made.db'",
        "PRAGMA journal_mode = OFF",
        "PRAGMA query_only = 0",
        "SELECT * FROM pragma_table_info('orders')",
        "SELECT load_extension('x')",
        "SELECT randomblob(900000000)",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "SELECT * FROM tokens",
        "SELEC 1",
        "",
        "SELECT '" + "x" * 200_000 + "'",
    ],
)
def test_nothing_but_one_modest_select(store, tmp_path, statement):
    before = store.path.read_bytes()
    with pytest.raises(UsageError):
        query(store.path, statement.format(folder=tmp_path))
    assert not (tmp_path / "made.db").exists()
    assert store.path.read_bytes() == before


def test_rows_are_counted(store):
    store.events.add_many(make_event() for _ in range(5))
    answer = query(store.path, "SELECT id FROM events", limit=3)
    assert (len(answer.rows), answer.more) == (3, True)
    assert query(store.path, "SELECT id FROM events", limit=5).more is False


def test_ctrl_c_ends_an_endless_query_as_an_interruption(store):
    store.orders.add(make_order(id="a"))
    with handled(), pytest.raises(Interrupted) as stopped:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        query(store.path, ENDLESS, timeout_s=60)
    assert stopped.value.code == 130


def test_time_runs_out(store):
    begun = time.monotonic()
    with pytest.raises(UsageError, match=r"stopped after 0\.2 s"):
        query(store.path, ENDLESS.replace(", orders", ""), timeout_s=0.2)
    assert time.monotonic() - begun < 3


def test_a_writer_commits_while_a_query_runs_for_ever(store):
    store.orders.add(make_order())
    outcome: list[Exception] = []

    def ask() -> None:
        try:
            query(Path(store.path), ENDLESS, timeout_s=1.5)
        except UsageError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    longest = 0.0
    while thread.is_alive():
        begun = time.monotonic()
        store.events.add(make_event())
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.05)
    thread.join()
    assert "stopped" in str(outcome[0])
    assert longest < 1
