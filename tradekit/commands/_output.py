"""The one place that prints: records to stdout as table, JSON, JSON lines or CSV; talk to stderr.

Decimals are plain JSON numbers without an exponent, times ISO with Z, floats carry no noise (12 digits).
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from tradekit.clock import iso

# What a table shows of the wide records; json, jsonl and csv always carry every field.
MAIN_COLUMNS: dict[str, tuple[str, ...]] = {
    "Scan": ("id", "session", "strategy", "cap", "type", "counts"),
    "MarketSnapshot": ("at", "benchmark", "price", "trend", "volatility", "breadth", "regime"),
    "Candidate": ("id", "symbol", "cap", "price", "score", "passed", "stop_price", "target_price", "reason"),
    "Decision": ("id", "symbol", "action", "status", "by", "score", "conviction", "because"),
    "RiskCheck": ("decision_id", "verdict", "rule", "because"),
    "Order": (
        "id", "symbol", "side", "qty", "type", "tif", "limit_price", "stop_price", "status", "filled_qty", "avg_price",
        "reason",
    ),
    "Fill": ("id", "at", "symbol", "side", "qty", "price", "fee", "order_id"),
    "Position": (
        "id", "symbol", "side", "qty", "avg_price", "last_price", "unrealized", "stop_price", "target_price",
        "target_hit", "strategy",
    ),
    "Trade": (
        "id", "symbol", "side", "qty", "entry_price", "exit_price", "exit_reason", "net", "return_pct", "r_multiple",
        "hold_s",
    ),
    "Run": ("id", "command", "started_at", "exit_code", "counts"),
    "Event": ("at", "kind", "symbol", "ref", "data"),
    "Slot": ("session", "name", "due_at", "state", "run_id"),
    "Quote": ("symbol", "bid", "ask", "last", "last_at", "age_s", "source", "assumed"),
}  # fmt: skip

Kinds = type | Sequence[str | type]  # record types, names of columns, or both

quiet = False  # -q, set by cli.main
idle = False  # the last show() had nothing to print: with --exit-code that is 3


def say(text: str) -> None:
    """One line of talk on stderr; silent with -q."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def show(
    records: Any,
    format: str = "table",
    *,
    empty: str = "nothing",
    columns: Sequence[str] | None = None,
    dry_run: bool = False,
    counts_as_idle: bool = True,
    of: Kinds = (),
) -> None:
    """Print a record (an object) or a sequence of records (an array) to stdout.

    `empty` is said on stderr where a table has no row; `columns` picks a table's columns; `dry_run` adds
    `"dry_run": true` to each record. `of` says which records there could have been: CSV has their header where there
    are none. An empty list means "nothing to do" to --exit-code unless
    `counts_as_idle` is False.
    """
    global idle
    single = isinstance(records, Mapping) or not isinstance(records, Iterable) or _is_record(records)
    items: list[Any] = [records] if single else list(records)
    rows = [row_of(item) for item in items]
    if dry_run:
        rows = [{**row, "dry_run": True} for row in rows]
    if not rows:
        idle = counts_as_idle
    if format == "json":
        text = as_object(rows[0]) + "\n" if single else as_array(rows)
    elif format == "jsonl":
        text = "".join(as_object(row) + "\n" for row in rows)
    elif format == "csv":
        text = as_csv(rows, [] if rows else [*names_of(of), *(["dry_run"] if dry_run else [])])
    elif not rows:
        text = ""
        say(empty)
    elif single:
        text = as_list(rows[0])
    else:
        text = as_tables(items, rows, columns)
    sys.stdout.write(text)


def _is_record(x: Any) -> bool:
    return isinstance(x, msgspec.Struct) or hasattr(x, "__dataclass_fields__") or hasattr(x, "_asdict")


def row_of(record: Any) -> dict[str, Any]:
    """A record's fields by name: a Struct, a dataclass, a named tuple or a mapping."""
    if isinstance(record, Mapping):
        return dict(record)
    if isinstance(record, msgspec.Struct):
        return {name: getattr(record, name) for name in record.__struct_fields__}
    if hasattr(record, "__dataclass_fields__"):  # asked so because importing dataclasses costs 10 ms
        return {name: getattr(record, name) for name in record.__dataclass_fields__}
    if hasattr(record, "_asdict"):
        return dict(record._asdict())
    raise TypeError(f"{type(record).__name__} is no record")


def names_of(kinds: Kinds) -> list[str]:
    """The fields of a kind of record, or of several together; a list of names is what it is."""
    found: list[str] = []
    for kind in [kinds] if isinstance(kinds, type) else kinds:
        if isinstance(kind, str):
            found.append(kind)
        elif issubclass(kind, msgspec.Struct):
            found += kind.__struct_fields__
        else:
            found += getattr(kind, "__dataclass_fields__", None) or kind._fields  # type: ignore[attr-defined]
    return list(dict.fromkeys(found))


# json


def as_object(row: Mapping[str, Any]) -> str:
    """One JSON object on one line."""
    return msgspec.json.encode(tree(row)).decode("utf-8", "backslashreplace")


def as_array(rows: Sequence[Mapping[str, Any]]) -> str:
    """One JSON array, a record a line; `[]` when empty."""
    if not rows:
        return "[]\n"
    return "[\n" + ",\n".join(as_object(row) for row in rows) + "\n]\n"


