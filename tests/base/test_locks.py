import os
import subprocess
import sys
import time

import pytest

from tradekit.base.locks import Lock, holder
from tradekit.errors import Busy, StoreError

HOLD = """
import sys, time
from pathlib import Path
from tradekit.base.locks import Lock
with Lock(Path(sys.argv[1]), what="scan"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def hold(path, seconds):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    return child


def done(child):
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_second_one_is_busy_and_hears_who_holds_it(tmp_path):
    path = tmp_path / "job.lock"
    child = hold(path, 30)
    try:
        with pytest.raises(Busy, match=f"decide: pid {child.pid} .* holds job.lock"), Lock(path, what="decide"):
            pass
    finally:
        done(child)


def test_a_killed_holder_lets_go(tmp_path):
    path = tmp_path / "job.lock"
    done(hold(path, 30))
    with Lock(path, what="decide"):
        assert holder(path)[0] == os.getpid()
    assert path.exists()


def test_it_waits_as_long_as_it_was_told(tmp_path):
    path = tmp_path / "job.lock"
    child = hold(path, 0.3)
    begun = time.monotonic()
    with Lock(path, wait_s=10):
        assert 0.1 < time.monotonic() - begun < 5
    done(child)
    child = hold(path, 30)
    begun = time.monotonic()
    with pytest.raises(Busy, match=r"after 0\.2 s"), Lock(path, wait_s=0.2):
        pass
    assert 0.2 <= time.monotonic() - begun < 2
    done(child)


def test_one_lock_serves_again_and_again(tmp_path):
    lock = Lock(tmp_path / "job.lock")
    for _ in range(3):
        with lock, pytest.raises(Busy), Lock(lock.path):
            pass


def test_a_child_process_does_not_keep_it(tmp_path):
    lock = Lock(tmp_path / "job.lock")
    with lock:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
    lock.close()
    try:
        with Lock(lock.path):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="cannot be locked"), Lock(tmp_path / "no" / "job.lock"):
        pass


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "job.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError), Lock(tmp_path / "job.lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_lease_that_nobody_can_read(tmp_path):
    assert holder(tmp_path / "none") == (None, "")
    (tmp_path / "torn").write_bytes(b'{"pid": 1')
    assert holder(tmp_path / "torn") == (None, "")


def test_it_is_private(tmp_path):
    with Lock(tmp_path / "job.lock"):
        assert (tmp_path / "job.lock").stat().st_mode & 0o777 == 0o600


def test_the_holder_is_named_by_its_command(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/opt/bin/tradekit", "-C", "desk", "-q", "supervise", "--until-flat"])
    with Lock(tmp_path / "a.lock", what="supervise"), pytest.raises(Busy, match=r"tradekit supervise\)"):
        Lock(tmp_path / "a.lock", what="supervise").acquire()
