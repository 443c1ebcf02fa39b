"""Answers as Telegram takes them: plain pieces of at most 4,096 UTF-16 units, cut between lines.

Tables are monospace by an entity beside the text, not by markup inside it: nothing in a text can break out of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

LONGEST = 4096  # UTF-16 units of one message
CAPTION = 1024  # the same of a picture's or a file's text


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Words; `mono`: a table."""

    text: str
    mono: bool = False


class Picture(msgspec.Struct, frozen=True, tag="picture"):
    """A PNG and what is written under it."""

    png: bytes
    caption: str = ""


class File(msgspec.Struct, frozen=True, tag="file"):
    """A file to keep."""

    name: str
    content: bytes
    caption: str = ""


Part = Text | Picture | File


class Piece(NamedTuple):
    """One message: its text, and (start, length) in UTF-16 units of what is monospace."""

    text: str
    mono: tuple[tuple[int, int], ...]


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, longest: int) -> list[str]:
    """A text in pieces of at most `longest` UTF-16 units, between lines where that is possible."""
    found, current, size = [], "", 0
    for line in _lines(text, longest):
        length = units(line)
        if size + length > longest and current:
            found.append(current)
            current, size = "", 0
        current, size = current + line, size + length
    return [*found, current] if current else found


def _lines(text: str, longest: int) -> Iterator[str]:
    """Lines with their ends; one that is too long comes in parts, never in the middle of a character."""
    for line in text.splitlines(keepends=True):
        while units(line) > longest:
            head = line.encode("utf-16-le", "surrogatepass")[: 2 * longest].decode("utf-16-le", "ignore")
            yield head
            line = line[len(head) :]
        yield line


def pieces(parts: Sequence[Text], longest: int = LONGEST) -> list[Piece]:
    """Texts as messages, each as full as it gets; a table that is cut stays monospace on both sides."""
    found: list[Piece] = []
    text = ""
    mono: list[tuple[int, int]] = []
    for part in parts:
        for chunk in cut(clean(part.text), longest):
            start = units(text)
            if text and start + units(chunk) + 1 > longest:
                found.append(Piece(text, tuple(mono)))
                text, mono, start = "", [], 0
            if text:
                text, start = text + "\n", start + 1
            text += chunk.rstrip("\n")
            if part.mono and chunk.strip():
                mono.append((start, units(chunk.rstrip("\n"))))
    return [*found, Piece(text, tuple(mono))] if text.strip() else found


def clean(text: str) -> str:
    """Without what a screen could be fooled by: control characters and direction marks become spaces."""
    if text.isascii() and text.isprintable():
        return text.rstrip()
    return "".join(c if c == "\n" or c.isprintable() else " " for c in text).strip("\n").rstrip()


def shortened(text: str, longest: int) -> str:
    """The first line or so of a text, with an ellipsis where something is missing."""
    return text if units(text) <= longest else cut(text, longest - 1)[0].rstrip() + "…"


def table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Rows as a narrow table: `columns` are keys with the heading they get."""
    from tradekit.commands._output import as_table

    return as_table([{head: row.get(key) for key, head in columns.items()} for row in rows])
