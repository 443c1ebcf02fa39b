"""What the bot must not forget when it is killed: questions, requests, who knocked. bot.db, beside desk.db."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import msgspec

from tradekit.bot.words import Text
from tradekit.clock import iso, parse_time
from tradekit.errors import StoreError
from tradekit.store.backup import check

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id      INTEGER PRIMARY KEY,  -- Telegram's update_id
    at      TEXT NOT NULL,        -- when it was taken
    user_id INTEGER NOT NULL,
    chat_id INTEGER NOT NULL,
    words   TEXT NOT NULL,        -- JSON: command and arguments
    state   TEXT NOT NULL CHECK (state IN ('taken', 'acted', 'done')),
    answer  TEXT                  -- JSON, once it was acted on
) STRICT;
CREATE INDEX IF NOT EXISTS requests_open ON requests (id) WHERE state != 'done';
CREATE TABLE IF NOT EXISTS asks (
    token   TEXT PRIMARY KEY,     -- on the buttons
    at      TEXT NOT NULL,
    user_id INTEGER NOT NULL,     -- only who asked may answer
    chat_id INTEGER NOT NULL,
    what    TEXT NOT NULL,        -- close, liquidate, resume
    shown   TEXT NOT NULL,        -- JSON: the positions that the question named
    state   TEXT NOT NULL CHECK (state IN ('open', 'yes', 'no', 'expired', 'changed'))
) STRICT;
CREATE TABLE IF NOT EXISTS strangers (id INTEGER PRIMARY KEY, at TEXT NOT NULL) STRICT;
"""
NAME = "bot.db"
KEPT = timedelta(days=6)  # Telegram may begin its numbers anew after a week of silence
LEARN = (
    """INSERT INTO requests SELECT id, at, user_id, chat_id, words, 'done', answer FROM copy.requests WHERE true
    ON CONFLICT DO NOTHING""",
    """INSERT INTO asks SELECT token, at, user_id, chat_id, what, shown, iif(state = 'open', 'expired', state)
    FROM copy.asks WHERE true ON CONFLICT DO NOTHING""",
    "INSERT INTO strangers SELECT id, at FROM copy.strangers WHERE true ON CONFLICT DO NOTHING",
)


class Shown(msgspec.Struct, frozen=True):
    """A position, or a halt, as a question named it."""

    id: str
    symbol: str = ""
    qty: str = ""


class Request(msgspec.Struct, frozen=True):
    """Something to carry out; `again` where an earlier process may have begun it."""

    id: int
    at: datetime
    user_id: int
    chat_id: int
    words: tuple[str, ...]
    again: bool = False
    answer: tuple[Text, ...] | None = None


class Ask(msgspec.Struct, frozen=True):
    """A question with its buttons."""

    token: str
    at: datetime
    user_id: int
    chat_id: int
    what: str
    shown: tuple[Shown, ...]
    state: str = "open"


