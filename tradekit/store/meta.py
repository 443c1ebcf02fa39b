"""What the desk knows of itself: its id, currency, the store's own totals."""

from tradekit.store.connection import Db
from tradekit.store.table import Writes, alone

SCHEMA = """
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,  -- desk_id, currency, cash, ...
    value TEXT NOT NULL      -- text; cash is an exact decimal
) STRICT;
"""


class Meta:
    """A small dictionary of texts."""

    def __init__(self, store: Writes) -> None:
        self._store = store
        self._db: Db = store.db

    def get(self, key: str) -> str | None:
        """The text of a key, None without one."""
        value: str | None = self._db.value("SELECT value FROM meta WHERE key = ?", [key])
        return value

    def set(self, key: str, value: str | None) -> None:
        """Write a text down, over the old one; None takes the key away."""
        if value is None:
            with self._store.transaction(), alone(self._store, "meta"):
                self._db.run("DELETE FROM meta WHERE key = ?", [key])
            return
        sql = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        with self._store.transaction(), alone(self._store, "meta"):
            self._db.run(sql, [key, value])

    def under(self, prefix: str) -> dict[str, str]:
        """The keys that begin with `prefix`, with their texts."""
        return dict(
            self._db.rows("SELECT key, value FROM meta WHERE key >= ? AND key < ?", [prefix, prefix + "\uffff"])
        )

    def all(self) -> dict[str, str]:
        """Every key with its text."""
        return dict(self._db.rows("SELECT key, value FROM meta ORDER BY key"))
