"""tradekit config show, get, set, schema, session"""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradekit.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from tradekit.base.settings_file import Loaded
    from tradekit.config import Settings
    from tradekit.store import Store


OVERRIDE = ("day", "open", "close", "closed", "reason")


def show(
    ctx: typer.Context,
    section: Annotated[str | None, typer.Argument(metavar="[SECTION]", help="Only this part, e.g. risk.")] = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value came from.")] = False,
) -> None:
    """The settings in force; --origin says where each came from."""
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show as show_rows

    loaded = read_settings(ctx.obj)
    rows = rows_of(loaded, section) if section else rows_of(loaded, "")
    if not origin:
        rows = [{"key": row["key"], "value": row["value"]} for row in rows]
    show_rows(rows, ctx.obj.format, columns=("key", "origin", "value") if origin else None)  # the longest one last


def get(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Dotted, e.g. risk.max_positions.")],
) -> None:
    """One setting: its value alone; as JSON with key and origin."""
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import as_text, say
    from tradekit.commands._output import show as show_rows

    rows = rows_of(read_settings(ctx.obj), key)
    if len(rows) != 1 or rows[0]["key"] != key:
        show_rows(rows, ctx.obj.format)
    elif ctx.obj.format == "table":
        value = rows[0]["value"]
        print("null" if value is None else str(value).lower() if isinstance(value, bool) else as_text(value))
        if ctx.obj.verbose:
            say(f"{key} comes from {rows[0]['origin']}")
    else:
        show_rows(rows[0], ctx.obj.format)


def rows_of(loaded: "Loaded", part: str) -> list[dict[str, Any]]:
    """(key, value, origin) of every setting under a dotted key; '' is all. UsageError where there is none."""
    from tradekit.base.settings_file import dotted, leaves
    from tradekit.cli import did_you_mean

    rows = [
        {"key": dotted(keys), "value": value, "origin": loaded.origins.get(dotted(keys), "default")}
        for keys, value in leaves(loaded.settings)
    ]
    found = [row for row in rows if not part or row["key"] == part or str(row["key"]).startswith(part + ".")]
    if not found:
        keys = [str(row["key"]) for row in rows]
        close = did_you_mean(part, [*keys, *{key.partition(".")[0] for key in keys}])
        raise UsageError(f"no setting {part!r}{close}", "tradekit config show")
    return found


def set_(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help="Dotted, e.g. risk.max_positions.")],
    value: Annotated[str, typer.Argument(help="YAML: 3, 0.5, true, null, [a, b] or text.")],
    dry_run: Annotated[bool, typer.Option(help="Check the new value; change nothing.")] = False,
) -> None:
    """Change desk.yaml, comments kept; a value that does not fit, or that no desk opens with, changes nothing."""
    from tradekit.base.files import write_text
    from tradekit.base.locks import Lock
    from tradekit.base.settings_file import changed, read_text, settings_from
    from tradekit.commands._context import recorded
    from tradekit.commands._output import say
    from tradekit.commands._output import show as show_rows

    path = ctx.obj.here / "desk.yaml"
    if not all(key.split(".")):
        raise UsageError(f"{key!r} is no key", "tradekit config show")
    with Lock(ctx.obj.here / ".config.lock", wait_s=5.0, what="config set"):
        text = read_text(path)
        new = changed(text, key, value, path)
        loaded = settings_from(new, path, {})
        check_opens(ctx.obj.here, key, loaded.settings)
        if not dry_run and new != text:
            with recorded(ctx.obj, "config set", loaded.hash):
                write_text(path, new)
    rows = rows_of(loaded, key)
    show_rows(rows[0] if len(rows) == 1 else rows, ctx.obj.format, dry_run=dry_run)
    for name in ctx.obj.environ:
        if name.upper() == "TRADEKIT_SET__" + key.replace(".", "__").replace("-", "_").upper():
            say(f"beware: {name} is set and wins over desk.yaml")


