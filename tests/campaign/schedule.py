"""What a seed says will happen: commands, deaths, faults of the venue, hands at the account. Plain data, as JSON."""

import json
import random
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.campaign.exchange import CANCEL_FAULTS, READ_FAULTS, SUBMIT_FAULTS
from tests.campaign.market import SYMBOLS

VERBS = ("enter", "monitor-exits", "liquidate", "reconcile", "halt", "resume", "cancel", "run-slot")
WEIGHTS = (30, 40, 10, 12, 3, 4, 6, 8)
POINTS = (
    "intent_committed", "request_sent", "response_read", "response_committed", "fill_committed", "cancel_sent",
    "stop_committed", "run_row_open",
)  # fmt: skip
READ_OPS = ("account", "positions", "order", "order_by_broker_id", "open_orders", "orders_since", "fills_since")
PROFILES = ("unique", "open-only", "none", "paper")


@dataclass
class Command:
    """One process: what it runs, when it starts after its batch, where it dies (a crash point, or its n-th turn).

    `hold` is no command of tradekit: another desk of the account that keeps the submit lock for so many seconds.
    """

    verb: str
    args: list[str] = field(default_factory=list)
    crash: str | None = None
    kill_at: int | None = None
    starts: float = 0.0
    kill_write: int | None = None  # dies at its n-th statement that writes


@dataclass
class Batch:
    """Commands that run at once, `after` seconds after the batch before; first decisions and hands at the account."""

    after: float
    commands: list[Command]
    decide: list[str] = field(default_factory=list)
    hands: list[tuple[str, str, int]] = field(default_factory=list)


@dataclass
class Schedule:
    """Everything that one run is made of. `seed` also rules turns, fills and latencies."""

    seed: int
    profile: str
    protect: str
    strict: bool
    partial: float
    batches: list[Batch]
    faults: dict[str, dict[str, Any]]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def commands(self) -> int:
        return sum(len(batch.commands) for batch in self.batches)


def from_json(text: str) -> Schedule:
    """The schedule that `to_json` wrote."""
    data = json.loads(text)
    data["batches"] = [
        Batch(**{**b, "commands": [Command(**c) for c in b["commands"]], "hands": [tuple(h) for h in b["hands"]]})
        for b in data["batches"]
    ]
    return Schedule(**data)


def draw(seed: int, profiles: tuple[str, ...] = PROFILES, *, hands: float = 0.15) -> Schedule:
    """The schedule of a seed. `hands`: how often somebody trades by hand between two batches."""
    rng = random.Random(f"campaign {seed}")
    profile = rng.choices(profiles, [{"unique": 45, "open-only": 20, "none": 10, "paper": 25}[p] for p in profiles])[0]
    deadly, faulty = rng.random() < 0.75, rng.random() < 0.8
    batches = [_batch(rng, n, deadly, profile, hands) for n in range(rng.randint(4, 9))]
    faults = _faults(rng, rng.randint(1, 7), profile) if faulty else {}
    _hold(random.Random(f"campaign {seed} holds"), batches)
    return Schedule(
        seed=seed,
        profile=profile,
        protect=rng.choices(("disaster", "exact", "none"), (6, 2, 2))[0],
        strict=rng.random() < 0.4,
        partial=rng.choice([0.0, 0.3, 0.7]),
        batches=batches,
        faults=faults,
    )


def _hold(rng: random.Random, batches: list[Batch]) -> None:
    """In every third schedule somebody has the submit lock while others want it."""
    if rng.random() < 1 / 3:
        for batch in rng.sample([batch for batch in batches if batch.commands], 2):
            starts, dies = rng.choice([0.0, 0.05, 0.4, 2.0]), rng.choice([None, None, None, 2])
            batch.commands.append(Command("hold", [str(rng.choice([4, 20, 45]))], kill_at=dies, starts=starts))


def _batch(rng: random.Random, n: int, deadly: bool, profile: str, by_hand: float) -> Batch:
    decide = rng.sample(SYMBOLS, rng.choice([1, 1, 2, 3])) if n == 0 or rng.random() < 0.5 else []
    size = rng.choices((1, 2, 3, 4), (35, 35, 20, 10))[0]
    commands = [_command(rng, deadly) for _ in range(size)]
    if decide and not any(c.verb == "enter" for c in commands):
        commands[0] = Command("enter", crash=commands[0].crash, kill_at=commands[0].kill_at)
    hands: list[tuple[str, str, int]] = []
    if profile != "paper" and n > 1 and rng.random() < by_hand:
        what = rng.choice(["sell", "buy", "order", "venue-cancel"])
        hands.append((what, rng.choice(SYMBOLS), rng.choice([1, 5, 20, 200])))
    after = rng.choice([0.0, 3.0, 11.0, 20.0, 60.0, 61.0, 120.0, 240.0, 420.0])
    return Batch(after, commands, decide, hands)


def _command(rng: random.Random, deadly: bool) -> Command:
    verb = rng.choices(VERBS, WEIGHTS)[0]
    args: list[str] = []
    if verb == "liquidate":
        args = ["--all"] if rng.random() < 0.5 else [rng.choice(SYMBOLS)]
    elif verb == "halt":
        args = ["--flatten"] if rng.random() < 0.3 else []
    elif verb == "cancel":
        args = [str(rng.randrange(3))]
    elif verb == "run-slot":
        args = [rng.choice(["monitor-exits", "check"])]
    crash = kill_at = kill_write = None
    if deadly and rng.random() < 0.3:
        how = rng.random()
        if how < 0.45:
            crash = f"{rng.choice(POINTS)}:{rng.choice([1, 1, 1, 2, 3])}"
        elif how < 0.8:
            kill_at = int(rng.expovariate(1 / 18)) + 1
        else:
            kill_write = int(rng.expovariate(1 / 25)) + 1
    return Command(verb, args, crash, kill_at, rng.choice([0.0, 0.0, 0.05, 0.4, 2.0]), kill_write)


def _faults(rng: random.Random, count: int, profile: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for _ in range(count):
        op = rng.choices(("submit", "cancel", "read"), (45, 15, 40))[0]
        if op == "submit":
            kind = rng.choice(SUBMIT_FAULTS)
            fault: dict[str, Any] = {"kind": kind}
            if kind in ("late-accept", "late-reject"):
                fault["after"] = rng.choice([1, 4, 8])
            if rng.random() < 0.4:
                fault["lag"] = rng.choice([1, 4, 8])
            found[f"submit:{rng.randint(1, 12)}"] = fault
        elif op == "cancel":
            found[f"cancel:{rng.randint(1, 6)}"] = {"kind": rng.choice(CANCEL_FAULTS), "after": rng.choice([2, 6, 30])}
        else:
            read, start = rng.choice(READ_OPS), rng.randint(1, 30)
            kind, age = rng.choice(READ_FAULTS), rng.choice([1, 5, 9])
            for k in range(rng.choice([1, 1, 3])):
                found[f"{read}:{start + k}"] = {"kind": kind, "age": age}
    return found
