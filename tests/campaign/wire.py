"""The campaign over HTTP: the sim's venue with its fault script and journal, the desk's own HTTP adapter, real sockets.

Two uses: whole processes that trade there (processes.py), and single submits whose answer is cut at every byte.
"""

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.campaign import checker
from tests.campaign.checker import Books, Violation
from tests.campaign.commands import play as play_command
from tests.campaign.exchange import Entry
from tests.campaign.market import START, template
from tests.campaign.runner import PLANS, decide, scratch
from tests.campaign.stage import Ended
from tests.sim.serving import serve_desk
from tradekit.clock import ManualClock
from tradekit.sim.server import VenueServer
from tradekit.sim.venue import Venue
from tradekit.store import open_store

PROFILES = ("unique", "open-only", "none")
ANSWER_BYTES = 700  # an answer to a submit, head and body, is a little shorter
LAGS = (0, 5, 9, 12, 20, 30)
SUBMITS = ("POST", "/v1/orders")
ON_SUBMIT = (
    {"kind": "drop-before"}, {"kind": "drop-after"}, {"kind": "error-before", "status": 502, "body": "html"},
    {"kind": "error-after"}, {"kind": "truncate", "at": 40, "of": "response"}, {"kind": "truncate", "at": 9},
    {"kind": "body", "form": "html"}, {"kind": "body", "form": "malformed"}, {"kind": "body", "form": "empty"},
    {"kind": "no-order-id"}, {"kind": "wrong-order-id"}, {"kind": "wrong-order"}, {"kind": "lookup-lag", "seconds": 8},
    {"kind": "reject"}, {"kind": "held"}, {"kind": "duplicate-id"}, {"kind": "rate-limit"}, {"kind": "unauthorized"},
    {"kind": "late-reject"}, {"kind": "wait-after", "seconds": 1.2}, {"kind": "unknown-status"},
)  # fmt: skip
ON_READ = (
    {"kind": "error-before"}, {"kind": "drop-after"}, {"kind": "stale", "age_s": 8}, {"kind": "empty"},
    {"kind": "duplicate-rows"}, {"kind": "reverse-rows"}, {"kind": "truncate", "at": 25}, {"kind": "short-count"},
    {"kind": "body", "form": "malformed"}, {"kind": "extra-field"}, {"kind": "rate-limit", "retry_after": 1},
    {"kind": "unauthorized"},
)  # fmt: skip
ON_CANCEL = (
    {"kind": "unknown-order"}, {"kind": "ignore-cancel"}, {"kind": "drop-after"}, {"kind": "error-after"},
    {"kind": "drop-before"},
)  # fmt: skip


@cache
def server(pid: int) -> VenueServer:
    """One server a process."""
    return VenueServer().start()


def environment(url: str, folder: Path) -> dict[str, str]:
    """What makes a desk trade there, with short deadlines and no rate limit to speak of."""
    settings = {"BASE_URL": url, "RATE_PER_MINUTE": "100000", "BURST": "1000", "SETTLE_S": "0", "READ_S": "0.4",
                "TOTAL_S": "1.0", "CONNECT_S": "1.0", "RETRIES": "0", "GRACE_S": "30"}  # fmt: skip
    found = {f"TRADEKIT_SET__HTTP__{name}": value for name, value in settings.items()}
    return {**found, "TRADEKIT_SET__DESK__BROKER": "http", "XDG_STATE_HOME": str(folder / "state")}


@contextmanager
def served(folder: Path, profile: str) -> Iterator[tuple[Venue, dict[str, str]]]:
    """A venue for a desk's folder, and the environment that leads to it."""
    here = server(os.getpid())
    venue, url = serve_desk(here, folder, ManualClock(START), profile, follow=True)
    try:
        yield venue, environment(url, folder)
    finally:
        here.remove(url)


