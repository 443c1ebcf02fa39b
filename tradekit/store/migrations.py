"""Old files become new ones: named steps, each applied once, after a backup.

A fresh file is made by schema.create and never comes here, so that it need not import sqlite_utils (which imports
pandas where that is installed).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradekit.errors import StoreError
from tradekit.store import schema
from tradekit.store.connection import Db

# m001 is schema.create of version 1. Later steps go here: `m002_add_something(db)` with db an sqlite_utils Database.
STEPS: dict[int, Callable[[Any], None]] = {}


def migrate(db: Db, found: int) -> Path | None:
    """Bring a file of version `found` up to date; the backup's path, None where nothing was to do.

    All steps are one transaction: the file is old or new, never between. Raises StoreError.
    """
    todo = {number: step for number, step in sorted(STEPS.items()) if number > found}
    if found >= schema.VERSION:
        return None
    if not todo or max(todo) != schema.VERSION:
        raise StoreError(f"{db.path}: schema {found} cannot be brought to {schema.VERSION}", "tradekit restore")
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    from tradekit.store.backup import backup

    kept = db.path.parent / "backups" / f"{db.path.stem}-schema-{found}.db"
    backup(db.path, kept)
    steps = Migrations("tradekit")
    for number, step in todo.items():
        steps(name=step.__name__)(_versioned(number, step))
    database = Database(db.raw)
    try:
        with database.atomic():
            steps.apply(database)
    except Exception as error:
        raise StoreError(f"{db.path}: schema {found} could not be changed: {error}", f"a copy is {kept}") from error
    return kept


def _versioned(number: int, step: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(database: Any) -> None:
        step(database)
        database.execute(f"PRAGMA user_version = {number}")

    return run
