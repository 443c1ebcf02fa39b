"""What a host can do to a desk: network disks, forks, little memory."""

import os
import subprocess
import sys
import time

import pytest

from tests.make import make_event
from tests.process.day import ROOT, clock, environment, make_desk, quick, rows
from tradekit.base.locks import Lock, TwoQueues
from tradekit.errors import Busy
from tradekit.store import open_store
from tradekit.store.filesystem import file_system, is_network

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 30 0:41 / /home/local\\040disk rw - xfs /dev/sdb1 rw
32 22 0:42 / /share rw - ext4 /dev/sdc1 rw
33 32 0:43 / /share rw - cifs //server/share rw
"""


@pytest.mark.parametrize(("path", "kind", "network"), [
    ("/desk", "ext4", False), ("/home/desk", "nfs4", True), ("/home/local disk/desk", "xfs", False),
    ("/homestead", "ext4", False), ("/share/desk", "cifs", True),
])  # fmt: skip
def test_the_file_system_of_a_path(path, kind, network, tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert (file_system(path, table), is_network(path, table)) == (kind, network)


def test_a_host_that_does_not_say(tmp_path):
    assert file_system(tmp_path, tmp_path / "none") == ""


@pytest.mark.parametrize(("network", "mode"), [(True, "truncate"), (False, "wal")])
def test_no_wal_on_a_network_disk(network, mode, tmp_path, monkeypatch):
    monkeypatch.setattr("tradekit.store.connection.journal_mode", lambda: "wal")
    monkeypatch.setattr("tradekit.store.connection.is_network", lambda path: network)
    store = open_store(tmp_path / "desk.db", create=True)
    assert store.db.value("PRAGMA journal_mode") == mode
    store.events.add(make_event())
    store.close()


def test_the_doctor_warns_of_a_network_disk(new_desk, line, monkeypatch):
    monkeypatch.setattr("tradekit.store.filesystem.file_system", lambda path, mounts=None: "nfs4")
    done = line("-C", new_desk(), "doctor", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T15:00:00Z"})
    assert done.returncode == 7
    assert "move the desk to a disk of this host" in done.stderr


def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    lock = Lock(tmp_path / "job.lock")
    read, write = os.pipe()
    lock.acquire()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        os.close(read)
        with pytest.raises(Busy), Lock(lock.path):
            pass  # the child closed its copy and the parent still holds it
        lock.close()
        with Lock(lock.path):
            pass
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_who_comes_politely_stands_back_while_another_waits(tmp_path):
    """Three hold in turn: the polite one came first and is served last."""
    path, order = tmp_path / "writer.lock", tmp_path / "order"
    held = Lock(path)
    held.acquire()
    children = []
    for politely in (True, False):
        child = os.fork()
        if not child:
            try:
                with TwoQueues(path, wait_s=10).held(politely=politely):
                    with order.open("a") as file:
                        file.write(f"{politely} ")
                    time.sleep(0.05)
            finally:
                os._exit(0)
        children.append(child)
        time.sleep(0.1)
    held.close()
    for child in children:
        os.waitpid(child, 0)
    assert order.read_text() == "False True "


def test_a_polite_one_waits_no_longer_than_it_was_told(tmp_path):
    path = tmp_path / "writer.lock"
    with Lock(path), pytest.raises(Busy, match=r"after 0\.1 s"), TwoQueues(path, wait_s=0.1).held(politely=True):
        pass
    with TwoQueues(path).held(politely=True):
        pass


@pytest.mark.parametrize("megabytes", [70, 110])
def test_out_of_memory_is_one_line_and_the_next_run_closes_the_row(megabytes, tmp_path):
    desk = make_desk(tmp_path / "desk")
    assert quick(desk, clock("09:36:00"), "enter").returncode == 0
    program = (
        "import sys; from tradekit.cli import main; import resource;"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize();"
        f"limit = used + {megabytes - 70} * 100_000;"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit)); main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "-C", str(desk), "monitor-exits"],
        env=environment(clock("09:38:00")), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 9), (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("tradekit: ") == 1
    assert quick(desk, clock("09:39:00"), "monitor-exits").returncode == 0
    assert rows(desk / "desk.db", "SELECT id FROM runs WHERE ended_at IS NULL") == []
