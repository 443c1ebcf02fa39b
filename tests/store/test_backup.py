import errno
import fcntl
import os
import sqlite3
import threading

import pytest

from tests.make import make_event
from tradekit.errors import StoreError
from tradekit.store import open_store
from tradekit.store.backup import _signature, backup, check, restore, snapshot
from tradekit.store.copies import open_copy


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def events(path):
    store = open_store(path, readonly=True)
    try:
        return [event.id for event in store.events.all()]
    finally:
        store.close()


def test_a_copy_is_whole_private_and_alone(store, tmp_path):
    store.events.add(make_event(id="e1"))
    copy = backup(store.path, tmp_path / "backups" / "one.db")
    assert events(copy) == ["e1"]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in copy.parent.iterdir()] == ["one.db"]


def test_a_copy_of_nothing(tmp_path):
    with pytest.raises(StoreError, match="is missing"):
        backup(tmp_path / "desk.db", tmp_path / "one.db")
    assert not (tmp_path / "one.db").exists()


def test_a_broken_file_is_no_backup(store, tmp_path):
    store.events.add_many(make_event() for _ in range(500))
    data = bytearray(store.path.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    broken = tmp_path / "broken.db"
    broken.write_bytes(data)
    with pytest.raises(StoreError):
        backup(broken, tmp_path / "one.db")
    assert not (tmp_path / "one.db").exists()
    assert not list(tmp_path.glob(".one*"))


def test_restore_keeps_what_was_there(store, tmp_path):
    store.events.add(make_event(id="old"))
    copy = backup(store.path, tmp_path / "b.db")
    store.events.add(make_event(id="new"))
    restore(copy, store.path)
    assert events(store.path) == ["old"]
    assert events(tmp_path / "desk.db.before-restore") == ["old", "new"]
    with pytest.raises(StoreError, match="replaced"):
        store.events.add(make_event())  # whoever had the old one open does not write into the void


def test_a_second_restore_lost_what_the_first_one_kept(store, tmp_path):
    copy = backup(store.path, tmp_path / "copy.db")
    store.events.add(make_event(id="new"))
    restore(copy, store.path)
    restore(copy, store.path)
    assert events(tmp_path / "desk.db.before-restore") == ["new"]
    assert events(tmp_path / "desk.db.before-restore-2") == []


def test_restore_over_a_damaged_file(store, tmp_path):
    copy = backup(store.path, tmp_path / "b.db")
    store.path.write_bytes(b"\0" * 5000)
    restore(copy, store.path)
    assert events(store.path) == []
    assert (tmp_path / "desk.db.before-restore").read_bytes() == b"\0" * 5000


def test_somebody_elses_database_is_not_restored(store, tmp_path):
    other = tmp_path / "other.db"
    sqlite3.connect(other).execute("CREATE TABLE x (y)").connection.close()
    with pytest.raises(StoreError, match="not a tradekit database"):
        restore(other, store.path)
    check(store.path)


def test_a_snapshot_stands_until_something_is_written(store):
    store.events.add(make_event(id="e1"))
    first = snapshot(store.path)
    assert snapshot(store.path) == first
    store.events.add(make_event(id="e2"))
    second = snapshot(store.path)
    assert second != first
    assert events(second) == ["e1", "e2"]
    assert not first.exists()


def test_a_commit_into_a_reused_log_within_a_tick_of_the_clock_is_seen(tmp_path):
    path, log = tmp_path / "x.db", tmp_path / "x.db-wal"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = wal")
    db.execute("CREATE TABLE x (y)")
    for _ in range(50):
        db.execute("INSERT INTO x VALUES (1)")
    db.execute("PRAGMA wal_checkpoint(RESTART)")
    db.execute("INSERT INTO x VALUES (2)")
    before, stat = _signature(path), log.stat()
    db.execute("INSERT INTO x VALUES (3)")
    os.utime(log, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert log.stat().st_size == stat.st_size  # neither size nor time tells
    assert _signature(path) != before
    db.close()


def test_a_copy_that_was_killed_stops_no_later_one_of_the_same_pid(store, tmp_path):
    """In a container each run may have the same number."""
    store.events.add(make_event(id="e1"))
    left = tmp_path / f".one.db.{os.getpid()}.part"
    left.write_bytes(b"half of a copy")
    assert events(backup(store.path, tmp_path / "one.db")) == ["e1"]
    assert not left.exists()


def test_a_disk_that_locks_no_file_it_only_reads_took_no_backup(store, tmp_path, monkeypatch):
    """NFS: flock without writing is EBADF, and with it SQLite could not lock the copy."""
    flock = fcntl.flock

    def of_nfs(fd, how):
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, how)

    store.events.add(make_event(id="e1"))
    monkeypatch.setattr(fcntl, "flock", of_nfs)
    assert events(backup(store.path, tmp_path / "one.db")) == ["e1"]
    assert not list(tmp_path.glob(".*.part"))


def test_a_report_needs_no_room_for_a_copy(store, tmp_path, monkeypatch):
    """A full disk is when somebody looks."""
    store.events.add(make_event(id="e1"))

    def full(path):
        raise StoreError("database or disk is full")

    monkeypatch.setattr("tradekit.store.copies.snapshot", full)
    found = open_copy(store.path)
    assert [event.id for event in found.events.all()] == ["e1"]
    found.close()


def test_a_copy_under_a_busy_writer_is_consistent(store, tmp_path):
    store.events.add_many(make_event(data={"x": "y" * 500}) for _ in range(2000))
    stop = threading.Event()

    def write():
        writer = open_store(store.path, synchronous="OFF")
        while not stop.is_set():
            with writer.transaction():
                writer.events.add(make_event())
                writer.events.add(make_event())
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        copy = backup(store.path, tmp_path / "b.db")
    finally:
        stop.set()
        thread.join()
    assert len(events(copy)) % 2 == 0


def test_old_snapshots_and_what_a_killed_copy_left_are_removed(store):
    store.events.add(make_event(id="e1"))
    first = snapshot(store.path)
    left = first.with_name(".gone-1.db.77.part")
    left.write_bytes(b"half")
    other = first.with_name("anotherdesk-1.db")
    other.write_bytes(b"")
    for path in (left, other):
        os.utime(path, (0, 0))
    fresh = first.with_name("thirddesk-1.db")
    fresh.write_bytes(b"")
    store.events.add(make_event(id="e2"))
    second = snapshot(store.path)
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([second.name, fresh.name])


def test_a_snapshot_that_went_away_is_made_again(store):
    store.events.add(make_event(id="e1"))
    snapshot(store.path).unlink()
    assert events(snapshot(store.path)) == ["e1"]
    copy = open_copy(store.path)
    assert [event.id for event in copy.events.all()] == ["e1"]
    with pytest.raises(StoreError, match="reading only"):
        copy.events.add(make_event(id="e2"))
    copy.close()
