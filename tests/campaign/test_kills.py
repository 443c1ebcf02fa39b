"""One death each, at the places that docs/faults.md names; what is left must be whole, once, and sold in the end."""

import pytest

from tests.campaign.runner import Result, run
from tests.campaign.schedule import Batch, Command, Schedule

ENTER = Batch(60.0, [Command("enter")], decide=["AAA", "BBB"])
WATCH = Batch(61.0, [Command("monitor-exits")])


def dies(*batches: Batch, profile: str = "unique", partial: float = 0.0) -> Result:
    """Play it to the quiet end and the crash of every price; no invariant may break and somebody must have died."""
    result = run(Schedule(7, profile, "disaster", True, partial, list(batches), {}))
    assert not result.violations, [str(violation) for violation in result.violations]
    assert result.kills, result.log
    return result


def enter(crash: str) -> Batch:
    return Batch(60.0, [Command("enter", crash=crash)], decide=["AAA"])


def test_killed_before_an_entry_is_sent():
    result = dies(enter("intent_committed:1"), Batch(12.0, [Command("reconcile")]), Batch(12.0, [Command("reconcile")]))
    assert result.orders >= 1  # its decision lives: the same intent goes out, once


def test_killed_before_an_entry_is_sent_and_found_too_late():
    result = dies(enter("intent_committed:1"), Batch(420.0, [Command("reconcile")]))
    assert result.orders == 0  # its decision is over: expired, never bought


@pytest.mark.parametrize("profile", ["unique", "open-only", "none", "paper"])
def test_killed_after_an_entry_is_sent_before_the_answer(profile):
    result = dies(enter("request_sent:1"), WATCH, profile=profile)
    assert result.orders >= 1


@pytest.mark.parametrize("profile", ["unique", "open-only", "none", "paper"])
def test_killed_after_the_answer_before_it_is_written_down(profile):
    result = dies(enter("response_read:1"), WATCH, profile=profile)
    assert result.orders >= 1


def test_killed_between_the_fill_and_its_stop():
    result = dies(ENTER, Batch(3.0, [Command("monitor-exits", crash="fill_committed:1")]), WATCH)
    assert result.fills >= 2


def test_killed_while_a_stop_is_replaced():
    entry = Batch(60.0, [Command("enter")], decide=["DDD"])  # rises: a trail moves its stop up
    dies(entry, WATCH, Batch(1800.0, [Command("liquidate", ["--all"], crash="cancel_sent:1")]), WATCH)


@pytest.mark.parametrize(
    "point", ["intent_committed", "request_sent", "response_read", "response_committed", "cancel_sent"]
)
def test_killed_at_each_step_of_an_exit(point):
    late = Batch(1500.0, [Command("monitor-exits", crash=f"{point}:1")])
    dies(ENTER, WATCH, late, WATCH)


@pytest.mark.parametrize("nth", [1, 2])
def test_killed_in_the_middle_of_liquidate_all(nth):
    result = dies(
        ENTER, WATCH, Batch(30.0, [Command("liquidate", ["--all"], crash=f"request_sent:{nth}")]),
        Batch(12.0, [Command("liquidate", ["--all"])]), Batch(12.0, [Command("liquidate", ["--all"])]),
    )  # fmt: skip
    assert result.fills >= 4  # both bought, both sold


def test_the_same_job_twice_at_once():
    four = [Command("monitor-exits") for _ in range(4)]
    result = run(Schedule(7, "unique", "disaster", True, 0.0, [ENTER, WATCH, Batch(60.0, four)], {}))
    assert not result.violations
    assert sum(" 8 Busy" in line for line in result.log) == 3


def test_a_slot_that_two_processes_run_is_run_once():
    slots = [Command("run-slot", ["monitor-exits"]) for _ in range(3)]
    result = run(Schedule(7, "unique", "disaster", True, 0.0, [ENTER, Batch(60.0, slots)], {}))
    assert not result.violations
