"""A time limit ends what takes too long, between two steps of an order."""

import signal
import time

import pytest

from tradekit.base.interrupts import OutOfTime, limited, shielded


def test_what_takes_too_long_is_ended():
    began = time.monotonic()
    with pytest.raises(OutOfTime) as ended, limited(0.05):
        time.sleep(5)
    assert (ended.value.code, time.monotonic() - began < 2) == (5, True)


def test_a_shielded_step_is_finished_first():
    done = []
    with pytest.raises(OutOfTime), limited(0.03), shielded():
        time.sleep(0.1)
        done.append("the step")
    assert done == ["the step"]


def test_what_is_in_time_leaves_no_alarm_behind():
    with limited(30):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with limited(None):
        pass
