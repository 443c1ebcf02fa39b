"""tradekit sim venue"""

from pathlib import Path
from typing import Annotated

import typer


def venue(
    ctx: typer.Context,
    desk: Annotated[Path | None, typer.Option(help="Whose bars, sessions and paper: settings; default: -C.")] = None,
    port: Annotated[int, typer.Option(help="0: a free one.", min=0, max=65535)] = 0,
    profile: Annotated[str, typer.Option(help="Client ids: unique, open-only or none.")] = "unique",
    faults: Annotated[Path | None, typer.Option(help="A fault script, one JSON array.")] = None,
    journal: Annotated[Path | None, typer.Option(help="Default: venue/journal.jsonl in the desk's folder.")] = None,
    books: Annotated[Path | None, typer.Option(help="Default: venue/paper.db in the desk's folder.")] = None,
    no_stops: Annotated[bool, typer.Option("--no-stops", help="A venue without stop orders.")] = False,
    cumulative: Annotated[bool, typer.Option("--cumulative", help="Fills that say how much in all.")] = False,
    min_qty: Annotated[str, typer.Option(help="Smaller orders are refused.")] = "0",
    min_notional: Annotated[str, typer.Option(help="Orders worth less are refused, quote currency.")] = "0",
    follow: Annotated[
        bool, typer.Option("--follow", help="Under TRADEKIT_CLOCK=ISO: go with the desk's time.")
    ] = False,
) -> None:
    """A local venue over the paper engine that misbehaves on request; prints its URL and runs until interrupted.

    Only on this machine (127.0.0.1). A second start goes on with the same books and journal.
    """
    from tradekit.base.locks import Lock
    from tradekit.clock import clock_from
    from tradekit.errors import UsageError
    from tradekit.sim.faults import read_script
    from tradekit.sim.server import VenueServer, open_venue
    from tradekit.sim.venue import facts_of

    folder = desk or ctx.obj.here
    facts = facts_of(
        profile, stops=not no_stops, cumulative=cumulative, min_qty=min_qty, min_notional=min_notional
    )  # fmt: skip
    if not (folder / "desk.yaml").is_file():
        raise UsageError(f"{folder} is not a desk: no desk.yaml in it", f"tradekit init {folder}")
    try:
        rules = read_script(faults.read_bytes()) if faults is not None else []
    except OSError as error:
        raise UsageError(f"{faults}: {error.strerror}", "a fault script is one JSON array: docs/sim.md") from None
    home = folder / "venue"
    home.mkdir(mode=0o700, exist_ok=True)
    with Lock((books or home / "paper.db").with_suffix(".serving"), what="sim venue"):
        served = open_venue(
            folder,
            books=books,
            clock=clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK")),
            profile=facts,
            journal=journal or home / "journal.jsonl",
            rules=rules,
            follow=follow,
        )
        try:
            server = VenueServer(port)
            print(server.add(served, "venue"), flush=True)
            try:
                server.run()
            finally:
                server.stop()
        finally:
            served.close()
