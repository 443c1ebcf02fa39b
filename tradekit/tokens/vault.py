"""One 0600 file per provider and client id: read safely, written whole, with the copy before it kept.

Beside NAME.json lie NAME.lock (who refreshes), NAME.next (a write under way) and NAME.previous.json.
"""

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tradekit.base.crashpoint import crash_point
from tradekit.base.files import private_folder
from tradekit.base.locks import Lock
from tradekit.base.logs import remember_secret
from tradekit.errors import AuthError, StoreError
from tradekit.tokens.token import Token, seal_of, sealed

ROOM = 16 * 1024  # bytes set aside before a request, so that its answer has a place
MOST = 1024 * 1024
_known: set[str] = set()


class Damaged(AuthError):
    """The file is there and is no token."""


class Missing(AuthError):
    """Nobody has logged in yet."""


class Vault:
    """The token file of one provider and client id. `folder` is made 0700 when something is written."""

    def __init__(self, folder: Path, provider: str, client_id: str, *, kind: str = "") -> None:
        from hashlib import blake2s

        self.folder, self.provider, self.client_id = folder, provider, client_id
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in kind or provider)
        self.path = folder / f"{safe}-{blake2s(client_id.encode(), digest_size=6).hexdigest()}.json"
        self._next = self.path.with_suffix(".next")
        self.previous = self.path.with_suffix(".previous.json")

    @property
    def login(self) -> str:
        """The command that mends most of what can be wrong here."""
        return f"tradekit refresh-token {self.provider} --login paste"

    def lock(self, wait_s: float, what: str) -> Lock:
        """The one who holds this may refresh. Raises StoreError where the folder cannot be made."""
        self._make_folder()
        return Lock(self.path.with_suffix(".lock"), wait_s=wait_s, what=what)

    def read(self) -> Token:
        """The stored token. Raises AuthError (4): missing, damaged, readable by others, a link, somebody else's."""
        token = self._decoded(self._read(self.path))
        remember(token)
        return token

    def find(self) -> Token | None:
        """Like `read`, None where nobody has logged in yet."""
        try:
            return self.read()
        except Missing:
            return None

    def is_foreign(self, token: Token) -> bool:
        """True where another program has written into the file."""
        return token.seal != seal_of(token)

    def prepare(self) -> None:
        """Set room aside on the disk before a request that cannot be repeated. Raises StoreError."""
        self._put(b" " * ROOM, sync=False)

    def write(self, token: Token, *, keep: bool = True) -> Token:
        """Store a token: temporary file, fsync, rename, fsync of the folder; `keep` keeps the one before as a copy.

        Only inside the lock. Returns it as stored. Raises StoreError; the old file is whole then.
        """
        done = sealed(token)
        remember(done)
        self._put(msgspec.json.format(msgspec.json.encode(done), indent=1) + b"\n", sync=True)
        crash_point("token_tmp_written")
        try:
            if keep and self.path.exists():
                self._copy_previous()
            os.replace(self._next, self.path)
            crash_point("token_renamed")
            self._sync_folder()
        except OSError as error:
            raise self._no_room(error) from None
        return done

    def recover(self) -> Token | None:
        """Finish a write that was killed before its rename, where the temporary file is whole; only inside the lock."""
        try:
            data = self._read(self._next)
        except Missing:
            return None
        except AuthError:
            self._next.unlink(missing_ok=True)
            return None
        found: Token | None = None
        current: Token | None = None
        try:
            found = msgspec.json.decode(data, type=Token)
            current = self.find()
        except (msgspec.DecodeError, UnicodeDecodeError, AuthError):
            found = None
        if found is None or self.is_foreign(found) or found.generation != (current.generation if current else 0) + 1:
            self._next.unlink(missing_ok=True)
            return None
        return self.write(found)

    # inside

    def _read(self, path: Path) -> bytes:
        """The bytes of a plain file that only we can read. Raises AuthError."""
        try:
            self._check_folder()
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise Missing(f"{self.provider}: no token yet", self.login) from None
        except OSError as error:
            what = "it is a link" if path.is_symlink() else error.strerror
            raise AuthError(f"{path}: {what}", f"look at it, remove it, then {self.login}") from None
        with os.fdopen(fd, "rb") as file:
            self._check_facts(path, os.fstat(fd))
            return file.read(MOST)

    def _check_folder(self) -> None:
        facts = os.lstat(self.folder)
        if not stat.S_ISDIR(facts.st_mode):
            raise AuthError(f"{self.folder} is not a folder of its own", "look at it and remove it")
        if facts.st_uid != os.getuid():
            raise AuthError(f"{self.folder} belongs to somebody else", f"sudo chown -R $(id -u) {self.folder}")
        if facts.st_mode & 0o022:
            raise AuthError(f"{self.folder}: others may write into it", f"chmod 700 {self.folder}")

    def _check_facts(self, path: Path, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise AuthError(f"{path} is no plain file", f"remove it, then {self.login}")
        if facts.st_uid != os.getuid():
            raise AuthError(f"{path} belongs to somebody else", f"make it your own, or remove it and {self.login}")
        if facts.st_mode & 0o077:
            raise AuthError(f"{path}: others can read it (mode {stat.S_IMODE(facts.st_mode):o})", f"chmod 600 {path}")

    def _decoded(self, data: bytes) -> Token:
        try:
            token = msgspec.json.decode(data, type=Token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._other_format(data)
        if not token.access_token:
            raise self._damaged("it has no access token")
        if token.client_id != self.client_id:
            raise self._damaged("it is for another client id")
        return token

    def _other_format(self, data: bytes) -> Token:
        """A program that was pointed at our file wrote its own layout: still the newest token there is."""
        from tradekit.tokens.formats import parse

        try:
            token = parse(data, self.provider, self.client_id)
        except ValueError as error:
            raise self._damaged(str(error)) from None
        return msgspec.structs.replace(token, via="outside")

    def _damaged(self, what: str) -> Damaged:
        kept = f" (the copy before it: {self.previous})" if self.previous.exists() else ""
        return Damaged(f"{self.path} is damaged: {what}{kept}", self.login)

    def _make_folder(self) -> None:
        try:
            private_folder(self.folder.parent)
            self.folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: {error.strerror}", f"make {self.folder.parent} writable") from None
        self._check_folder()

    def _put(self, data: bytes, *, sync: bool) -> None:
        self._make_folder()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(self._next, flags, 0o600)
            with os.fdopen(fd, "wb") as file:
                os.fchmod(fd, 0o600)  # a looser one may have been left there
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(fd)
        except OSError as error:
            raise self._no_room(error) from None

    def _copy_previous(self) -> None:
        """A hard link beside the file, renamed over the older copy: whole at every moment."""
        spare = self.path.with_suffix(".spare")
        spare.unlink(missing_ok=True)
        os.link(self.path, spare)
        os.replace(spare, self.previous)

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _no_room(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: cannot be written: {error.strerror}", f"make room in {self.folder}")


def tokens_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the tokens of all desks of this user lie."""
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "state"
    return Path(base) / "tradekit" / "tokens"


def remember(token: Token) -> None:
    """Make the redactor know what is secret in a token."""
    for value in (token.access_token, token.refresh_token, token.id_token):
        if value and value not in _known:
            _known.add(value)
            remember_secret(value)


def me() -> str:
    """This process, for `by`: pid and command."""
    words = [os.path.basename(sys.argv[0]) if sys.argv else "python", *sys.argv[1:2]]
    return f"pid {os.getpid()} ({' '.join(words)[:60]})"
