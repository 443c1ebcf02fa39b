"""A checker that finds nothing proves nothing: with each seeded bug in the code it must find something."""

import pytest

from tests.campaign.runner import run
from tests.campaign.seeded_bugs import BUGS, planted

pytestmark = pytest.mark.slow
WITHIN = 60  # schedules


def test_there_are_enough_of_them():
    assert len(BUGS) >= 15


@pytest.mark.parametrize("name", BUGS)
def test_the_checker_notices(name):
    with planted(name) as bug:
        for seed in range(1, WITHIN + 1):
            result = run(bug.schedules(seed))
            if bug.seen_by & {violation.rule for violation in result.violations}:
                return
    pytest.fail(f"{name}: {bug.says}, and {WITHIN} schedules did not show it")


def test_the_code_is_whole_again_afterwards():
    from tradekit.desk import monitor_exits

    before = monitor_exits.monitor_exits
    with planted("halt-blocks-exits"):
        assert monitor_exits.monitor_exits is not before
    assert monitor_exits.monitor_exits is before
