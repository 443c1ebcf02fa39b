"""Disks that are full, broken or read-only: 9, no order without its intent, and a human hears what to do."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.make import make_event
from tests.process.day import (
    DAY,
    call,
    clock,
    finish,
    forked,
    inject,
    make_desk,
    needs_strace,
    quick,
    restore,
    rows,
    start,
    whole,
)
from tradekit.errors import StoreError
from tradekit.store import open_store
from tradekit.store.connection import journal_mode
from tradekit.store.store import Store

NO_ROOT = ("--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """`days(step, folder)`: the desk as it stands before a step of the day."""
    folder = tmp_path_factory.mktemp("days")
    desk = make_desk(folder / "desk")
    for i, (when, words) in enumerate(DAY[:6]):
        shutil.copytree(desk, folder / f"before-{i}")
        assert quick(desk, clock(when), *words).returncode == 0
    return lambda step, target: restore(folder / f"before-{step}", target / "desk")


def rest(step):
    when, words = DAY[step]
    return [(when, words), (f"{when[:-2]}30", words), *DAY[step + 1 :]]


def sent_unseen(desk):
    """Client ids that the venue has and whose answer is not in the books."""
    if not (desk / "paper.db").exists() or not rows(desk / "paper.db", "PRAGMA user_version")[0][0]:
        return []
    there = {row[0] for row in rows(desk / "paper.db", "SELECT client_order_id FROM orders")}
    sql = "SELECT client_order_id FROM orders WHERE status = 'intended'"
    return [row[0] for row in rows(desk / "desk.db", sql) if row[0] in there]


@needs_strace
@pytest.mark.parametrize(("step", "n"), [(0, 7), (0, 90), (0, 330), (1, 250), (3, 110), (5, 200)])
def test_a_disk_full_from_any_write_on(step, n, days, tmp_path):
    desk = days(step, tmp_path)
    when, words = DAY[step]
    done = quick(desk, clock(when), *words, traced=inject(f"pwrite64:error=ENOSPC:when={n}+"))
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr
    assert whole(desk) == []  # nothing is at the venue that is not written down
    for client in sent_unseen(desk):
        assert f"is or may be at the venue as {client}" in done.stderr
    if words[0] != "enter":
        assert "BY HAND: " in done.stderr
    assert finish(desk, rest(step)) == []


@needs_strace
@pytest.mark.parametrize(("step", "n"), [(0, 3), (0, 23), (1, 6), (5, 9)])
def test_a_failed_sync_is_a_failed_commit(step, n, days, tmp_path):
    desk = days(step, tmp_path)
    when, words = DAY[step]
    done = quick(desk, clock(when), *words, traced=inject(f"fdatasync:error=EIO:when={n}"))
    assert done.returncode == 9, done.stderr
    assert "disk I/O error" in done.stderr
    assert whole(desk) == []
    assert finish(desk, rest(step)) == []


@needs_strace
def test_after_a_failed_sync_the_same_handle_writes_no_more(store):
    store.close()

    def work():
        inner = open_store(store.path)
        with pytest.raises(StoreError, match="disk I/O error"):
            inner.events.add(make_event(id="lost"))
        with pytest.raises(StoreError, match="nothing more is written after"):
            inner.events.add(make_event(id="refused"))
        return 0

    assert forked(work, traced=inject("fdatasync:error=EIO:when=1")).returncode == 0
    fresh = open_store(store.path)
    assert fresh.events.add(make_event(id="kept"))
    assert [event.id for event in fresh.events.all()] == ["kept"]
    fresh.close()


@needs_strace
@pytest.mark.parametrize("n", range(1, 7))
def test_a_sync_that_fails_at_the_first_open(n, tmp_path):
    path = tmp_path / "desk.db"

    def work():
        open_store(path, create=True).close()
        return 0

    assert forked(work, traced=inject(f"fdatasync:error=EIO:when={n}")).returncode in (0, 9)
    again = open_store(path, create=True)
    assert again.db.value("PRAGMA journal_mode") == journal_mode()
    assert again.db.value("PRAGMA integrity_check") == "ok"
    again.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small disk")
def test_a_small_disk_that_is_full(days, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=1200k,mode=700", "tmpfs", str(small)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("this host lets nobody mount")
    try:
        desk = days(3, small)
        with (small / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        when, words = DAY[3]
        done = quick(desk, clock(when), *words)
        assert done.returncode == 9, done.stderr
        assert "database or disk is full" in done.stderr
        assert "BY HAND: 99 AAA long at 100.01, stop 97" in done.stderr
        assert whole(desk) == []
        (small / "filler").unlink()
        assert finish(desk, rest(3)) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def unprivileged():
    """Words before a command that make file modes count for root too; skips where there are none."""
    if os.getuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root ignores file modes, and setpriv is not installed")
    return ["setpriv", *NO_ROOT]


@pytest.mark.parametrize("what", ["files", "folder"])
def test_read_only_reads_work_and_writers_send_nothing(what, days, tmp_path):
    desk = days(0, tmp_path)
    before = unprivileged()
    (desk / "paper.db").unlink(missing_ok=True)
    for path in desk.iterdir() if what == "files" else [desk]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        when = clock(DAY[0][0])
        looked = call(desk, when, "decisions", "--jsonl", before=before)
        assert looked.returncode == 0, looked.stderr
        assert len(looked.stdout.splitlines()) == 2
        done = call(desk, when, "enter", before=before)
        assert done.returncode == 9, done.stderr
        assert "Traceback" not in done.stderr
        assert "writable" in done.stderr or "Permission denied" in done.stderr
        assert not (desk / "paper.db").exists()
    finally:
        for path in [desk, *desk.iterdir()]:
            path.chmod(0o700)


def damage(desk: Path, how: str) -> None:
    path = desk / "desk.db"
    data = bytearray(path.read_bytes())
    if how == "header":
        data[:100] = b"\xff" * 100
    elif how == "truncated":
        data = data[: len(data) // 2 + 1000]
    else:  # the first page of the orders table
        page = rows(path, "SELECT rootpage FROM sqlite_master WHERE name = 'orders'")[0][0]
        data[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["header", "truncated", "page"])
def test_a_damaged_file_is_refused_and_the_doctor_names_the_way_back(how, days, tmp_path):
    desk = days(3, tmp_path)
    assert quick(desk, clock("09:50:00"), "backup").returncode == 0
    assert quick(desk, clock("09:52:00"), "backup").returncode == 0
    newest, older = sorted((desk / "backups").iterdir(), reverse=True)
    broken = bytearray((newest / "desk.db").read_bytes())
    (newest / "desk.db").write_bytes(broken[: len(broken) // 2])  # the newest backup is damaged too
    damage(desk, how)
    left, sent = (desk / "desk.db").read_bytes(), rows(desk / "paper.db", "SELECT client_order_id FROM orders")
    done = quick(desk, clock(DAY[3][0]), *DAY[3][1])
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr
    assert rows(desk / "paper.db", "SELECT client_order_id FROM orders") == sent
    found = quick(desk, clock(DAY[3][0]), "doctor", "--json")
    assert found.returncode == 7, found.stderr
    assert f"tradekit restore {older}, then tradekit reconcile" in found.stderr
    if how != "page":  # a damaged page is met when it is read, after the run row of the one who read it
        assert (desk / "desk.db").read_bytes() == left  # nothing was written
    assert quick(desk, clock(DAY[3][0]), "restore", str(older)).returncode == 0
    assert finish(desk, rest(3)) == []


@pytest.mark.parametrize("how", ["unlink", "replace"])
def test_a_database_deleted_while_a_loop_runs(how, days, tmp_path):
    desk = days(3, tmp_path)
    child = start(desk, clock("09:50:00") + "@60", "monitor-exits", "--every", "1s")
    while not rows(desk / "desk.db", "SELECT 1 FROM runs WHERE ended_at IS NULL"):
        assert child.poll() is None, child.communicate()
    if how == "unlink":
        (desk / "desk.db").unlink()
    else:
        shutil.copy(desk / "desk.db", tmp_path / "other.db")
        os.replace(tmp_path / "other.db", desk / "desk.db")
    err = child.communicate(timeout=20)[1]
    assert child.returncode == 9, err
    assert "deleted or replaced" in err
    assert (desk / "desk.db").exists() == (how == "replace")


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_no_new_account_where_the_paper_file_is_gone(how, days, tmp_path):
    desk = days(3, tmp_path)
    (desk / "paper.db").unlink()
    if how == "empty":  # what a full disk or a wrong redirection leaves
        (desk / "paper.db").touch()
    done = quick(desk, clock(DAY[3][0]), *DAY[3][1])
    assert done.returncode == 9, done.stderr
    assert (desk / "paper.db").exists() == (how == "empty")
    assert len(rows(desk / "desk.db", "SELECT id FROM positions WHERE closed_at IS NULL")) == 2


@pytest.mark.parametrize("how", ["newer", "foreign"])
def test_a_file_of_somebody_else(how, days, tmp_path):
    desk = days(0, tmp_path)
    db = sqlite3.connect(desk / "desk.db")
    db.execute("PRAGMA user_version = 999" if how == "newer" else "PRAGMA application_id = 7")
    db.close()
    left = (desk / "desk.db").read_bytes()
    done = quick(desk, clock(DAY[0][0]), "enter")
    assert done.returncode == 9
    assert ("schema 999" if how == "newer" else "not a tradekit database") in done.stderr
    assert (desk / "desk.db").read_bytes() == left


def test_an_old_copy_put_back_by_hand_is_drift(days, tmp_path):
    """A desk.db from before the exits, copied without asking anybody: 7, and what is gone is not sold again."""
    desk = days(5, tmp_path)
    old = days(3, tmp_path / "old")
    (desk / "desk.db").write_bytes((old / "desk.db").read_bytes())
    done = quick(desk, clock("10:08:00"), "reconcile")
    assert done.returncode == 7, done.stderr
    assert "AAA" in done.stderr
    quick(desk, clock("10:09:00"), *DAY[5][1])
    quick(desk, clock("10:11:00"), "reconcile")
    sold = dict(rows(desk / "paper.db", "SELECT symbol, sum(qty) FROM fills WHERE side = 'sell' GROUP BY symbol"))
    assert sold == {"AAA": 99, "BBB": 199}
    assert whole_but_unknown(desk) == []


def whole_but_unknown(desk):
    return [found for found in whole(desk) if "was sent and is not written down" not in found]


def test_a_program_that_holds_the_file_keeps_low_writers_out_and_exits_waiting(store, monkeypatch):
    monkeypatch.setattr("tradekit.store.connection.BUSY_MS", 60)
    other = sqlite3.connect(store.path, isolation_level=None)
    mine: Store = open_store(store.path, synchronous="OFF")
    tried = []
    run = type(mine.db).run

    def counted(self, sql, values=()):
        if sql == "BEGIN IMMEDIATE":
            tried.append(sql)
            if len(tried) == 4:
                other.execute("ROLLBACK")
        return run(self, sql, values)

    monkeypatch.setattr(type(mine.db), "run", counted)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="database is locked"), mine.transaction(low=True):
        pass
    assert len(tried) == 1
    assert mine.events.add(make_event())
    assert len(tried) == 4
    mine.close()
    other.close()
