"""tradekit supervise"""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tradekit.commands._context import Context


def supervise(
    ctx: typer.Context,
    until_flat: Annotated[
        bool, typer.Option("--until-flat", help="End when all masters left at their target and nothing is held.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="Have the one that runs read settings and code again (SIGHUP).")
    ] = False,
) -> None:
    """Run the whole schedule, day after day: each slot is a child process, started again when it dies.

    One per desk; a second one ends with 8. Safe to kill and to start again at any time: what is due follows from
    the schedule and the books.
    """
    import os
    import sys

    from tradekit.base.logs import set_up
    from tradekit.desk.open import open_desk
    from tradekit.desk.supervise import SuperviseOptions
    from tradekit.desk.supervise import supervise as run

    if reload:
        tell_to_reload(ctx.obj)
        return
    set_up(ctx.obj.here, verbose=ctx.obj.verbose, quiet=ctx.obj.quiet)
    with open_desk(ctx.obj, command="supervise") as desk:
        ended = run(desk, SuperviseOptions(until_flat=until_flat))
    if ended == "again":  # new code: the same words in a new process, under the same pid
        os.execv(sys.executable, [sys.executable, "-P", "-m", "tradekit", *ctx.obj.argv])


def tell_to_reload(context: "Context") -> None:
    """Send SIGHUP to the desk's supervisor. NothingToDo where none runs, ConfigError where desk.yaml is wrong."""
    import os
    import signal

    from tradekit.base.locks import Lock, holder
    from tradekit.commands._output import say
    from tradekit.commands.schedule import desk_schedule
    from tradekit.errors import Busy, NothingToDo

    desk_schedule(context)  # whoever asks hears of a mistake here and now, not from an alert
    path = context.here / "locks" / "supervise.lock"
    try:
        with Lock(path, what="supervise --reload"):
            pass
    except Busy:
        pid, _ = holder(path)
        if pid is not None:
            os.kill(pid, signal.SIGHUP)
            say(f"told pid {pid} to read settings and code again")
            return
    raise NothingToDo("no supervisor runs on this desk")
