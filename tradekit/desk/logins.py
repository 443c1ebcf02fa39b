"""OAuth logins as a run of the desk sees them: the refresh step of the schedule, and what every run says from day 6."""

from dataclasses import dataclass
from typing import Any

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once
from tradekit.errors import AuthError, TradekitError

DAY_S = 86400


@dataclass(frozen=True)
class RefreshOptions:
    """What `refresh-token` can be told in a schedule."""

    force: bool = False
    all_: bool = False  # the default; there for the crontab's reader


def refresh_tokens(desk: Desk, options: RefreshOptions) -> list[dict[str, Any]]:
    """Refresh what is due of every provider; one that fails stops no other. Nothing in a replay.

    Raises AuthError where somebody has to log in, else the last error.
    """
    from tradekit.tokens import open_owner

    rows: list[dict[str, Any]] = []
    errors: list[TradekitError] = []
    for name in desk.settings.providers if desk.clock.passes else ():

        def report(kind: str, message: str, name: str = name) -> None:
            if kind == "note":
                desk.say(message)
            else:
                alert(desk, kind, message, ref=name)

        try:
            outcome = open_owner(name, desk.settings, desk.clock, report=report).ensure(
                force=options.force, strict=True
            )
            rows.append({"provider": name, "did": outcome.did, "generation": outcome.token.generation})
        except TradekitError as error:
            errors.append(error)
            rows.append({"provider": name, "did": "failed", "generation": None})
    desk.counts["refreshed"] = sum(row["did"] == "refreshed" for row in rows)
    if errors:
        raise max(errors, key=lambda error: isinstance(error, AuthError))
    return rows


def warn_of_logins(desk: Desk) -> None:
    """A line for every login that ends soon or has ended; an alert when open positions hang on one that has."""
    if not desk.settings.providers or not desk.clock.passes:
        return
    from tradekit.tokens import standing, warnings

    for _, sentence in warnings(desk.settings, desk.clock):
        desk.say(f"warning: {sentence}")
    dead = [
        name for name, _, state, _ in standing(desk.settings, desk.clock) if state is None or state.login == "needed"
    ]
    held = desk.store.positions.open() if dead else []
    for name in dead if held else ():
        alert_once(
            desk,
            "exits-at-risk",
            f"{name}: a login is needed, {len(held)} positions are open: tradekit refresh-token {name} --login paste",
            ref=name,
            every_s=DAY_S,
        )
