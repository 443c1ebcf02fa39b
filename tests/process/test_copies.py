"""Many copies and many commands at once: one works, the others say 8 at once, nobody sees a lock of the database."""

import os
import random
import signal
import time

from tests.process.day import DAY, call, clock, finish, make_desk, quick, rows, start, warm, whole
from tradekit.store import open_store

READS = [("status",), ("positions",), ("orders",), ("runs",), ("trades",), ("sql", "SELECT count(*) FROM events")]
WRITES = [("monitor-exits",), ("reconcile",), ("enter",), ("jobs", "track"), ("jobs", "snapshot"),
          ("halt", "--reason", "a test"), ("resume",), ("backup",), ("plan", "AAA", "--stop", "95")]  # fmt: skip


def crowd(desk, when, lines, folder):
    """Forked copies, let go together; what each said and its seconds of CPU are left in `folder`."""
    run = warm()
    wait, go = os.pipe()
    children = []
    for i, words in enumerate(lines):
        child = os.fork()
        if not child:
            code = 1
            try:
                os.close(go)
                os.environ["TRADEKIT_CLOCK"] = when
                out = os.open(folder / f"said-{i}", os.O_CREAT | os.O_WRONLY)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.read(wait, 1)
                begun = time.process_time()
                code = run(["-C", str(desk), *words])
                (folder / f"took-{i}").write_text(str(time.process_time() - begun))
            finally:
                os._exit(code)
        children.append(child)
    os.close(wait)
    os.close(go)
    return children


def ends(children):
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_a_second_copy_is_told_within_a_second(tmp_path):
    desk = make_desk(tmp_path / "desk")
    first = start(desk, clock("09:40:00") + "@60", "monitor-exits", "--every", "1s")
    while not rows(desk / "desk.db", "SELECT 1 FROM runs WHERE ended_at IS NULL"):
        assert first.poll() is None
    took = []
    for _ in range(3):
        begun = time.monotonic()
        assert call(desk, clock("09:40:00"), "monitor-exits").returncode == 8
        took.append(time.monotonic() - begun)
    first.terminate()
    first.communicate(timeout=10)
    assert min(took) < 1.0  # from the start of the interpreter to its end


def test_two_real_copies_at_once(tmp_path):
    desk = make_desk(tmp_path / "desk")
    copies = [start(desk, clock("09:40:00") + "@60", "monitor-exits", "--every", "1s") for _ in range(2)]
    while all(copy.poll() is None for copy in copies):
        time.sleep(0.01)
    second = next(copy for copy in copies if copy.poll() is not None)
    first = next(copy for copy in copies if copy is not second)
    err = second.communicate()[1]
    assert second.returncode == 8
    assert f"pid {first.pid}" in err
    assert "Traceback" not in err
    assert first.poll() is None
    first.terminate()
    first.communicate(timeout=10)
    assert first.returncode == 143


def test_fifty_copies_at_once(tmp_path):
    desk = make_desk(tmp_path / "desk")
    folder = tmp_path / "said"
    folder.mkdir()
    children = crowd(desk, clock("09:40:00") + "@60", [("monitor-exits", "--every", "60s")] * 50, folder)
    codes: dict[int, int] = {}
    while len(codes) < 49:
        pid, status = os.wait()
        codes[pid] = os.waitstatus_to_exitcode(status)
    (worker,) = set(children) - set(codes)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert set(codes.values()) == {8}
    took = sorted(float(path.read_text()) for path in folder.glob("took-*"))
    assert took[-1] < 0.2, took  # of CPU: how long fifty of them take together is a matter of cores
    assert not [path for path in folder.glob("said-*") if "Traceback" in path.read_text()]
    assert quick(desk, clock("09:41:00"), "monitor-exits").returncode == 0  # its lock went with it


def test_fifty_commands_at_once(tmp_path):
    desk = make_desk(tmp_path / "desk")
    folder = tmp_path / "said"
    folder.mkdir()
    for when, words in DAY[:2]:
        assert quick(desk, clock(when), *words).returncode == 0
    random.seed(1)
    lines = [random.choice(READS if i % 2 else WRITES) for i in range(50)]
    children = crowd(desk, clock("09:45:00"), lines, folder)
    found = dict(enumerate(ends(children)))
    said = {i: (folder / f"said-{i}").read_text() for i in found}
    assert {i: (lines[i], code, said[i]) for i, code in found.items() if code not in (0, 8)} == {}
    assert not [text for text in said.values() if "database is locked" in text or "Traceback" in text]
    assert whole(desk) == []
    assert rows(desk / "desk.db", "SELECT id FROM runs WHERE ended_at IS NULL") == []
    assert quick(desk, clock("09:46:00"), "resume").returncode == 0
    assert finish(desk, DAY[3:]) == []


def test_an_endless_query_keeps_no_exit_waiting(tmp_path):
    desk = make_desk(tmp_path / "desk")
    for when, words in DAY[:3]:
        assert quick(desk, clock(when), *words).returncode == 0
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n, orders"
    query = start(desk, clock("10:04:00"), "sql", endless, "--timeout", "30")
    time.sleep(0.5)  # it has its copy and counts
    begun = time.monotonic()
    done = quick(desk, clock(DAY[3][0]), *DAY[3][1])
    took = time.monotonic() - begun
    assert query.poll() is None
    query.kill()
    query.communicate()
    assert done.returncode == 0, done.stderr
    assert rows(desk / "paper.db", "SELECT symbol FROM orders WHERE side = 'sell' AND type = 'market'") == [("AAA",)]
    assert took < 1.0


def test_exits_are_served_before_a_crowd_of_low_writers(tmp_path):
    """Twenty writers hold low transactions of 10 ms without a pause; an exit waits for one of them, not all."""
    desk = make_desk(tmp_path / "desk")
    stop = tmp_path / "stop"
    children = []
    for i in range(20):
        child = os.fork()
        if not child:
            try:
                store = open_store(desk / "desk.db", synchronous="OFF")
                n = 0
                while not stop.exists():
                    with store.transaction(low=True):
                        store.meta.set(f"low-{i}", str(n := n + 1))
                        time.sleep(0.01)
            finally:
                os._exit(0)
        children.append(child)
    store = open_store(desk / "desk.db", synchronous="OFF")
    waits = []
    for n in range(60):
        begun = time.monotonic()
        with store.transaction():
            store.meta.set("exit", str(n))
        waits.append(time.monotonic() - begun)
        time.sleep(0.005)
    stop.touch()
    ends(children)
    assert sum(int(store.meta.get(f"low-{i}") or 0) for i in range(20)) > 20  # they worked meanwhile
    store.close()
    assert sorted(waits)[int(len(waits) * 0.99)] < 0.5, sorted(waits)[-5:]
