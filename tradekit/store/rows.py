"""Records to rows and back: one codec for every Struct, derived from the types of its fields.

Decimal <-> REAL, time <-> TEXT (UTC, always six fraction digits, so that text sorts as time does), date <-> TEXT,
bool <-> INTEGER, dict and list <-> JSON TEXT; None is NULL.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import astuple

from tradekit.errors import UsageError
from tradekit.model import Record
from tradekit.money import dec, real, reals

R = TypeVar("R", bound=Record)
Convert = Callable[[Any], Any]

_JSON = msgspec.json.Encoder(decimal_format="number")


def time_text(at: datetime) -> str:
    """`2026-02-13T14:35:00.000000Z`: fixed width, so that text order is time order."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    text = _JSON.encode(at).decode()  # quoted, without a fraction where it is 0: a quarter of isoformat's time
    return text[1:20] + ".000000Z" if len(text) == 22 else text[1:-1]


def time_of(text: str) -> datetime:
    """The time that time_text wrote."""
    return datetime.fromisoformat(text)


def json_text(value: Any) -> str:
    """Compact JSON; decimals are numbers, times ISO text, NaN null."""
    return _JSON.encode(value).decode()


def json_of(text: str) -> Any:
    return msgspec.json.decode(text)


_WRITERS: dict[Any, Convert] = {
    Decimal: real,
    datetime: time_text,
    date: date.isoformat,
    bool: int,
    dict: json_text,
    list: json_text,
    float: lambda x: x if x == x else None,  # NaN is unknown
}
_READERS: dict[Any, Convert] = {
    Decimal: dec,
    datetime: time_of,
    date: date.fromisoformat,
    bool: bool,
    dict: json_of,
    list: json_of,
}


class Writer(NamedTuple):
    """How the values of a column are written, and whether some can be None."""

    place: int
    write: Convert
    optional: bool


class Codec(Generic[R]):
    """Turns one kind of record into rows whose columns are its fields, in their order."""

    def __init__(self, kind: type[R], readers: dict[str, Convert] | None = None) -> None:
        hints = get_type_hints(kind)
        self.kind = kind
        self.names: tuple[str, ...] = kind.__struct_fields__
        types = [_plain_type(hints[name]) for name in self.names]
        optional = [NoneType in get_args(hints[name]) for name in self.names]
        self._write: dict[str, Convert | None] = {
            name: _WRITERS.get(t) for name, t in zip(self.names, types, strict=True)
        }
        each = enumerate(zip(self._write.values(), optional, strict=True))
        self._writers = [Writer(i, write, maybe) for i, (write, maybe) in each if write is not None]
        self._sound = [w._replace(write=float) if w.write is real else w for w in self._writers]
        own = readers or {}
        self._read = [(name, own.get(name) or _READERS.get(t)) for name, t in zip(self.names, types, strict=True)]
        self._readers = [(i, read) for i, (_, read) in enumerate(self._read) if read is not None]
        self.columns = ", ".join(f'"{name}"' for name in self.names)
        self.marks = ", ".join("?" * len(self.names))

    def row(self, record: R) -> tuple[Any, ...]:
        """Column values of a record. UsageError where a number has more than 15 digits."""
        values = list(astuple(record))
        for i, write, _ in self._writers:
            value = values[i]
            if value is not None:
                values[i] = write(value)
        return tuple(values)

    def rows(self, records: Iterable[R]) -> list[tuple[Any, ...]]:
        """`row` of many records, converted column by column, in half the time. UsageError as there."""
        return list(zip(*self.columns_of(records), strict=True))

    def columns_of(self, records: Iterable[R], *, sound: bool = False) -> list[Sequence[Any]]:
        """The same, as columns; `sound` as in `written`."""
        columns: list[Sequence[Any]] = list(zip(*map(astuple, records), strict=True))
        return self.written(columns, sound=sound) if columns else [()] * len(self.names)

    def written(self, columns: list[Sequence[Any]], *, sound: bool = False) -> list[Sequence[Any]]:
        """Columns with the fields of many records as the store writes them; the list is changed in place.

        `sound`: the numbers are known to have at most 15 digits, nobody looks again.
        """
        return written(columns, self._sound if sound else self._writers)

    def record(self, row: Sequence[Any]) -> R:
        """The record of a row that was selected with `columns`."""
        values = list(row)
        for i, read in self._readers:
            value = values[i]
            if value is not None:
                values[i] = read(value)
        return self.kind(**dict(zip(self.names, values, strict=False)))

    def read(self, name: str, value: Any) -> Any:
        """A field's value from its column."""
        read = dict(self._read)[name]
        return value if value is None or read is None else read(value)

    def value(self, name: str, value: Any) -> Any:
        """One column value. UsageError for a field that the record does not have."""
        if name not in self._write:
            raise UsageError(f"{self.kind.__name__} has no field {name}")
        write = self._write[name]
        return value if value is None or write is None else write(value)


def written(columns: list[Sequence[Any]], writers: Iterable[Writer]) -> list[Sequence[Any]]:
    """Columns as the store writes them: `writers` change theirs, None stays; the list is changed in place."""
    for i, write, optional in writers:
        column = columns[i]
        many = _COLUMNS.get(write)
        if optional and None in column:
            columns[i] = [None if value is None else write(value) for value in column]
        elif many is not None:
            columns[i] = many(column)
        else:
            columns[i] = list(map(write, column))
    return columns


def _times(column: Sequence[datetime]) -> list[str]:
    """Time texts of many, by one encoding."""
    if any(at.tzinfo is not UTC for at in column):
        return list(map(time_text, column))
    texts = _JSON.encode(column).decode()[2:-2].split('","') if column else []
    return [text[:19] + ".000000Z" if len(text) == 20 else text for text in texts]


def _json_texts(column: Sequence[Any]) -> list[str]:
    return _JSON.encode_lines(column).decode().split("\n")[:-1]  # JSON has no line ends of its own


def _dates(column: Sequence[date]) -> list[str]:
    texts = {day: day.isoformat() for day in set(column)}
    return [texts[day] for day in column]


_COLUMNS: dict[Convert, Callable[[Any], list[Any]]] = {
    real: reals,
    time_text: _times,
    date.isoformat: _dates,
    json_text: _json_texts,
}


@cache
def codec(kind: type[R]) -> Codec[R]:
    """The codec of a record type, made when it is first asked for."""
    return Codec(kind)


def _plain_type(hint: Any) -> Any:
    """`Decimal | None` is Decimal, `dict[str, Any]` dict, a Literal its words' type."""
    origin = get_origin(hint)
    if origin is Union or origin is UnionType:
        (hint,) = [arg for arg in get_args(hint) if arg is not NoneType]
        origin = get_origin(hint)
    if origin is Literal:
        return str
    return origin or hint
