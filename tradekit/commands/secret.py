"""tradekit secret: store a password or a key where the desk finds it; never in desk.yaml, never in a command line"""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradekit.errors import Findings, UsageError

if TYPE_CHECKING:
    from tradekit.config import Settings

COLUMNS = ("name", "where", "used_by")


def set_(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name, e.g. schwab-client-secret.")],
    file: Annotated[
        bool, typer.Option("--file", help="Into a 0600 file of yours, not the keyring: what cron can read.")
    ] = False,
) -> None:
    """Store a secret: from stdin, or asked for without echo. Into the keyring, else a 0600 file; it says which.

    Run again it replaces the secret. The value is never an argument, never printed, never in the books.
    """
    from tradekit.base.secrets import keep_secret, secrets_folder
    from tradekit.commands._output import say

    environ = ctx.obj.environ
    where = keep_secret(name, typed(name), environ, in_file=file)
    place = "the keyring" if where == "keyring" else str(secrets_folder(environ) / name)
    say(f"{name} is in {place}")
    if where == "file" and not file:
        say("no keyring works here, so it is a file that only you can read")
    if where == "keyring":
        say("cron may not reach a keyring that needs a login: then tradekit secret set NAME --file")


def list_(ctx: typer.Context) -> None:
    """The names that this desk's settings use and those in the folder of files, with where each was found.

    Never the values. 7 when the desk uses one that nobody has. Reads only.
    """
    from tradekit.base.secrets import find_secret, kept_names
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show

    used = uses(read_settings(ctx.obj).settings) if ctx.obj.desk is not None else {}
    rows: list[dict[str, Any]] = []
    for name in sorted({*used, *kept_names(ctx.obj.environ)}):
        found = find_secret(name, ctx.obj.environ)
        rows.append({"name": name, "where": found.origin if found else None, "used_by": ", ".join(used.get(name, []))})
    show(rows, ctx.obj.format, columns=COLUMNS, empty="no secrets are used or kept in files", of=COLUMNS)
    missing = [row["name"] for row in rows if row["where"] is None]
    if missing:
        raise Findings(f"nobody has {', '.join(missing)}", f"tradekit secret set {missing[0]}")


def typed(name: str) -> str:
    """The value from stdin, or typed twice at a terminal. UsageError where the two differ or nothing came."""
    if not sys.stdin.isatty():
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    from getpass import getpass

    value = getpass(f"{name}: ")
    if getpass("once more: ") != value:
        raise UsageError("the two are not the same", f"tradekit secret set {name}")
    return value


def uses(settings: "Settings") -> dict[str, list[str]]:
    """Name of each secret that the settings use -> the keys that use it."""
    found: dict[str, list[str]] = {}

    def add(name: str | None, key: str) -> None:
        if name:
            found.setdefault(name, []).append(key)

    if settings.desk.broker == "http":
        add(settings.http.secret, "http.secret")
    for channel, said in settings.notify.channels.items():
        add(said.secret, f"notify.channels.{channel}.secret")
    if settings.bot.enabled:
        add(settings.bot.secret, "bot.secret")
    for provider, login in settings.providers.items():
        if login.client_auth != "none":
            add(login.secret_name or f"{provider}-client-secret", f"providers.{provider}")
    return found
