"""Stage-1 rejects of a scan: thousands of short rows in one compressed blob. No numpy here: readers load this too."""

import zlib
from collections.abc import Sequence

import msgspec


class Reject(msgspec.Struct, frozen=True, array_like=True):
    """Why a symbol got no further, and what was seen of it; None where nothing was."""

    symbol: str
    reason: str
    price: float | None
    change: float | None
    rvol: float | None


def encode(rows: Sequence[Reject]) -> bytes:
    """One blob, the same bytes for the same rows."""
    return zlib.compress(msgspec.json.encode(rows), 6)


def decode(blob: bytes | None) -> list[Reject]:
    """The rows of a blob; none for a scan without one."""
    return msgspec.json.decode(zlib.decompress(blob), type=list[Reject]) if blob else []
