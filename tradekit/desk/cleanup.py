"""Take away what nobody needs any more, after a backup; never orders, fills, trades, decisions or daily rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tradekit.desk.desk import Desk
from tradekit.errors import UsageError

DEFAULT_KEEP = "90d"


@dataclass(frozen=True)
class CleanupOptions:
    """`keep`: how long things are kept, like 90d; at least a day."""

    keep: str = DEFAULT_KEEP


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What went from one table."""

    what: str
    rows: int
    before: datetime
    backup: str | None


def cleanup(desk: Desk, options: CleanupOptions | None = None) -> list[Cleaned]:
    """Position checks, run rows, sent notices, features of untraded candidates that are older than `keep`.

    A dry run counts; otherwise a checked copy of desk.db goes to backups/ first. Nothing to take: no backup.
    """
    before = desk.clock.now() - kept((options or CleanupOptions()).keep)
    found = desk.store.cleanup.count(before)
    copy: str | None = None
    if any(each.rows for each in found) and not desk.dry_run:
        copy = _copy(desk)
        found = desk.store.cleanup.sweep(before)
    desk.count("rows", sum(each.rows for each in found))
    return [Cleaned(what=each.what, rows=each.rows, before=before, backup=copy) for each in found]


def kept(text: str) -> timedelta:
    """`90d` or `12w` as a time; UsageError for anything else or less than a day."""
    number, unit = text[:-1], text[-1:]
    if not number.isdigit() or unit not in ("d", "w") or int(number) < 1:
        raise UsageError(f"--keep {text} is not a number of days", "--keep 90d")
    return timedelta(days=int(number) * (7 if unit == "w" else 1))


def _copy(desk: Desk) -> str:
    from tradekit.store.backup import backup

    target = desk.path / "backups" / f"{desk.clock.now():%Y%m%dT%H%M%S}-before-cleanup.db"
    if not target.exists():
        backup(desk.store.path, target)
    return str(target.relative_to(desk.path))