def script(seed: int) -> list[dict[str, Any]]:
    """Some faults for a day."""
    rng = random.Random(f"wire {seed}")
    found = []
    for _ in range(rng.randint(1, 6)):
        calls, n = rng.choices((ON_SUBMIT, ON_READ, ON_CANCEL), (5, 4, 2))[0], rng.randint(1, 12)
        rule = {**rng.choice(calls), "nth": n, "times": rng.choice([1, 1, 3])}
        if calls is ON_SUBMIT:
            rule |= {"method": SUBMITS[0], "path": SUBMITS[1], "nth": rng.randint(1, 6)}
        elif calls is ON_READ:
            rule |= {"method": "GET", "path": rng.choice(["/v1/orders", "/v1/positions", "/v1/fills"])}
        else:
            rule |= {"method": "DELETE", "path": "/v1/orders/*", "nth": rng.randint(1, 3)}
        found.append(rule)
    return found


def journal_of(rows: Sequence[dict[str, Any]]) -> list[Entry]:
    """The venue's journal as the checker reads it."""
    found: list[Entry] = []
    kinds = {"accepted": "accept", "fill": "fill", "by-hand": "hand-trade"}
    orders: dict[str, dict[str, Any]] = {}
    for row in rows:
        kind = kinds.get(row["kind"], "")
        if row["kind"] in ("accepted", "by-hand"):
            orders[row["broker_order_id"]] = row
        elif row["kind"] == "final" and row["status"] != "filled":
            kind = {"canceled": "cancelled"}.get(row["status"], row["status"])
        if not kind:
            continue
        order = orders[row["broker_order_id"]]
        price = Decimal(row["price"]) if row["kind"] == "fill" else None
        qty = Decimal(row["qty"] if row["kind"] == "fill" else order["qty"])
        at = datetime.fromisoformat(row["at"])
        found.append(
            Entry(len(found) + 1, at, kind, order["client_order_id"], order["symbol"], order["side"], qty, price,
                  row["broker_order_id"])
        )  # fmt: skip
    return found


class Solo:
    """A line to nobody: one process, its time moves when it sleeps."""

    def __init__(self) -> None:
        self.now = START

    def ask(self, kind: str, *words: Any) -> Any:
        if kind == "sleep":
            self.now += timedelta(seconds=words[0])


@dataclass(frozen=True)
class Cut:
    """One submit: its answer is cut at this byte (None: dropped before anything was done), and found after a lag."""

    at: int | None
    lag: int
    profile: str


def cuts() -> list[Cut]:
    """Every byte of an answer on every kind of venue, the lags going round; and some that never arrive."""
    found = [
        Cut(at, LAGS[(at + k) % len(LAGS)], profile) for k, profile in enumerate(PROFILES) for at in range(ANSWER_BYTES)
    ]
    return found + [Cut(None, 0, profile) for profile in PROFILES for _ in range(10)]


def play(cut: Cut) -> list[Violation]:
    """An entry whose answer is cut, then reconcile until it is settled."""
    with scratch() as folder, patch.dict(os.environ):
        shutil.copytree(template("none").folder, folder, dirs_exist_ok=True)
        with served(folder, cut.profile) as (venue, env):
            os.environ.update(env)
            link, ended = Solo(), []
            if cut.at is None:
                venue.faults.add({"kind": "drop-before", "method": SUBMITS[0], "path": SUBMITS[1]})
            else:
                rule = {"kind": "truncate", "at": cut.at, "of": "response"}
                venue.faults.add({**rule, "method": SUBMITS[0], "path": SUBMITS[1]})
            if cut.lag:
                venue.faults.add({"kind": "lookup-lag", "seconds": float(cut.lag)})
            store = open_store(folder / "desk.db", synchronous="OFF")
            decide(store, "AAA", Decimal(100), link.now, 0, PLANS[0])
            store.close()
            for pause, verb in ((0, "enter"), (1, "reconcile"), (9, "reconcile"), (22, "reconcile"), (90, "reconcile")):
                link.now += timedelta(seconds=pause)
                value = play_command(folder, link, "none", None, verb, [])
                ended.append(Ended(verb, False, value, link.now))
            journal = journal_of(venue.journal.rows)
        books = Books(folder / "desk.db")
        try:
            settled = [row for row in books.orders if row["status"] in ("unknown", "intended")]
            found = list(checker.always(books, journal, ended))
            if not books.orders:
                found.append(Violation("I12", "enter", "nothing was submitted: this case tests nothing"))
            if settled and cut.profile != "none":
                found.append(Violation("I2", settled[0]["id"], f"still {settled[0]['status']} after two minutes"))
            return found
        finally:
            books.close()
