"""Secrets: from the environment, systemd's credentials, the keyring or a 0600 file; never from desk.yaml.

Whatever is handed out is known to the redactor from then on.
"""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tradekit.base.files import private_folder, write_bytes
from tradekit.base.logs import remember_secret
from tradekit.errors import AuthError, ConfigError, StoreError, UsageError

SERVICE = "tradekit"
KEYRING_DEADLINE_S = 5.0  # a locked desktop keyring asks a human who is not there, and blocks
LONGEST = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What the child runs: the keyring's answer on stdout; 3: there is none, 4: no keyring works here.
_CHILD = """
import sys
try:
    import keyring, keyring.errors
    value = keyring.get_password(sys.argv[1], sys.argv[2])
except keyring.errors.KeyringError:
    sys.exit(4)
if value is None:
    sys.exit(3)
sys.stdout.write(value)
"""
# The same for writing: the value comes on stdin, so that no process list shows it, and is read back.
_KEEPER = """
import sys
value = sys.stdin.read()
try:
    import keyring, keyring.errors
    keyring.set_password(sys.argv[1], sys.argv[2], value)
    sys.exit(0 if keyring.get_password(sys.argv[1], sys.argv[2]) == value else 5)
except (ImportError, keyring.errors.KeyringError):
    sys.exit(4)
"""


class Secret(NamedTuple):
    """A secret and where it was found. Its text form hides the value."""

    name: str
    value: str
    origin: str  # environment | credentials | keyring | file

    def __repr__(self) -> str:  # str() uses it too
        return f"Secret({self.name}, ***, {self.origin})"


def secret(name: str, environ: Mapping[str, str] = os.environ) -> Secret:
    """The secret of a name such as `alpaca-key`.

    Raises AuthError where nobody has it, ConfigError where its file can be read by others.
    """
    found = find_secret(name, environ)
    if found is None:
        variable, path = variable_of(name), secrets_folder(environ) / name
        raise AuthError(
            f"no secret {name}", f"tradekit secret set {name}, or export {variable}=..., or {path} (mode 600)"
        )
    return found


def find_secret(name: str, environ: Mapping[str, str] = os.environ) -> Secret | None:
    """Like `secret`, None where nobody has it."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a secret", "letters, digits, dots and dashes")
    value, origin = environ.get(variable_of(name)), "environment"
    if not value and environ.get("CREDENTIALS_DIRECTORY"):
        value, origin = _plain_file(Path(environ["CREDENTIALS_DIRECTORY"]) / name), "credentials"
    if not value:
        value, origin = from_keyring(name), "keyring"
    if not value:
        value, origin = private_file(secrets_folder(environ) / name), "file"
    if not value:
        return None
    remember_secret(value)
    return Secret(name, value, origin)


def keep_secret(name: str, value: str, environ: Mapping[str, str] = os.environ, *, in_file: bool = False) -> str:
    """Store a secret; where it lies now: keyring, or file (asked for with `in_file`, or where no keyring works).

    Raises UsageError where a place that is asked earlier would hide it, StoreError where the file cannot be written.
    """
    remember_secret(value)
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a secret", "letters, digits, dots and dashes")
    if not value or "\0" in value or len(value) > LONGEST:
        raise UsageError(f"{name}: an empty secret, or none at all", f"1 to {LONGEST} characters on stdin")
    if environ.get(variable_of(name)):
        raise UsageError(f"{name}: {variable_of(name)} is set and comes first", f"unset {variable_of(name)}")
    if not in_file and _into_keyring(name, value):
        return "keyring"
    if from_keyring(name) not in (None, value):
        raise UsageError(f"{name}: the keyring has another one, which comes first", f"keyring del {SERVICE} {name}")
    folder = secrets_folder(environ)
    try:
        private_folder(folder)
        write_bytes(folder / name, value.encode())
    except OSError as error:
        raise StoreError(f"{folder / name}: {error.strerror}", f"make {folder} yours and writable") from None
    return "file"


def _into_keyring(name: str, value: str, *, deadline_s: float = KEYRING_DEADLINE_S, program: str = _KEEPER) -> bool:
    command = [sys.executable, "-P", "-c", program, SERVICE, name]  # -P: not from the folder we stand in
    try:
        done = subprocess.run(command, input=value.encode(), capture_output=True, timeout=deadline_s, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0


def kept_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the secrets that lie in the user's folder. Those of the keyring cannot be listed."""
    try:
        return sorted(path.name for path in secrets_folder(environ).iterdir() if _NAME.fullmatch(path.name))
    except OSError:
        return []


def variable_of(name: str) -> str:
    """TRADEKIT_SECRET_ALPACA_KEY for alpaca-key."""
    return "TRADEKIT_SECRET_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def secrets_folder(environ: Mapping[str, str]) -> Path:
    """The user's folder of 0600 files, one per secret."""
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home()) / ".config"
    return Path(base) / "tradekit" / "secrets"


def private_file(path: Path) -> str | None:
    """The text of a file that only its owner can read; None without one. ConfigError for wider modes."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", f"a plain file of yours: chmod 600 {path}") from None
    with os.fdopen(fd, encoding="utf-8") as file:
        facts = os.fstat(file.fileno())
        if facts.st_mode & 0o077:
            raise ConfigError(f"{path}: others can read it (mode {stat.S_IMODE(facts.st_mode):o})", f"chmod 600 {path}")
        if facts.st_uid != os.getuid():
            raise ConfigError(f"{path} belongs to somebody else", "make it your own")
        return file.read().strip() or None


def _plain_file(path: Path) -> str | None:
    """systemd guards its credentials folder itself, whatever the modes inside."""
    try:
        return path.read_text("utf-8").strip() or None
    except OSError:
        return None


def from_keyring(name: str, *, deadline_s: float = KEYRING_DEADLINE_S, program: str = _CHILD) -> str | None:
    """What the user's keyring has under tradekit/NAME; None where it has nothing, no keyring works or it hangs."""
    command = [sys.executable, "-P", "-c", program, SERVICE, name]  # -P: not from the folder we stand in
    try:
        done = subprocess.run(command, capture_output=True, timeout=deadline_s, stdin=subprocess.DEVNULL, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout.decode("utf-8", "replace") or None if done.returncode == 0 else None
