"""desk.yaml as it was parsed last time: reading YAML costs a trading command 25 ms of its 100.

A copy lies in the user's cache folder and counts only while the file's text is the very same. Anything odd about it
means parsing again; it can always be deleted.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tradekit.base.yaml_text import Keys

VERSION = 1


class Parsed(msgspec.Struct, frozen=True, array_like=True):
    """Text, what YAML made of it, and the line of every key."""

    version: int
    text: str
    tree: dict[str, Any]
    lines: list[tuple[list[str | int], int]]


def remembered(text: str, path: Path, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[Keys, int]] | None:
    """Tree and lines of this very text, None where they are not known."""
    try:
        found = msgspec.msgpack.decode(place_of(path, environ).read_bytes(), type=Parsed)
    except (OSError, RuntimeError, msgspec.DecodeError):
        return None
    if found.version != VERSION or found.text != text:
        return None
    return found.tree, {tuple(keys): line for keys, line in found.lines}


def remember(text: str, path: Path, environ: Mapping[str, str], tree: Any, lines: Mapping[Keys, int]) -> None:
    """Keep what was parsed for the next time; a folder that cannot be written is no error."""
    from tradekit.base.files import private_folder, write_bytes

    if not isinstance(tree, dict):
        return
    try:
        place = place_of(path, environ)
        private_folder(place.parent)
        parsed = Parsed(VERSION, text, tree, [(list(keys), line) for keys, line in lines.items()])
        write_bytes(place, msgspec.msgpack.encode(parsed), durable=False)
    except (OSError, RuntimeError, OverflowError):
        return


def place_of(path: Path, environ: Mapping[str, str]) -> Path:
    """The copy's path: one per desk.yaml. RuntimeError for a user without a home."""
    from hashlib import blake2s

    base = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tradekit" / "settings" / blake2s(str(path.resolve()).encode(), digest_size=8).hexdigest()
