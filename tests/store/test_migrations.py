import pytest

from tests.make import make_event
from tradekit.errors import StoreError
from tradekit.store import migrations, open_store, schema


def add_colour(db):
    db["events"].add_column("colour", str)


def break_things(db):
    db["events"].add_column("shape", str)
    raise ValueError("no")


@pytest.fixture
def old(store, monkeypatch):
    """A file of this version, and a tradekit that is one ahead."""
    store.events.add(make_event(id="e1"))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    return store.path


def version(path):
    import sqlite3

    db = sqlite3.connect(path)
    try:
        columns = [row[1] for row in db.execute("PRAGMA table_info(events)")]
        return db.execute("PRAGMA user_version").fetchone()[0], columns[8:]
    finally:
        db.close()


def test_an_older_file_is_brought_up_to_date_after_a_backup(old, monkeypatch):
    monkeypatch.setattr(migrations, "STEPS", {schema.VERSION: add_colour})
    store = open_store(old)
    assert [event.id for event in store.events.all()] == ["e1"]
    store.close()
    assert version(old) == (schema.VERSION, ["colour"])
    assert version(old.parent / "backups" / f"desk-schema-{schema.VERSION - 1}.db") == (schema.VERSION - 1, [])
    open_store(old).close()  # and only once


def test_a_step_that_fails_leaves_the_old_file(old, monkeypatch):
    monkeypatch.setattr(migrations, "STEPS", {schema.VERSION: break_things})
    with pytest.raises(StoreError, match="could not be changed: no") as caught:
        open_store(old)
    assert "a copy is" in caught.value.hint
    assert version(old) == (schema.VERSION - 1, [])


def test_readers_do_not_migrate(old):
    with pytest.raises(StoreError, match="older schema"):
        open_store(old, readonly=True)


def test_a_version_without_a_way(old, monkeypatch):
    monkeypatch.setattr(migrations, "STEPS", {})
    with pytest.raises(StoreError, match="cannot be brought"):
        open_store(old)
