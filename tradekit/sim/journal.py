"""The venue's append-only journal: what was accepted, filled, cancelled. For checkers it is the truth."""

import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tradekit.base.files import private_folder
from tradekit.clock import iso


class Journal:
    """JSON lines, each in the file before the call is answered. `path` None: in memory only."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = read_journal(path) if path is not None else []
        self._fd = -1
        if path is not None:
            private_folder(path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
            if os.path.getsize(path) and not path.read_bytes().endswith(b"\n"):
                os.write(self._fd, b"\n")  # whoever died in the middle of a line left it behind

    def add(self, kind: str, at: datetime, **fields: Any) -> None:
        """One more line; Decimals become text, times ISO."""
        row = {"n": len(self.rows) + 1, "at": iso(at), "kind": kind, **{k: plain(v) for k, v in fields.items()}}
        if self._fd >= 0:
            os.write(self._fd, msgspec.json.encode(row) + b"\n")
        self.rows.append(row)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The lines of some kinds, oldest first."""
        return [row for row in self.rows if row["kind"] in kinds]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a journal, oldest first; an empty list where there is no file yet."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # cut off by a crash
        if isinstance(row, dict):
            rows.append(row)
    return rows


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that trade as text, times as ISO."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return iso(value) if isinstance(value, datetime) else value
