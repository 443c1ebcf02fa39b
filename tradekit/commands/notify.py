"""tradekit notify"""

from typing import Annotated

import typer


def notify(
    ctx: typer.Context,
    every: Annotated[str | None, typer.Option(help="Keep going: a look every 10s, 1m ... until interrupted.")] = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test message to every channel, and nothing else.")
    ] = False,
) -> None:
    """Send alerts and chosen events to the channels of desk.yaml: what is new, and what could not be sent before.

    Safe to run again: each event goes to each channel once, in order; what fails is tried again later.
    """
    from tradekit.commands._options import seconds
    from tradekit.commands._output import show
    from tradekit.desk.notify import Delivery, keep_notifying, try_channels
    from tradekit.desk.notify import notify as look
    from tradekit.desk.open import open_desk
    from tradekit.errors import Findings

    pause = None if every is None else seconds(every, "--every")
    with open_desk(ctx.obj, command="notify") as desk:
        if test:
            found = try_channels(desk)
            show(found, ctx.obj.format, empty="no channels: docs/notify.md", of=Delivery)
            if any(one.error for one in found):
                raise Findings("some channels do not work", "docs/notify.md")
        elif pause is None:
            show(look(desk), ctx.obj.format, empty="no channels: docs/notify.md", of=Delivery)
        else:
            for found in keep_notifying(desk, pause):
                if any(one.messages for one in found):
                    show(found, "jsonl" if ctx.obj.format == "json" else ctx.obj.format)
