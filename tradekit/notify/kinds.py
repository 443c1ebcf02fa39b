"""Every kind of event that may be told, which of them are by default, and what an operator does about each alert."""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Advice(NamedTuple):
    """What an alert means and what to do."""

    meaning: str
    action: str


# without `alert.`; docs/runbook.md has the same table, and a test compares both with the code
ALERTS: dict[str, Advice] = {
    "account-unknown": Advice("the account could not be read", "`tradekit doctor`; entries wait until it can"),
    "bot-conflict": Advice(
        "another process uses the bot's token", "find it and stop it, or take a new token from @BotFather"
    ),
    "bot-offline": Advice(
        "the bot has not reached Telegram for long", "`tradekit doctor`; use the command line meanwhile"
    ),
    "bot-token": Advice("Telegram refused the bot's token", "a new token from @BotFather: docs/bot.md"),
    "books-back": Advice("desk.db could not be written for a while", "free space; `tradekit audit`"),
    "catch-up-failed": Advice(
        "the venue did not answer while catching up", "wait for the next pass; `tradekit doctor`"
    ),
    "child-broken": Advice("a supervised command died five times in a row", "`tradekit runs`, logs/; the rest goes on"),
    "child-died": Advice("a supervised command died and is started again", "nothing, unless it repeats"),
    "child-failed": Advice("a command ended with 2, 4, 6 or 9", "run it by hand and do what its hint says"),
    "clock-moved": Advice("the host's clock jumped", "look at its time service (`timedatectl`)"),
    "code-changed": Advice("another version is installed than runs", "`tradekit supervise --reload`"),
    "exit-at-open": Advice("an exit found after the close waits for the next open", "decide whether to sell earlier"),
    "exit-by-hand": Advice(
        "the desk cannot send an exit", "send the order it prints by hand, then `tradekit reconcile`"
    ),
    "exit-failed": Advice("an exit order failed", "`tradekit orders`; it is tried again in each pass"),
    "exit-refused": Advice("the venue refused an exit", "read the reason; `tradekit liquidate SYMBOL`"),
    "exits-at-risk": Advice("a login is about to end while positions are held", "`tradekit refresh-token --login`"),
    "exits-blind": Advice(
        "a position has no prices: only time rules are judged", "`tradekit quote SYMBOL`; watch it yourself"
    ),
    "exits-failing": Advice("a pass over a position failed", "`tradekit events --alerts`; watch it yourself"),
    "external": Advice("shares came or went without the desk", "`tradekit why SYMBOL`; `tradekit adopt` or `release`"),
    "fills-missing": Advice("the venue says filled and shows no fills", "wait a minute; then compare its own pages"),
    "frozen": Advice("a symbol is frozen until a human looked", "`tradekit why SYMBOL`, then `tradekit resume`"),
    "halt": Advice("entries are stopped", "read the reason; `tradekit resume` when it is settled"),
    "halted": Advice("the venue halted a symbol with an exit working", "wait; the exit stands"),
    "held-overnight": Advice("a day position stays over night", "`tradekit report overnight`; sell at the open"),
    "host-slept": Advice("the host was suspended", "forbid it (`systemctl mask sleep.target`)"),
    "late-fill": Advice("a fill came after its trade was closed", "nothing: the trade was amended"),
    "late-order": Advice(
        "an order was accepted later than it may be", "`tradekit orders`; cancel it if it is not wanted"
    ),
    "notify-failing": Advice("a channel cannot be reached", "`tradekit notify --test`; messages wait and are not lost"),
    "notify-given-up": Advice("messages were too old to be delivered", "read them: `tradekit events --alerts`"),
    "order-not-written": Advice(
        "the disk is full or broken: no order is sent", "free space; the printed order is yours to send"
    ),
    "order-refused": Advice("the venue refused an order", "read the reason in `tradekit orders`"),
    "order-unknown": Advice("nobody knows whether an order arrived", "compare the venue's list; `tradekit reconcile`"),
    "positions-contradicted": Advice(
        "the venue's positions contradict its account, or it lists none and does not say what the account is worth",
        "compare its own pages before trading on",
    ),
    "quotes-failing": Advice("no quotes come", "`tradekit doctor`; exits go by the last bars"),
    "regime-dead": Advice("the market's regime is dead: no entries", "nothing"),
    "reversal": Advice("a position's reversal score is high", "look at it; `tradekit liquidate SYMBOL`"),
    "run-died": Advice("a command never ended", "`tradekit runs`; the next one has put things right"),
    "settings-broken": Advice(
        "desk.yaml makes no sense: only exits go on, as before", "`tradekit config show` names key and line"
    ),
    "settings-changed": Advice("desk.yaml is not what the supervisor runs", "`tradekit supervise --reload`"),
    "slot-failed": Advice("a slot of the schedule failed", "`tradekit runs`; run its command by hand"),
    "out-of-time": Advice(
        "a command used all the time it may take", "the next run goes on; look at the venue and the network"
    ),
    "slot-timeout": Advice("a slot took too long and was stopped", "`tradekit runs`; look at the network and the load"),
    "slots-missed": Advice("slots were not run in time", "`tradekit status`; was the host down?"),
    "stale-data": Advice("the prices of a position are old", "`tradekit data check`; watch it yourself"),
    "still-open": Advice("a day position is open shortly before the close", "`tradekit liquidate SYMBOL`"),
    "still-unprotected": Advice(
        "a position has been without a live stop for long", "place a stop or sell: `tradekit liquidate SYMBOL`"
    ),
    "stop-stuck": Advice("a stop was touched and did not fill", "nothing: it was replaced by a limit; watch it"),
    "supervisor-stalled": Advice("the supervisor was stopped or starved", "look at the host's load and memory"),
    "test": Advice("somebody ran `tradekit notify --test`", "nothing"),
    "unprotected": Advice(
        "a position has no live stop at the venue", "`tradekit positions`; the next pass tries again"
    ),
    "untraded": Advice(
        "a held symbol does not trade any more", "`tradekit quote SYMBOL`; delisted: `tradekit release SYMBOL`"
    ),
}
OTHERS: dict[str, bool] = {  # kinds that are no alerts, and whether they are told without being asked for
    "bot.act": True,
    "bot.failed": True,
    "bot.dropped": True,
    "bot.stranger": True,
    "cash-flow": True,
    "decision.expired": False,
    "decision.waiting": True,
    "exit.failed": True,
    "fill": False,
    "halt.cleared": True,
    "operator.cancel": False,
    "operator.plan": False,
    "order.adopted": True,
    "order.cancel-failed": True,
    "order.rejected": True,
    "order.sent": False,
    "regime.alive": True,
    "scan.done": False,
    "slot.skipped": False,
    "stop.unplaceable": True,
    "supervise.reloaded": False,
    "supervise.sessions-changed": True,
    "trade.closed": True,
}


def is_told(kind: str, switches: Mapping[str, bool]) -> bool:
    """Whether events of a kind go out: its own switch, that of its family (`order.*`), the default."""
    family = kind.partition(".")[0] + ".*"
    for name in (kind, family):
        if name in switches:
            return switches[name]
    return kind.startswith("alert.") or OTHERS.get(kind, False)


def matches(kind: str, patterns: list[str]) -> bool:
    """Whether a kind is in a list of kinds and families."""
    return kind in patterns or kind.partition(".")[0] + ".*" in patterns


def unknown(names: list[str]) -> list[str]:
    """Names that are no kind and no family."""
    known = {f"alert.{name}" for name in ALERTS} | set(OTHERS)
    families = {name.partition(".")[0] + ".*" for name in known if "." in name}
    return [name for name in names if name not in known and name not in families]


def advice_of(kind: str) -> str:
    """What to do about an alert, as plain text; empty for other kinds."""
    found = ALERTS.get(kind.removeprefix("alert.")) if kind.startswith("alert.") else None
    return "" if found is None else re.sub("`", "", found.action)