def check_opens(desk: "Path", key: str, settings: "Settings") -> None:
    """ConfigError where what was said under `key` is well formed, and the desk could not be opened or run with it.

    Other keys are not looked at: what is wrong there must not stand in the way of mending this one.
    """

    def says(*names: str) -> bool:
        return any(f"{key}.".startswith(f"{name}.") or f"{name}.".startswith(f"{key}.") for name in names)

    if says("desk.broker"):
        from tradekit.desk.open import known_venue

        if known_venue(settings) == "http" and not settings.http.base_url:
            raise ConfigError("desk.broker: http has no address yet", "first tradekit config set http.base_url URL")
    if says("desk.calendar"):
        from tradekit.market.sessions import zone_of

        zone_of(settings.desk.calendar)
    if says("desk.currency") and (desk / "desk.db").is_file():
        from tradekit.desk.open import check_currency
        from tradekit.store import open_store

        with closing(open_store(desk / "desk.db", readonly=True)) as store:
            check_currency(settings, store)
    if says("scan", "strategies"):
        from tradekit.strategies import build

        for name in settings.scan.strategies:
            build(name, settings.strategies.get(name, {}), settings.strategy_defaults())
    if says("providers"):
        from tradekit.tokens.provider import check_type

        for name, provider in settings.providers.items():
            check_type(name, provider)
    if says("notify"):
        from tradekit.desk.notify import check_kinds

        check_kinds(settings.notify, "desk.yaml")
    if says("bot.settable"):
        from tradekit.bot.acts import check_settable

        check_settable(settings, lambda *keys: "desk.yaml")
    if says("schedule") and settings.schedule is not None:
        from tradekit.desk.steps import parse
        from tradekit.schedule import parse as parse_schedule

        for spec in parse_schedule(settings.schedule, around_the_clock=settings.desk.calendar == "24/7"):
            parse(spec.run)


def schema(ctx: typer.Context) -> None:
    """The JSON schema of desk.yaml, for editors."""
    import msgspec

    from tradekit.commands.init import schema as schema_of
    from tradekit.config import Settings

    print(msgspec.json.format(msgspec.json.encode(schema_of(Settings))).decode())


def session(
    ctx: typer.Context,
    day: Annotated[
        str | None, typer.Argument(metavar="[DAY]", help="e.g. 2026-07-03; without it: what was changed.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="No session that day.")] = False,
    open: Annotated[str | None, typer.Option(metavar="HH:MM", help="Opens then, exchange time.")] = None,
    close: Annotated[str | None, typer.Option(metavar="HH:MM", help="Closes then, exchange time.")] = None,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
) -> None:
    """Record an unscheduled closure or other hours; without a day list them.

    Saying the same again changes nothing.
    """
    from tradekit.commands._context import read_settings, read_store, recorded
    from tradekit.commands._output import show as show_rows

    loaded = read_settings(ctx.obj)
    if day is None:
        with read_store(ctx.obj) as store:
            show_rows([_override_row(*row) for row in store.sessions.overrides()], ctx.obj.format, empty="none changed",
                      of=OVERRIDE)  # fmt: skip
        return
    if loaded.settings.desk.calendar == "24/7":
        raise UsageError("a 24/7 desk has no sessions to change", "")
    on = _day(day)
    if closed == (open is not None or close is not None):
        raise UsageError(
            "say either --closed or other hours", f"tradekit config session {day} --close 13:00 --reason ..."
        )
    with recorded(ctx.obj, "config session", loaded.hash) as store:
        hours = (None, None) if closed else _hours(store, on, open, close, loaded.settings)
        if (on, *hours, reason) not in store.sessions.overrides():
            store.sessions.override(on, hours[0], hours[1], reason)
    with read_store(ctx.obj) as store:
        rows = [_override_row(*row) for row in store.sessions.overrides() if row[0] == on]
    show_rows(rows[0], ctx.obj.format)


def _override_row(day: "date", open: "datetime | None", close: "datetime | None", reason: str) -> dict[str, Any]:
    return dict(zip(OVERRIDE, (day, open, close, open is None, reason), strict=True))


def _day(text: str) -> "date":
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no date", "write it as 2026-07-03") from None


def _hours(
    store: "Store", day: "date", open: str | None, close: str | None, settings: "Settings"
) -> "tuple[datetime, datetime]":
    """Open and close (UTC) of a day: what was given, else what the table says."""
    from datetime import UTC, datetime, time
    from zoneinfo import ZoneInfo

    def moment(text: str) -> datetime:
        try:
            at = time.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{text!r} is no time of day", "write it as 13:00") from None
        return datetime.combine(day, at, ZoneInfo(settings.desk.timezone)).astimezone(UTC)

    usual = next(iter(store.sessions.load(day, day)), None)
    if usual is None and (open is None or close is None):
        raise UsageError(f"{day} has no session", "give both --open and --close")
    start = moment(open) if open else usual.open if usual else None
    end = moment(close) if close else usual.close if usual else None
    if start is None or end is None or start >= end:
        raise UsageError(f"{day}: it would close before it opens", "check --open and --close")
    return start, end