def tree(value: Any) -> Any:
    """What msgspec can encode as the contract wants it: plain numbers, Z times, no NaN."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value if value.isprintable() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return round_float(value)
    if isinstance(value, Decimal):
        return msgspec.Raw(plain(value).encode()) if value.is_finite() else None
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): tree(each) for key, each in value.items()}
    if _is_record(value):
        return tree(row_of(value))
    if isinstance(value, Iterable):
        return [tree(each) for each in value]
    return str(value)


def plain(x: Decimal) -> str:
    """A decimal without exponent and without trailing zeros: 1E+2 gives 100, 1.50 gives 1.5."""
    text = format(x, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def round_float(x: float) -> float | None:
    """At most 12 significant digits; None for NaN and infinities."""
    return float(f"{x:.12g}") if isfinite(x) else None


# csv


def as_csv(rows: Sequence[Mapping[str, Any]], none: Sequence[str] = ()) -> str:
    """A header and a line per record; records of several kinds share the union of their columns.

    `none`: the columns where there is no record.
    """
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(none)
    if not names:
        return ""
    lines = [",".join(csv_cell(name) for name in names)]
    lines += [",".join(csv_cell(row.get(name)) for name in names) for row in rows]
    return "".join(line + "\r\n" for line in lines)


def csv_cell(value: Any) -> str:
    """One cell: empty for None, a leading ' before what a spreadsheet would run as a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal) or _is_nested(value):
        text = as_text(value)
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if _is_nested(value) else text
    text = visible(as_text(value))
    if text[:1] in ("=", "+", "-", "@") and not _is_number(text):
        text = "'" + text
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(c in text for c in ',"') else text


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple | set | frozenset | msgspec.Struct)


def visible(text: str) -> str:
    """Text without control characters: no line breaks, no terminal escapes, no direction marks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text).strip()


def as_text(value: Any) -> str:
    """A value as one piece of text; nested ones as JSON."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, float):
        rounded = round_float(value)
        return "" if rounded is None else plain(Decimal(repr(rounded)))
    if isinstance(value, datetime):
        return iso(value)
    if _is_nested(value):
        return msgspec.json.encode(tree(value)).decode()
    return str(value)


# tables


def as_tables(items: Sequence[Any], rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None) -> str:
    """A table per run of records of one kind (orders, then vetoes)."""
    parts: list[str] = []
    start = 0
    for i in range(1, len(rows) + 1):
        if i == len(rows) or _kind(items[i], rows[i]) != _kind(items[start], rows[start]):
            parts.append(as_table(rows[start:i], columns or MAIN_COLUMNS.get(type(items[start]).__name__)))
            start = i
    return "\n".join(parts)


def _kind(item: Any, row: Mapping[str, Any]) -> object:
    return tuple(row) if isinstance(item, Mapping) else type(item)


def as_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Aligned columns, numbers to the right; the last column is cut at the edge of a terminal."""
    names = list(columns or dict.fromkeys(name for row in rows for name in row))
    if columns and any("dry_run" in row for row in rows):
        names.append("dry_run")
    picked = [[_pick(row, name) for name in names] for row in rows]
    cells = [[human(value, name) for value, name in zip(row, names, strict=True)] for row in picked]
    widths = [max(len(name), *(len(row[i]) for row in cells)) for i, name in enumerate(names)]
    right = [
        all(v is None or isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in column)
        for column in zip(*picked, strict=True)
    ]
    limit = _terminal_width()
    lines = []
    for row in [[name.replace("_", " ") for name in names], *cells]:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        line = "  ".join(padded).rstrip()
        lines.append(line if limit is None or len(line) <= limit else line[: limit - 1] + "…")
    return "\n".join(lines) + "\n"


def fits(text: str) -> bool:
    """Did no line of a table have to be cut at the edge of the terminal?"""
    limit = _terminal_width()
    return limit is None or not any(len(line) == limit and line.endswith("…") for line in text.splitlines())


def _pick(row: Mapping[str, Any], name: str) -> Any:
    """A column's value; a candidate's `reason` is why it was rejected, else why it passed."""
    if name == "reason" and "reject_reason" in row:
        return row["reject_reason"] or row.get("because")
    return row.get(name)


def as_list(row: Mapping[str, Any]) -> str:
    """One record, a field a line."""
    width = max((len(name) for name in row), default=0)
    return "".join(f"{name.replace('_', ' ').ljust(width)}  {human(value, name)}".rstrip() + "\n"
                   for name, value in row.items())  # fmt: skip


def human(value: Any, name: str = "") -> str:
    """A value as a table shows it: quantities whole, prices to 4 decimals, unknown as `-`."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return plain(value if "qty" in name or not value.is_finite() else _shortened(value))
    if isinstance(value, float):
        return plain(_shortened(Decimal(repr(value)))) if isfinite(value) else "-"
    if isinstance(value, datetime):
        return iso(value.replace(microsecond=0))
    if isinstance(value, Mapping):
        return " ".join(f"{key}={human(each)}" for key, each in value.items())
    if isinstance(value, list | tuple) and not hasattr(value, "_asdict"):
        return ", ".join(human(each) for each in value)
    return visible(as_text(value))


def _shortened(x: Decimal) -> Decimal:
    if abs(x) >= 1 or x == 0:
        return round(x, 4)
    return Decimal(f"{x:.4g}")


def _terminal_width() -> int | None:
    """Columns of the terminal that stdout is, None for files and pipes."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None
