"""What a process of the campaign does: the step of its command, wired as the command wires it, and nothing printed."""

import fcntl
import io
import os
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from tests.campaign.exchange import Remote
from tests.campaign.market import template
from tests.campaign.stage import StageClock
from tradekit.base.locks import Lock, holder
from tradekit.brokers.base import Capabilities
from tradekit.desk import enter, halts, liquidate, monitor_exits, operate, reconcile, slots
from tradekit.desk.desk import Desk
from tradekit.desk.open import build, running
from tradekit.errors import AmbiguousSend, AuthError, BrokerError, OrderRejected, TradekitError
from tradekit.model import LIVE_STATUSES
from tradekit.store import open_store


class Turns:
    """The desk's own paper venue; every call is a turn, and the stage may spoil it."""

    def __init__(self, link: Any, venue: Any, before_cancel: Callable[[str], None]) -> None:
        self._link, self._venue, self._before_cancel = link, venue, before_cancel

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._venue, name)
        if name in ("name", "capabilities", "guard") or not callable(found):
            return found

        def call(*args: Any) -> Any:
            if name == "cancel":
                self._before_cancel(*args)
            kind = self._link.ask("call", name)
            if kind in ("drop", "error-before", "late-accept"):
                raise AmbiguousSend("no answer in 10 s")
            if kind in ("fail", "timeout"):
                raise BrokerError(f"{name}: 502")
            if kind == "auth":
                raise AuthError("401: the token is not valid")
            if kind == "reject":
                raise OrderRejected("the venue does not want it")
            answer = found(*args)
            self._link.ask("turn", f"{name} answered")
            if kind in ("lost-answer", "error-after"):
                raise (AmbiguousSend if name == "submit" else BrokerError)("no answer in 10 s")
            return [*answer, *reversed(answer)] if kind == "double" and name == "fills_since" else answer

        return call


def has_turn(account: Path) -> bool:
    """Has this very process the account's submit lock? Asked of the kernel, not of the desk."""
    path = account / "submit.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return holder(path)[0] == os.getpid()
    return False


def out_of_turn(desk: Desk, broker_id: str) -> bool:
    """Does this cancel take away what protects or sells an open position, while somebody else could send?"""
    row = desk.store.orders.by_broker_id(broker_id)
    if row is None or row.side != "sell" or row.status not in LIVE_STATUSES or row.position_id is None:
        return False
    position = desk.store.positions.get(row.position_id)
    return position is not None and position.qty > 0 and not has_turn(desk.account_dir)


def open_for(folder: Path, link: Any, protect: str, capabilities: Capabilities | None, verb: str = "") -> Desk:
    """A desk over the folder's store, the shared warm market, and the stage's venue (None: its own paper account)."""

    def before_cancel(broker_id: str) -> None:
        if verb != "cancel" and out_of_turn(desk, broker_id):  # an operator's cancel is followed by nothing
            link.ask("call", "hasty", f"{verb} {broker_id}")

    store = open_store(folder / "desk.db", synchronous="OFF")
    desk = build(folder, store, clock=StageClock(link))  # type: ignore[arg-type]
    warm = template(protect).market
    desk.open_market = lambda: warm
    if capabilities is not None:
        desk.open_broker = lambda d: Remote(link, capabilities, lambda: bool(store._depth), before_cancel)  # type: ignore[assignment,return-value]
    else:
        paper = desk.open_broker
        desk.open_broker = lambda d: Turns(link, paper(d), before_cancel)  # type: ignore[assignment,return-value]
    return desk


def play(
    folder: Path, link: Any, protect: str, capabilities: Capabilities | None, verb: str, args: list[str]
) -> tuple[int, str, str]:
    """Run one command: (exit code, what it said on stderr, the traceback where it broke)."""
    said = io.StringIO()
    broken = ""
    desk: Desk | None = None
    try:
        with redirect_stderr(said):
            desk = open_for(folder, link, protect, capabilities, verb)
            run(desk, verb, args)
        code = 0
    except TradekitError as error:
        code = error.code
        said.write(f"{type(error).__name__}: {error.message}\n")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except Exception:
        code, broken = 1, traceback.format_exc()
    finally:
        if desk is not None:
            desk.store.close()
    with (folder / "stderr.log").open("a") as out:
        out.write(f"[{os.getpid()} {verb} {' '.join(args)}] {code}\n{said.getvalue()}{broken}")
    return code, said.getvalue(), broken


def run(desk: Desk, verb: str, args: list[str]) -> None:
    """The step of a command with its job lock and run row."""
    if verb == "run-slot":
        slots.run_slot(desk, args[0])
        return
    if verb == "hold":
        with Lock(desk.account_dir / "submit.lock", what="another desk of the account"):
            desk.clock.sleep(float(args[0]))
        return
    with running(desk, verb, " ".join([verb, *args])):
        step(desk, verb, args)


def step(desk: Desk, verb: str, args: list[str]) -> None:
    """Only the step."""
    if verb == "enter":
        enter.enter(desk, enter.EnterOptions())
    elif verb == "monitor-exits":
        monitor_exits.monitor_exits(desk)
    elif verb == "reconcile":
        reconcile.reconcile(desk)
    elif verb == "liquidate":
        symbols = tuple(word for word in args if not word.startswith("--"))
        liquidate.liquidate(desk, liquidate.LiquidateOptions(symbols=symbols, all_="--all" in args))
    elif verb == "halt":
        halts.halt(desk, halts.HaltOptions(reason="a drill", flatten="--flatten" in args))
    elif verb == "resume":
        halts.resume(desk)
    elif verb == "cancel":
        live = [order for order in desk.store.orders.live() if order.status in LIVE_STATUSES]
        operate.cancel(desk, live[int(args[0]) % len(live)].id if live else "nothing")
