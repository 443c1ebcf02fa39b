"""What goes wrong in a pass of the exits is said aloud and stops as little as it can."""

from tradekit.base.deadline import share
from tradekit.brokers.base import BrokerAccount
from tradekit.desk.desk import Desk
from tradekit.desk.drawdown import note_peak
from tradekit.desk.events import alert_once, was_told
from tradekit.desk.halts import raise_automatic_halts
from tradekit.desk.prices import in_hours, is_stale, quote
from tradekit.desk.reconcile import CaughtUp, caught_up
from tradekit.desk.state import measured
from tradekit.desk.untraded import DAY_S, untraded_since
from tradekit.errors import Busy, StoreError, UpstreamError, UsageError
from tradekit.model import Position


def try_to_catch_up(desk: Desk) -> CaughtUp:
    """Catch up with the venue; where it fails exits are tried all the same, and the caller raises the problem last."""
    try:
        with share(desk.settings.deadlines.catch_up):
            found = caught_up(desk)
    except UpstreamError as problem:
        found = CaughtUp([], problem)
    if found.problem is not None:
        message = f"the venue cannot be caught up with: {found.problem.message}; exits are tried all the same"
        alert_once(desk, "catch-up-failed", message, every_s=300)
    return found


def count_the_day(desk: Desk, venue: BrokerAccount | None = None) -> None:
    """The halts that the day's numbers call for; numbers that cannot be had delay no exit.

    `venue` was read in this pass: what counts here is its equity at the previous close.
    """
    try:
        found, total = measured(desk, venue)
        note_peak(desk, total, found.desk_equity)
        raise_automatic_halts(desk, found)
    except (StoreError, Busy, UsageError):
        raise
    except Exception as problem:
        message = f"the day's result cannot be counted: {type(problem).__name__}: {problem}"
        alert_once(desk, "account-unknown", message, every_s=600)


def warn_stale(desk: Desk, position: Position) -> None:
    """A held symbol whose price stands still while the market is open: its price rules see nothing."""
    seen = quote(desk, position.symbol)
    if seen is None or not in_hours(desk):
        return
    age = (desk.clock.now() - seen.at).total_seconds()
    if age > desk.settings.exits.quiet_s and is_stale(desk, seen):
        if was_told(desk, "stale-data", symbol=position.symbol, ref=position.id, within_s=1800):
            return
        message = f"{position.symbol}: the last price is {age / 60:.0f} minutes old; its price rules see nothing new"
        every_s = 1800 if untraded_since(desk, position.symbol) is None else DAY_S
        alert_once(desk, "stale-data", message, symbol=position.symbol, ref=position.id, every_s=every_s)
