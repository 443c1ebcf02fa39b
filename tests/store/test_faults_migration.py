"""A file of the oldest schema becomes one of the newest, whatever dies on the way: old or new, never between."""

import os
import shutil
import sqlite3

import pytest

from tests.make import make_event, make_fill, make_order
from tests.process.day import count_calls, forked, inject, needs_strace
from tradekit.errors import StoreError
from tradekit.store import migrations, open_store, schema
from tradekit.store.backup import newest_good, restore


@pytest.fixture
def oldest(tmp_path):
    """desk.db as schema 1 made it, with a few rows. When SCHEMA changes, keep the old text here: its tables as then."""
    store = open_store(tmp_path / "desk.db", create=True)
    store.orders.add(make_order(id="o1"))
    store.book_fill(make_fill(order_id="o1", broker_fill_id="f1"))
    store.events.add_many(make_event(id=f"e{n}") for n in range(200))
    store.close()
    return tmp_path / "desk.db"


def two(db):
    db["events"].add_column("colour", str)
    db.execute("UPDATE events SET colour = 'red'")


def three(db):
    db["fills"].add_column("shape", str)
    db.execute("CREATE TABLE extra (id TEXT PRIMARY KEY) STRICT")


@pytest.fixture
def two_steps(oldest, monkeypatch):
    """A tradekit that is two versions ahead."""
    now = schema.VERSION
    monkeypatch.setattr(schema, "VERSION", now + 2)
    monkeypatch.setattr(migrations, "STEPS", {now + 1: two, now + 2: three})
    return now


def look(path):
    """(version, what the steps added, rows)."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        columns = [row[1] for table in ("events", "fills") for row in db.execute(f"PRAGMA table_info({table})")]
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE name = 'extra'")]
        found = sorted({"colour", "shape"} & set(columns)) + tables
        return (
            db.execute("PRAGMA user_version").fetchone()[0],
            found,
            db.execute("SELECT count(*) FROM events").fetchone()[0],
        )
    finally:
        db.close()


def migrate(path):
    open_store(path).close()
    return 0


@needs_strace
def test_killed_at_any_write_it_is_old_or_new(oldest, two_steps, tmp_path):
    path = oldest
    kept = tmp_path / "kept.db"
    shutil.copy(path, kept)
    old, new = (two_steps, [], 200), (two_steps + 2, ["colour", "shape", "extra"], 200)
    assert look(path) == old
    writes = count_calls(lambda: migrate(path), tmp_path)["pwrite64"]
    assert look(path) == new
    seen = set()
    for n in range(1, writes + 1, max(1, writes // 14)):
        for name in tmp_path.glob("desk.db*"):
            name.unlink()
        shutil.copy(kept, path)
        done = forked(lambda: migrate(path), traced=inject(f"pwrite64:signal=SIGKILL:when={n}"))
        assert done.returncode == -9
        seen.add(look(path)[0])
        assert look(path) in (old, new)
        migrate(path)
        assert look(path) == new
    assert two_steps in seen


def test_the_backup_from_before_brings_the_old_file_back(oldest, two_steps, tmp_path):
    path = oldest
    migrate(path)
    copy = tmp_path / "backups" / f"desk-schema-{two_steps}.db"
    assert newest_good(tmp_path / "backups") == copy
    restore(copy, path)
    assert look(path) == (two_steps, [], 200)
    assert look(tmp_path / "desk.db.before-restore")[0] == two_steps + 2


def test_without_a_backup_nothing_is_changed(oldest, two_steps, tmp_path, monkeypatch):
    path = oldest

    def full(source, target):
        raise StoreError("no space for a backup")

    monkeypatch.setattr("tradekit.store.backup.backup", full)
    with pytest.raises(StoreError, match="no space"):
        open_store(path)
    assert look(path) == (two_steps, [], 200)


def test_many_that_migrate_at_once(oldest, two_steps, tmp_path):
    path = oldest
    children = []
    for _ in range(6):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = migrate(path)
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    assert look(path) == (two_steps + 2, ["colour", "shape", "extra"], 200)
