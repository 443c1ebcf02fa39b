"""A sample of what scripts/campaign does at length; a failure prints its seed, `scripts/campaign --seed N` plays it."""

import pytest

from tests.campaign import ambiguous, matrix, processes, reconcile_cases
from tests.campaign.many import Totals, table
from tests.campaign.runner import run
from tests.campaign.schedule import Batch, Command, Schedule, draw, from_json
from tests.campaign.shrink import shrink

pytestmark = pytest.mark.slow
CELLS = [
    cell for cell in matrix.cases(("unique",), (None, "response_read")) if cell.crash and cell.crash.endswith(":1")
]


@pytest.mark.parametrize("first", range(1, 201, 20))
def test_random_schedules_break_no_invariant(first):
    for seed in range(first, first + 20):
        result = run(draw(seed))
        assert not result.violations, (seed, [str(violation) for violation in result.violations], result.log)


@pytest.mark.parametrize("cell", CELLS[::3], ids=lambda cell: cell.name)
def test_a_death_anywhere_and_another_during_recovery_lose_nothing(cell):
    result = run(cell.schedule)
    assert not result.violations, [str(violation) for violation in result.violations]


@pytest.mark.parametrize("first", (1, 21, 41))
def test_a_lost_answer_is_one_order_at_most_and_never_a_false_no(first):
    for seed in range(first, first + 20):
        result = run(ambiguous.case(seed))
        assert not result.violations, (seed, [str(violation) for violation in result.violations], result.log)


@pytest.mark.parametrize("seed", (1, 2))
def test_reconcile_converges_on_whatever_happened_at_the_venue(seed):
    count = reconcile_cases.some(40, seed)
    assert count.cases >= 40 and count.fills > 0


@pytest.mark.parametrize("seed", (3, 8))
def test_whole_processes_lose_nothing_either(seed):
    result = processes.play(seed)
    assert not result.violations, (seed, [str(violation) for violation in result.violations])
    assert result.orders > 0


def test_a_seed_gives_the_same_run_twice():
    first, second = run(draw(5, ("unique",))), run(draw(5, ("unique",)))
    assert first.log == second.log and first.log
    assert (first.turns, first.orders, first.fills) == (second.turns, second.orders, second.fills)


def test_a_schedule_survives_being_printed():
    schedule = draw(17)
    assert from_json(schedule.to_json()) == schedule


def test_shrinking_leaves_only_what_matters():
    def fails(schedule):
        """Stands for a bug that needs two things: a fault of the third submit and a liquidate."""
        verbs = [command.verb for batch in schedule.batches for command in batch.commands]
        return "submit:3" in schedule.faults and "liquidate" in verbs

    batches = [Batch(5.0, [Command("enter"), Command("monitor-exits", kill_at=4)], decide=["AAA"]) for _ in range(5)]
    batches.insert(3, Batch(9.0, [Command("enter"), Command("liquidate", ["--all"], crash="cancel_sent:1")]))
    faults = {f"submit:{n}": {"kind": "drop"} for n in range(1, 6)}
    small = shrink(Schedule(1, "unique", "disaster", False, 0.7, batches, faults), fails)
    assert [command.verb for batch in small.batches for command in batch.commands] == ["liquidate"]
    assert list(small.faults) == ["submit:3"] and small.partial == 0.0
    assert small.batches[0].commands[0].crash is None


def test_the_table_names_every_invariant():
    totals = Totals()
    totals.add(run(draw(2, ("unique",))))
    text = table(totals)
    assert "killed by SIGKILL" in text and all(f"I{n}" in text for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16))
