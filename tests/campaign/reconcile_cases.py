"""A random venue to agree with: hypothesis invents what happens at the account, then reconcile has to converge.

Whatever was done by the desk, by hand and by the venue: one pass, and one more a grace time later, make the books
agree; the pass after that writes nothing; no share that is not the desk's was ever sold.
"""

import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.campaign import checker
from tests.campaign.market import SYMBOLS
from tests.campaign.runner import Play, scratch
from tests.campaign.schedule import Schedule

PAUSES = (61.0, 11.0)  # what is on its way arrives; then one more look, a grace time later
HANDS = ("sell", "buy", "order", "venue-cancel")
symbols = st.sampled_from(SYMBOLS)


@dataclass
class Count:
    """What the cases came to."""

    cases: int = 0
    commands: int = 0
    orders: int = 0
    fills: int = 0
    steps: Counter[str] = field(default_factory=Counter)


COUNT = Count()


class RandomVenue(RuleBasedStateMachine):
    """One account, one desk, and everything that can happen between two passes."""

    play: Play

    @initialize(
        seed=st.integers(0, 10_000),
        profile=st.sampled_from(["unique", "unique", "open-only"]),
        strict=st.booleans(),
        partial=st.sampled_from([0.0, 0.7]),
    )
    def open(self, seed: int, profile: str, strict: bool, partial: float) -> None:
        self._scratch = scratch()
        schedule = Schedule(seed, profile, "disaster", strict, partial, [], {})
        self.play = Play(schedule, self._scratch.__enter__())
        self._n = 0

    def _did(self, what: str) -> None:
        COUNT.steps[what] += 1
        self._n += 1

    @rule(symbol=symbols)
    def buy(self, symbol: str) -> None:
        self._did("enter")
        self.play._decide(self._n, [symbol])
        self.play.command("enter")

    @rule()
    def watch(self) -> None:
        self._did("monitor-exits")
        self.play.command("monitor-exits")

    @rule(symbol=symbols)
    def liquidate(self, symbol: str) -> None:
        self._did("liquidate")
        self.play.command("liquidate", symbol)

    @rule(what=st.sampled_from(HANDS), symbol=symbols, qty=st.sampled_from([1, 7, 300]))
    def hand(self, what: str, symbol: str, qty: int) -> None:
        self._did(f"hand {what}")
        assert self.play.exchange is not None
        self.play.exchange.hand(what, symbol, qty)

    @rule(seconds=st.sampled_from([1, 5, 12, 30, 61, 300, 900]))
    def wait(self, seconds: int) -> None:
        self._did("wait")
        self.play.stage.move_to(self.play.stage.now + timedelta(seconds=seconds))

    @rule(
        op=st.sampled_from(["submit", "cancel", "positions", "open_orders", "fills_since", "order"]),
        fault=st.sampled_from(["lost-answer", "fail", "stale", "empty", "double", "late-fill", "drop"]),
        lag=st.sampled_from([0, 4, 9]),
    )
    def spoil(self, op: str, fault: str, lag: int) -> None:
        """The next call of a kind goes wrong."""
        venue = self.play.exchange
        assert venue is not None
        if op == "submit":
            fault = fault if fault in ("lost-answer", "drop") else "lost-answer"
        elif op == "cancel":
            fault = fault if fault in ("lost-answer", "late-fill", "fail") else "fail"
        elif fault in ("lost-answer", "late-fill", "drop"):
            fault = "timeout"
        venue.faults[f"{op}:{venue.calls[op] + 1}"] = {"kind": fault, "age": 5, "lag": lag, "after": 5}
        self._did(f"{op} {fault}")

    @rule()
    def reconcile(self) -> None:
        self._did("reconcile")
        self.play.command("reconcile")

    def teardown(self) -> None:
        if not hasattr(self, "play"):
            return
        try:
            found = self.play._check(checker.always) or self.play._quiet(PAUSES)
            COUNT.cases += 1
            COUNT.commands += len(self.play.ended)
            COUNT.orders += sum(e.kind == "accept" for e in self.play.journal())
            COUNT.fills += sum(e.kind == "fill" for e in self.play.journal())
            assert not found, "\n".join([*self.play.log, *map(str, found)])
        finally:
            self._scratch.__exit__(None, None, None)


def some(cases: int, seed: int) -> Count:
    """Run this many cases in this process; raises AssertionError with the smallest failing story."""
    global COUNT
    COUNT = Count()
    hypothesis.seed(seed)(RandomVenue)
    run_state_machine_as_test(
        RandomVenue,
        settings=settings(
            max_examples=cases, stateful_step_count=14, deadline=None, database=None,
            phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    return COUNT


def _share(job: tuple[int, int]) -> tuple[Count, str]:
    try:
        return some(*job), ""
    except AssertionError as error:
        return COUNT, str(error)


def reconcile_cases(wanted: int, *, jobs: int = 2, first: int = 1) -> int:
    """`wanted` cases over `jobs` processes; prints the figures; 1 where one did not converge."""
    began, total, broken = time.monotonic(), Count(), []
    shares = [(wanted // jobs + (n < wanted % jobs), first + n) for n in range(jobs)]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for count, error in pool.imap_unordered(_share, shares):
            total.cases += count.cases
            total.commands += count.commands
            total.orders += count.orders
            total.fills += count.fills
            total.steps += count.steps
            if error:
                broken.append(error)
    print(f"reconcile cases {total.cases}, commands {total.commands}, orders {total.orders}, fills {total.fills}, "
          f"{time.monotonic() - began:.0f} s")  # fmt: skip
    for what, n in sorted(total.steps.items()):
        print(f"  {what:<28}{n:>8}")
    for error in broken:
        print(f"DID NOT CONVERGE\n{error}")
    return 1 if broken else 0
