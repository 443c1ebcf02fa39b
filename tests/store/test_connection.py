import os
import sqlite3
import stat

import pytest

from tests.make import make_event
from tradekit.errors import Busy, StoreError
from tradekit.store import open_store
from tradekit.store.connection import connect, journal_mode


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "truncate"),
        ((3, 44, 5), "truncate"),
        ((3, 44, 6), "wal"),  # the fix was carried back
        ((3, 45, 0), "truncate"),
        ((3, 50, 6), "truncate"),
        ((3, 50, 7), "wal"),
        ((3, 51, 2), "truncate"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
    ],
)
def test_wal_only_where_it_cannot_lose_commits(version, mode):
    assert journal_mode(version) == mode


def test_settings_are_set_on_every_connection(store):
    found = {n: store.db.value(f"PRAGMA {n}") for n in ("foreign_keys", "busy_timeout", "journal_mode")}
    assert found == {"foreign_keys": 1, "busy_timeout": 5000, "journal_mode": journal_mode()}
    strict = open_store(store.path)
    assert strict.db.value("PRAGMA synchronous") == 2  # FULL
    strict.close()


def test_a_setting_that_does_not_hold_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tradekit.store.connection.journal_mode", lambda: "nonsense")
    with pytest.raises(StoreError, match="journal_mode is delete, not nonsense"):
        connect(tmp_path / "x.db", create=True)


def test_files_are_private(store):
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_missing_file_names_init(tmp_path):
    with pytest.raises(StoreError, match="is missing") as caught:
        open_store(tmp_path / "desk.db")
    assert "tradekit init" in caught.value.hint
    assert not (tmp_path / "desk.db").exists()


def test_foreign_newer_and_broken_files_are_refused(tmp_path, store):
    foreign = tmp_path / "foreign.db"
    sqlite3.connect(foreign).execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(StoreError, match="not a tradekit database"):
        open_store(foreign)
    store.db.run("PRAGMA user_version = 999")
    with pytest.raises(StoreError, match="schema 999"):
        open_store(store.path)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database at all, but long enough to look like one" * 40)
    with pytest.raises(StoreError, match="not a database"):
        open_store(broken)


def test_readers_read_and_cannot_write(store):
    store.events.add(make_event(id="e1"))
    reader = open_store(store.path, readonly=True)
    assert [event.id for event in reader.events.all()] == ["e1"]
    with pytest.raises(StoreError, match="reading only"):
        reader.events.add(make_event())
    with pytest.raises(StoreError, match="readonly"):
        reader.db.run("DELETE FROM events")
    reader.close()


def test_a_reader_rolls_back_what_a_killed_writer_left(store):
    store.events.add(make_event(id="kept"))
    if os.fork() == 0:  # a writer that dies in the middle of its transaction, pages already in the file
        db = connect(store.path)
        db.rows("PRAGMA cache_size = 2")
        db.run("BEGIN IMMEDIATE")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999) SELECT * FROM n"
        db.run(f"CREATE TABLE junk AS {numbers}")
        os.kill(os.getpid(), 9)
    os.wait()
    reader = open_store(store.path, readonly=True)
    assert [event.id for event in reader.events.all()] == ["kept"]
    assert reader.db.value("PRAGMA integrity_check") == "ok"
    reader.close()


def test_a_deleted_file_is_not_written_to(store):
    store.path.unlink()
    with pytest.raises(StoreError, match="deleted or replaced"):
        store.events.add(make_event())
    assert not store.path.exists()


def test_a_locked_file_is_busy(store, monkeypatch):
    monkeypatch.setattr("tradekit.store.connection.BUSY_MS", 20)
    other = open_store(store.path)
    store.db.run("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        other.events.add(make_event())
    store.db.run("ROLLBACK")
    assert other.events.add(make_event())
    other.close()


def test_a_transaction_is_all_or_nothing(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.events.add(make_event(id="lost"))
        raise ZeroDivisionError
    assert store.events.all() == []


def test_a_part_can_fail_alone(store):
    with store.transaction(low=True):
        store.events.add(make_event(id="kept"))
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.events.add(make_event(id="lost"))
            raise ZeroDivisionError
        store.events.add(make_event(id="kept too"))
    assert [event.id for event in store.events.all()] == ["kept", "kept too"]


def test_nothing_reads_on_after_a_read(store):
    store.events.add_many(make_event() for _ in range(50))
    reader = open_store(store.path, readonly=True)
    pages = reader.events.pages(size=10)
    assert len(next(pages)) == 10
    store.events.add(make_event())  # with an open read this would wait for it
    assert sum(len(page) for page in pages) == 41
    reader.close()


@pytest.mark.parametrize("columns", [[["a", "a"], [1, 1]], [["a", "a"], [1, 2]], [["a", "b"], [1, 1]]])
def test_rows_that_are_all_the_same_are_inserted_too(store, columns):
    store.db.run("CREATE TEMP TABLE t (x, y)")
    assert store.db.insert("t", ("x", "y"), columns) == 2
    assert store.db.rows("SELECT x, y FROM t") == list(zip(*columns, strict=True))
