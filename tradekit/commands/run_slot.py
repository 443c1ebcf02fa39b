"""tradekit run-slot"""

from typing import Annotated

import typer


def run_slot(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A slot of the schedule: tradekit schedule show.")],
) -> None:
    """Run one slot of the schedule if it is due now; this is what cron lines call.

    Safe to run every minute: a slot runs once a session, at its exchange time, or is recorded missed. What is not due
    does nothing (0, or 3 with --exit-code).
    """
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.desk.slots import run_slot

    with open_desk(ctx.obj) as desk:
        show(
            run_slot(desk, name),
            ctx.obj.format,
            columns=("session", "name", "due_at", "state", "run_id"),
        )
