"""Records from a pipe: only their ids are read, the store has the rest."""

import json
import sys
from typing import IO, Any

from tradekit.errors import UsageError


def ids_from(source: str | None, what: str, stream: IO[str] | None = None) -> tuple[str, ...] | None:
    """None without `-`; else the ids of the piped records, each once. An empty pipe gives none.

    Takes JSON lines, one array, one object and objects over several lines, as jq writes them. Raises UsageError
    naming the line that is no record.
    """
    if source is None:
        return None
    if source != "-":
        raise UsageError(f"{source} is not an option here", f"write - to read {what} from a pipe")
    text = (stream or sys.stdin).read()
    return tuple(dict.fromkeys(_ids(text, what)))


def _ids(text: str, what: str) -> list[str]:
    decoder, found, position = json.JSONDecoder(), [], _skip(text, 0)
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError):
            raise _wrong(text, position, what) from None
        for row in value if isinstance(value, list) else [value]:
            found.append(_id(row, text, position, what))
        position = _skip(text, end)
    return found


def _id(row: Any, text: str, position: int, what: str) -> str:
    name = row.get("id") if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise _wrong(text, position, what)
    return name


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n\ufeff":
        position += 1
    return position


def _wrong(text: str, position: int, what: str) -> UsageError:
    line = text.count("\n", 0, position) + 1
    seen = text[position:].splitlines()[0][:60]
    return UsageError(f"stdin line {line} is not a record with an id: {seen!r}", f"pipe {what} as --jsonl or --json")
