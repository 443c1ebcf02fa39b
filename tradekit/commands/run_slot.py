"""tradekit run-slot"""

from collections.abc import Callable
from typing import Annotated

import typer


def run_slot(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A slot of the schedule: tradekit schedule show.")],
    ping: Annotated[
        str | None, typer.Option(help="A health check's URL: told when the slot succeeded, URL/fail when it failed.")
    ] = None,
) -> None:
    """Run one slot of the schedule if it is due now; this is what cron lines call.

    Safe to run every minute: a slot runs once a session, at its exchange time, or is recorded missed. What is not due
    does nothing (0, or 3 with --exit-code).
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.slots import run_slot

    check = pinger(ping) if ping else None
    with open_desk(ctx.obj, forgiving=True) as desk:
        slot = run_slot(desk, name)
        show(slot, ctx.obj.format, columns=("session", "name", "due_at", "state", "run_id"))
    if check is not None:
        check(slot.state == "done")


def pinger(url: str) -> Callable[[bool], None]:
    """What tells a health check (healthchecks.io and its like); its own trouble is said and changes nothing.

    Raises ConfigError for an address that is neither https nor on this machine, before anything runs.
    """
    from urllib.parse import urlsplit

    from tradekit.base.net import Deadlines, Http
    from tradekit.commands._output import say
    from tradekit.errors import ConfigError, TradekitError

    parts = urlsplit(url)
    try:
        http = Http(f"{parts.scheme}://{parts.netloc}", name="ping", deadlines=Deadlines(3.0, 3.0, 5.0))
    except ConfigError:
        raise ConfigError("--ping: neither https://HOST/... nor http:// on this machine", "--ping URL") from None

    def tell(well: bool) -> None:
        path = parts.path.rstrip("/") + ("" if well else "/fail")
        try:
            http.post_json(path or "/", {}, shown="/...")  # the path is the check's key
        except TradekitError as error:
            say(f"run-slot: {error.message}")

    return tell
