"""TRADEKIT_CLOCK: standing still, faster, and shared by a supervisor and its children."""

import pytest

from tradekit.clock import ScaledClock, awake_and_asleep, clock_from
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
