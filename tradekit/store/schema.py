"""The whole schema, in the order of its foreign keys; docs/schema.md is made from it."""

import re
from types import ModuleType

from tradekit.store import decisions, fills, learning, meta, orders, positions, runtime, scans, sessions, trades
from tradekit.store.connection import APPLICATION_ID, Db

VERSION = 1  # PRAGMA user_version of a file that all migrations have reached
MODULES: tuple[ModuleType, ...] = (
    meta,
    sessions,
    scans,
    decisions,
    orders,
    fills,
    positions,
    trades,
    runtime,
    learning,
)


def ddl() -> str:
    """Every CREATE statement."""
    return "\n".join(module.SCHEMA for module in MODULES)


def create(db: Db) -> None:
    """Make all tables in an empty file, in one transaction that the caller has begun."""
    db.script(ddl())
    db.run(f"PRAGMA application_id = {APPLICATION_ID}")
    db.run(f"PRAGMA user_version = {VERSION}")


def markdown() -> str:
    """docs/schema.md: each table with its columns, their types and what they mean."""
    parts = [
        "# The tables of desk.db",
        "",
        "Made from `tradekit/store/*.py`; change those, not this page. All tables are STRICT. Prices, quantities and",
        "money are REAL and carry up to 15 significant digits exactly; times are UTC text with six fraction digits",
        "(`2026-02-13T14:35:00.000000Z`), `session` and `day` the exchange's date; truth values are 0 and 1;",
        "NULL is unknown.",
        f"`application_id` is {APPLICATION_ID}, `user_version` {VERSION}.",
    ]
    for module in MODULES:
        text = module.SCHEMA
        for match in re.finditer(r"CREATE TABLE (\w+) \(\n(.*?)\n\) STRICT;", text, re.S):
            name, body = match.groups()
            parts += ["", f"## {name}", "", *_table(body)]
            keys = re.findall(rf"CREATE (UNIQUE )?INDEX (\w+) ON {name} (\(.*?\))(?:\s+WHERE (.*?))?;", text, re.S)
            if keys:
                parts += ["", *(_index(*key) for key in keys)]
    return "\n".join(parts) + "\n"


def _table(body: str) -> list[str]:
    rows = ["| column | type | meaning |", "|---|---|---|"]
    extra: list[str] = []
    for line in _joined(body):
        code, _, comment = line.partition("--")
        code, comment = code.strip().rstrip(","), comment.strip()
        if re.match(r"(CHECK|PRIMARY KEY|UNIQUE|FOREIGN KEY)\b", code):
            extra.append(f"- `{code}`" + (f": {comment}" if comment else ""))
            continue
        name, _, kind = code.partition(" ")
        kind = re.sub(r" (ON DELETE CASCADE )?DEFERRABLE INITIALLY DEFERRED", "", kind.strip())
        rows.append(f"| {name} | `{' '.join(kind.split())}` | {comment.replace('|', '/')} |")
    return rows + (["", *extra] if extra else [])


def _joined(body: str) -> list[str]:
    """One line for each column: a CHECK may take two."""
    lines: list[str] = []
    for line in body.splitlines():
        if lines and lines[-1].count("(") > lines[-1].count(")"):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    return lines


def _index(unique: str, name: str, columns: str, where: str) -> str:
    rule = f"- {'unique ' if unique else ''}index `{name}` {columns}"
    return rule + (f" where {' '.join(where.split())}" if where else "")