class Memory:
    """The file, open for one process; the bot's lock keeps a second one out. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._trouble():
            self._db = sqlite3.connect(path.resolve().as_uri(), timeout=5.0, isolation_level=None, uri=True)
            path.chmod(0o600)
            self._db.executescript(f"BEGIN;{SCHEMA}COMMIT;")  # all or none: a backup may be made at any moment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path}: {error}", f"make room, or move {self.path.name} away") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._trouble():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise

    def learn(self, copy: Path) -> None:
        """Take over what a copy (of this or an earlier machine's file) remembers, beside what is known here.

        Nothing is forgotten, nothing done again: what was at work or asked when the copy was made is over, and what is
        known here of the same update or question is newer.
        """
        with self._trouble():
            self._db.execute("ATTACH ? AS copy", [f"{copy.resolve().as_uri()}?mode=ro"])
        try:
            with self._transaction():
                for sql in LEARN if _remembers(self._db, "copy") else ():
                    self._db.execute(sql)
        finally:
            with self._trouble():
                self._db.execute("DETACH copy")

    # requests

    def take(self, request: Request) -> bool:
        """Write a request down before it is carried out. False: it was there already."""
        with self._transaction():
            return self._take(request)

    def _take(self, request: Request) -> bool:
        self._db.execute("DELETE FROM requests WHERE at < ? AND state = 'done'", [iso(request.at - KEPT)])
        sql = "INSERT INTO requests VALUES (?, ?, ?, ?, ?, 'taken', NULL) ON CONFLICT DO NOTHING"
        words = msgspec.json.encode(request.words).decode()
        row = [request.id, iso(request.at), request.user_id, request.chat_id, words]
        return self._db.execute(sql, row).rowcount == 1

    def acted(self, id: int, answer: Sequence[Text]) -> None:
        """It was carried out; this is to be answered."""
        with self._trouble():
            text = msgspec.json.encode(answer).decode()
            self._db.execute("UPDATE requests SET state = 'acted', answer = ? WHERE id = ?", [text, id])

    def done(self, id: int) -> None:
        """It was answered."""
        with self._trouble():
            self._db.execute("UPDATE requests SET state = 'done' WHERE id = ?", [id])

    def unfinished(self) -> list[Request]:
        """What was begun, or carried out and not answered, when the last process ended; oldest first."""
        with self._trouble():
            rows = self._db.execute(
                "SELECT id, at, user_id, chat_id, words, answer FROM requests WHERE state != 'done' ORDER BY id"
            ).fetchall()
        return [
            Request(
                id, parse_time(at), user, chat, tuple(msgspec.json.decode(words)), True,
                None if answer is None else msgspec.json.decode(answer, type=tuple[Text, ...]),
            )
            for id, at, user, chat, words, answer in rows
        ]  # fmt: skip

    # questions

    def ask(self, ask: Ask) -> None:
        """Write a question down before it is put."""
        with self._transaction():
            self._db.execute("DELETE FROM asks WHERE at < ?", [iso(ask.at - KEPT)])
            shown = msgspec.json.encode(ask.shown).decode()
            row = [ask.token, iso(ask.at), ask.user_id, ask.chat_id, ask.what, shown, ask.state]
            self._db.execute("INSERT INTO asks VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def asked(self, token: str) -> Ask | None:
        """The question of a button."""
        with self._trouble():
            row = self._db.execute(
                "SELECT token, at, user_id, chat_id, what, shown, state FROM asks WHERE token = ?", [token]
            ).fetchone()
        if row is None:
            return None
        token, at, user, chat, what, shown, state = row
        return Ask(token, parse_time(at), user, chat, what, msgspec.json.decode(shown, type=tuple[Shown, ...]), state)

    def settle(self, token: str, state: str) -> bool:
        """Close a question without doing anything. False: it was closed before."""
        with self._trouble():
            sql = "UPDATE asks SET state = ? WHERE token = ? AND state = 'open'"
            return self._db.execute(sql, [state, token]).rowcount == 1

    def confirm(self, token: str, request: Request) -> bool:
        """The yes and what follows from it, in one transaction. False: the question was closed before."""
        with self._transaction():
            sql = "UPDATE asks SET state = 'yes' WHERE token = ? AND state = 'open'"
            if self._db.execute(sql, [token]).rowcount != 1:
                return False
            if not self._take(request):
                raise StoreError(f"{self.path}: update {request.id} was taken before", "ask again")
            return True

    # strangers

    def knocked(self, id: int, at: datetime, most: int) -> bool:
        """True for a stranger who was not here before, as long as the list is shorter than `most`."""
        with self._transaction():
            if self._db.execute("SELECT count(*) FROM strangers").fetchone()[0] >= most:
                return False
            sql = "INSERT INTO strangers VALUES (?, ?) ON CONFLICT DO NOTHING"
            return self._db.execute(sql, [id, iso(at)]).rowcount == 1


def check_copy(path: Path) -> None:
    """StoreError unless a file is sound and has what `Memory.learn` reads, or is one without a table: its bot was
    just beginning. An empty file is one that was cut off."""
    check(path)
    copy = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        for sql in LEARN if not path.stat().st_size or _remembers(copy, "main") else ():
            copy.execute("SELECT" + sql.partition("SELECT")[2].partition(" WHERE true")[0].replace("copy.", "main."))
    except sqlite3.Error as error:
        raise StoreError(f"{path} is not the memory of a bot: {error}", "name a folder of backups/") from None
    finally:
        copy.close()


def _remembers(db: sqlite3.Connection, name: str) -> bool:
    return db.execute(f"SELECT 1 FROM {name}.sqlite_master LIMIT 1").fetchone() is not None
