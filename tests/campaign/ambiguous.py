"""Submits whose outcome nobody knows: lost before, at or after the accept, and shown by look-ups only after a while.

Each case is a small life of its own: an entry, its stop, its sale, every one of them lost in some way with a look-up
lag of 0 to 30 seconds, and reconcile at odd times between. What must hold: at most one order per intent, and no order
that the venue took is ever called rejected or expired.
"""

import random
from collections import Counter

from tests.campaign import wire
from tests.campaign.checker import Violation
from tests.campaign.many import Totals, shrunken, spread, table
from tests.campaign.runner import Result, run
from tests.campaign.schedule import Batch, Command, Schedule

KINDS = ("drop", "lost-answer", "late-accept", "error-before", "error-after", "wrong-answer", "auth")
LAGS = (0, 0, 1, 3, 5, 8, 9.9, 10, 12, 15, 20, 30)


def case(seed: int) -> Schedule:
    """The life that a seed gives."""
    rng = random.Random(f"ambiguous {seed}")
    profile = rng.choices(("unique", "open-only", "none"), (5, 3, 2))[0]
    faults = {
        f"submit:{n}": {"kind": rng.choice(KINDS), "lag": rng.choice(LAGS), "after": rng.choice([0.5, 2, 5, 9, 9.9])}
        for n in range(1, 7)
        if rng.random() < 0.85
    }
    symbol = rng.choice(["AAA", "BBB", "EEE"])
    batches = [Batch(rng.choice([5.0, 33.0, 58.0]), [_one(rng, "enter")], decide=[symbol])]
    batches += [_mend(rng) for _ in range(rng.randint(2, 4))]
    batches.append(Batch(rng.choice([3.0, 40.0]), [_one(rng, "liquidate", "--all")]))
    batches += [_mend(rng) for _ in range(rng.randint(1, 3))]
    return Schedule(
        seed=seed, profile=profile, protect=rng.choice(["disaster", "exact", "none"]), strict=rng.random() < 0.5,
        partial=rng.choice([0.0, 0.5]), batches=batches, faults=faults,
    )  # fmt: skip


def _one(rng: random.Random, verb: str, *args: str) -> Command:
    dies = rng.random() < 0.2
    return Command(verb, list(args), crash=rng.choice(["request_sent:1", "response_read:1"]) if dies else None)


def _mend(rng: random.Random) -> Batch:
    """Somebody looks, sometimes two at once."""
    verbs = rng.choice([["reconcile"], ["monitor-exits"], ["reconcile", "monitor-exits"]])
    return Batch(rng.choice([0.5, 4.0, 9.0, 10.5, 11.0, 16.0, 31.0]), [Command(verb) for verb in verbs])


def ambiguous(wanted: int, *, jobs: int = 2, first: int = 1) -> int:
    """Cases until `wanted` ambiguous submits are counted; prints the figures."""
    totals, seed = Totals(), first
    every = wire.cuts()
    cuts = every if wanted >= 2 * len(every) else every[:: -(-len(every) * 2 // wanted)]
    bad = 0
    for cut, found in spread(jobs, cuts, _cut):
        bad += bool(found)
        for violation in found[:2]:
            print(f"{cut}: {violation}", flush=True)
    lost = len(cuts)
    while lost < wanted:
        size = min(400, max(20, (wanted - lost) // 2))
        for result in spread(jobs, range(seed, seed + size), play):
            totals.add(result)
            lost += submits(result.faults)
            for violation in result.violations[:2]:
                print(f"ambiguous {result.seed} ({result.profile}): {violation}", flush=True)
        seed += size
    for result in totals.failed[:3]:
        print(
            f"ambiguous {result.seed}: {shrunken(case(result.seed), {v.rule for v in result.violations}, 80).to_json()}"
        )
    print(table(totals, "lives"))
    broken = len(totals.failed) + bad
    print(f"{lost} ambiguous submits, {len(cuts)} of them over HTTP and cut at every byte; {broken} broke something")
    return 1 if broken else 0


def _cut(cut: wire.Cut) -> tuple[wire.Cut, list[Violation]]:
    return cut, wire.play(cut)


def play(seed: int) -> Result:
    """One life."""
    return run(case(seed))


def submits(faults: Counter[str]) -> int:
    """How many submits had an unknown outcome."""
    return sum(n for name, n in faults.items() if name.startswith("submit"))
