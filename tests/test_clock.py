"""TRADEKIT_CLOCK: standing still, faster, and shared by a supervisor and its children."""

import ast
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

import tradekit
from tradekit.clock import Clock, ManualClock, ScaledClock, SystemClock, awake_and_asleep, clock_from, was_the_hosts
from tradekit.errors import UsageError


def test_two_processes_with_the_same_three_words_have_the_same_time():
    first = clock_from("2026-02-13T14:30:00Z@60")
    assert isinstance(first, ScaledClock)
    second = clock_from(first.text())
    assert first.text().startswith("2026-02-13T14:30:00Z@60@")
    assert abs((second.now() - first.now()).total_seconds()) < 6  # a tenth of a host's second between the two calls
    assert second.rate == 60


@pytest.mark.parametrize("text", [
    "yesterday", "2026-02-13T14:30:00Z@fast", "2026-02-13T14:30:00Z@60@then", "2026-02-13T14:30:00Z@nan",
    "2026-02-13T14:30:00Z@inf", "2026-02-13T14:30:00Z@-1",
])  # fmt: skip
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="TRADEKIT_CLOCK"):
        clock_from(text)


def test_a_host_is_awake_no_longer_than_it_is_up():
    awake, up = awake_and_asleep()
    assert 0 < awake <= up + 0.001


START = datetime(2026, 2, 13, 14, 30, tzinfo=UTC)
SOURCE = Path(tradekit.__file__).parent
SHOWN_IN = {"desk/open.py", "commands/_context.py", "commands/status.py"}  # run rows, and a page for people


@pytest.mark.parametrize(("clock", "passes", "led"), [
    (SystemClock(), True, False), (ScaledClock(START, 600.0), True, False), (ManualClock(START), False, True),
])  # fmt: skip
def test_what_a_clock_says_of_itself_is_what_it_does(clock: Clock, passes, led):
    before = clock.now()
    time.sleep(0.01)
    assert (clock.now() > before) == passes == clock.passes == clock.host_limits
    assert (clock.stands_at_records, clock.leads_venue) == (led, led)


def test_a_scaled_clock_is_not_the_hosts():
    clocks = (SystemClock(), ScaledClock(START, 1.0), ManualClock(START))
    assert [was_the_hosts(clock.name) for clock in clocks] == [True, False, False]


def asked_for_its_name(source: str) -> bool:
    """Does a comparison in the source hold `clock.name`, or the `clock` that a run row keeps?"""
    compared = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    parts = [part for node in compared for part in (node.left, *node.comparators) if isinstance(part, ast.Attribute)]
    return any(part.attr == "clock" or ast.unparse(part).endswith("clock.name") for part in parts)


def test_no_code_decides_by_the_name_of_a_clock():
    assert asked_for_its_name('x = 1 if desk.clock.name != "virtual" else 2')
    assert asked_for_its_name('all(run.clock != "system" for run in runs)')
    files = {str(path.relative_to(SOURCE)): path.read_text() for path in SOURCE.rglob("*.py")}
    assert [name for name, text in files.items() if asked_for_its_name(text)] == []
    assert {name for name, text in files.items() if "clock.name" in text} == SHOWN_IN
