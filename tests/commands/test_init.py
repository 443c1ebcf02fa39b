"""init makes a whole desk or nothing."""

import json
import os

import pytest

from tradekit.commands import init
from tradekit.commands.init import FOLDERS, PRESETS, make_desk
from tradekit.errors import StoreError, UsageError
from tradekit.store import open_store

from datetime import date  # isort: skip

TODAY = date(2026, 2, 13)


def modes(folder):
    return {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_makes_a_desk(preset, new_desk):
    desk = new_desk(preset)
    names = {"desk.yaml", "universe.yaml", "desk.db", ".desk.schema.json", *FOLDERS}
    assert names <= {path.name for path in desk.iterdir()}
    store = open_store(desk / "desk.db", readonly=True)
    assert len(store.meta.get("desk_id") or "") == 16
    sessions = store.sessions.load(date(2025, 11, 24), date(2025, 11, 28))
    store.close()
    if preset == "crypto":
        assert sessions == []
    else:  # Thanksgiving week: four sessions, Friday until 13:00 New York
        assert [(s.day.day, s.minutes, s.half) for s in sessions] == [
            (24, 390, False), (25, 390, False), (26, 390, False), (28, 210, True),
        ]  # fmt: skip


def test_nobody_else_can_read_it(tmp_path):
    old = os.umask(0o022)
    try:
        make_desk(tmp_path / "d", "crypto", TODAY)
    finally:
        os.umask(old)
    found = modes(tmp_path / "d")
    assert {found[name] for name in ("d", *FOLDERS)} == {0o700}
    assert {mode for name, mode in found.items() if name not in ("d", *FOLDERS)} == {0o600}


def test_two_desks_have_different_ids(tmp_path):
    ids = set()
    for name in ("a", "b"):
        make_desk(tmp_path / name, "crypto", TODAY)
        store = open_store(tmp_path / name / "desk.db", readonly=True)
        ids.add(store.meta.get("desk_id"))
        store.close()
    assert len(ids) == 2


def test_an_empty_folder_is_filled_and_stays_the_same_folder(tmp_path):
    (tmp_path / "d").mkdir(mode=0o755)
    inode = (tmp_path / "d").stat().st_ino
    make_desk(tmp_path / "d", "crypto", TODAY)
    assert (tmp_path / "d").stat().st_ino == inode
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_a_volume_in_a_read_only_root_can_be_filled(tmp_path, monkeypatch):
    """Nothing is built beside a folder that is there: a container's /desk has a parent that cannot be written."""
    made = []
    real = init._fill
    monkeypatch.setattr(init, "_fill", lambda folder, *words: made.append(folder.parent) or real(folder, *words))
    (tmp_path / "d").mkdir()
    make_desk(tmp_path / "d", "crypto", TODAY)
    assert made == [tmp_path / "d"]
    assert (tmp_path / "d" / "desk.yaml").exists() and not list((tmp_path / "d").glob(".*.init"))


def test_an_init_that_was_killed_does_not_stop_the_next_one(tmp_path):
    """A container's first process always has the same pid."""
    (tmp_path / "d" / f".{os.getpid()}.init").mkdir(parents=True)
    (tmp_path / "d" / f".{os.getpid()}.init" / "desk.db").write_bytes(b"half")
    make_desk(tmp_path / "d", "crypto", TODAY)
    assert (tmp_path / "d" / "desk.yaml").exists() and not list((tmp_path / "d").glob(".*.init"))


@pytest.mark.parametrize("content", ["desk.yaml", "notes.txt", ".hidden"])
def test_what_is_there_already_is_never_touched(content, tmp_path):
    (tmp_path / content).write_text("mine")
    with pytest.raises(UsageError):
        make_desk(tmp_path, "day", TODAY)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(content, "mine")]


@pytest.mark.parametrize("ready", [False, True], ids=["new folder", "empty folder"])
def test_a_failure_in_the_middle_leaves_nothing(ready, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device", "desk.db")

    monkeypatch.setattr(init, "fill_sessions", broken)
    if ready:
        (tmp_path / "d").mkdir()
    with pytest.raises(StoreError, match="No space left"):
        make_desk(tmp_path / "d", "day", TODAY)
    assert [p.name for p in tmp_path.rglob("*")] == (["d"] if ready else [])


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(StoreError, match="cannot make"):
        make_desk(tmp_path / "f" / "d", "day", TODAY)


def test_the_command(line, tmp_path):
    done = line("init", "d", "--preset", "crypto", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["file"] for row in json.loads(done.stdout)] == ["desk.yaml", "universe.yaml", "desk.db"]
    again = line("init", "d", "--preset", "crypto")
    assert (again.returncode, again.stdout) == (2, "")
    assert "is a desk already" in again.stderr
    wrong = line("init", "e", "--preset", "dya")
    assert wrong.returncode == 2
    assert "did you mean 'day'?" in wrong.stderr
    assert [p.name for p in tmp_path.iterdir() if p.name != "d"] == []
