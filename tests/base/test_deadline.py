"""One budget of waiting: what draws on it ends with it, and the last part is for finishing."""

import threading
import time
from math import inf

import pytest

from tradekit.base.deadline import finishing, left, left_to_finish, over, share, step, within
from tradekit.base.locks import Lock
from tradekit.errors import Busy


def test_without_a_budget_nothing_is_cut():
    assert (left(7.0), left_to_finish(7.0), left(inf), over()) == (7.0, 7.0, inf, False)
    with within(None):
        assert left(inf) == inf


def test_work_ends_a_tenth_earlier_at_most_ten_seconds():
    with within(50.0):
        assert left(inf) == pytest.approx(45.0, abs=2) and left_to_finish(inf) == pytest.approx(50.0, abs=2)
        assert left(3.0) == 3.0
    with within(1000.0):
        assert left(inf) == pytest.approx(990.0, abs=2)


def test_the_inner_budget_never_outlasts_the_outer_one():
    with within(20.0), within(500.0):
        assert left(inf) <= 18.0 and left_to_finish(inf) <= 20.0


def test_a_step_ends_early_and_keeps_the_command_s_time_to_finish():
    with within(100.0), step(5.0):
        assert left(inf) <= 5.0 and left_to_finish(inf) > 90.0


def test_half_of_what_is_left():
    with within(100.0), share(0.5):
        assert left(inf) == pytest.approx(45.0, abs=2)
        with finishing():
            assert left(inf) == pytest.approx(100.0, abs=2)


def test_another_thread_has_a_budget_of_its_own():
    found = []
    with within(0.001):
        thread = threading.Thread(target=lambda: found.append(left(inf)))
        thread.start()
        thread.join()
    assert found == [inf]


def test_a_lock_waits_no_longer_than_the_command_may(tmp_path):
    began = time.monotonic()
    with Lock(tmp_path / "a.lock"), within(0.2), pytest.raises(Busy, match=r"after 0\.1"):
        Lock(tmp_path / "a.lock", wait_s=60.0).acquire()
    assert time.monotonic() - began < 20
    with within(0.0), Lock(tmp_path / "a.lock", wait_s=60.0):  # a free one is taken all the same
        assert over()
