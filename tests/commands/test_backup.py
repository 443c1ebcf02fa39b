"""What a backup holds, what a restore brings back, and what a killed one leaves behind: nothing, after the next one."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.process.day import ROOT, inject, needs_strace, quick
from tradekit.base.locks import Lock
from tradekit.bot.memory import Ask, Memory, Request, Shown

AT = datetime(2026, 2, 13, 15, tzinfo=UTC)
NOW = "2026-02-13T15:00:00Z"


def request(id: int, *words: str) -> Request:
    return Request(id, AT, 7, 7, words or ("halt",))


def ask(token: str) -> Ask:
    return Ask(token, AT, 7, 7, "close", (Shown("AAA-1", "AAA", "49"),))


@pytest.fixture
def talked(new_desk):
    """A desk whose bot has done update 1, was at work on 2, and waits for the answer to a question."""
    desk = new_desk()
    with Memory(desk / "bot.db") as memory:
        for n in (1, 2):
            memory.take(request(n))
        memory.done(1)
        memory.ask(ask("open"))
        memory.knocked(99, AT, 10)
    return desk


def test_a_restored_desk_knows_what_its_bot_has_done(talked, new_desk, line):
    """The old machine is gone; an update that was served there acted again on the new one."""
    done = line("-C", talked, "backup", talked / "safe", "--json")
    assert f"{talked}/safe/bot.db" in [row["file"] for row in json.loads(done.stdout)]
    desk = new_desk(name="moved")
    done = line("-C", desk, "restore", talked / "safe", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[-1] == {"file": f"{desk}/bot.db", "from": f"{talked}/safe/bot.db", "kept": None}
    assert (desk / "bot.db").stat().st_mode & 0o777 == 0o600
    with Memory(desk / "bot.db") as memory:
        assert [memory.take(request(n)) for n in (1, 2, 3)] == [False, False, True]
        assert [found.id for found in memory.unfinished()] == [3]  # whether 2 was finished, nobody knows here
        assert memory.asked("open").state == "expired"
        assert memory.knocked(99, AT, 10) is False


def test_a_restore_does_not_take_the_bots_memory_back_in_time(talked, line):
    assert line("-C", talked, "backup", talked / "safe").returncode == 0
    with Memory(talked / "bot.db") as memory:
        assert memory.confirm("open", request(3, "close", "open"))
        memory.done(3)
    assert line("-C", talked, "restore", talked / "safe").returncode == 0
    with Memory(talked / "bot.db") as memory:
        assert memory.take(request(3)) is False
        assert memory.asked("open").state == "yes"
        assert [found.id for found in memory.unfinished()] == [2]  # this machine's own, and at work


def test_a_damaged_memory_is_kept_aside_and_made_again(talked, line):
    assert line("-C", talked, "backup", talked / "safe").returncode == 0

    def doctor():
        rows = json.loads(line("-C", talked, "doctor", "--json").stdout)
        return next(row["ok"] for row in rows if row["check"] == "bot.db")

    assert doctor() is True
    (talked / "bot.db").write_bytes(b"damaged" * 1000)
    assert doctor() is False
    rows = json.loads(line("-C", talked, "restore", talked / "safe", "--dry-run", "--json").stdout)
    assert (rows[-1]["kept"], (talked / "bot.db.before-restore").exists()) == ("bot.db.before-restore", False)
    assert line("-C", talked, "restore", talked / "safe").returncode == 0
    assert (talked / "bot.db.before-restore").read_bytes() == b"damaged" * 1000
    with Memory(talked / "bot.db") as memory:
        assert memory.take(request(1)) is False


@pytest.mark.parametrize("content", [b"damaged" * 1000, b""])
def test_a_backup_whose_bot_has_lost_its_memory_is_refused_before_anything_is_done(content, talked, line):
    assert line("-C", talked, "backup", talked / "safe").returncode == 0
    before = (talked / "desk.db").read_bytes()
    (talked / "safe" / "bot.db").write_bytes(content)
    for words in (["--dry-run"], []):
        done = line("-C", talked, "restore", talked / "safe", *words)
        assert done.returncode == 9
        assert "bot.db" in done.stderr
    assert (talked / "desk.db").read_bytes() == before


def test_a_backup_from_before_there_was_a_bot_restores(talked, line):
    assert line("-C", talked, "backup", talked / "safe").returncode == 0
    (talked / "safe" / "bot.db").unlink()
    assert line("-C", talked, "restore", talked / "safe").returncode == 0
    with Memory(talked / "bot.db") as memory:
        assert memory.take(request(1)) is False


def test_a_backup_of_the_moment_in_which_a_bot_began_could_not_be_restored(talked, line):
    """sqlite3.connect makes an empty file; a kill, or a backup, can come before its tables."""
    (talked / "bot.db").write_bytes(b"")
    assert line("-C", talked, "backup", talked / "safe").returncode == 0
    with Memory(talked / "bot.db") as memory:
        memory.take(request(1))
    done = line("-C", talked, "restore", talked / "safe")
    assert done.returncode == 0, done.stderr
    with Memory(talked / "bot.db") as memory:
        assert memory.take(request(1)) is False


def test_nothing_is_restored_under_a_bot_at_work(talked, line):
    assert line("-C", talked, "backup", talked / "safe").returncode == 0
    before = (talked / "desk.db").read_bytes()
    (talked / "locks").mkdir(exist_ok=True)
    with Lock(talked / "locks" / "bot.lock", what="bot"):
        assert line("-C", talked, "restore", talked / "safe").returncode == 8
    assert (talked / "desk.db").read_bytes() == before


# killed


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.name.startswith("."))


@needs_strace
@pytest.mark.parametrize("n", [1, 3, 4])  # all copies made and none in place; bot.db is in place; all but desk.db
def test_a_killed_backup_is_no_backup_and_the_next_one_takes_it_away(n, talked, line):
    shutil.copy(talked / "desk.db", talked / "paper.db")  # any database will do
    assert quick(talked, NOW, "backup", traced=inject(f"rename:signal=SIGKILL:when={n + 1}")).returncode == -9
    (killed,) = (talked / "backups").iterdir()
    assert f".desk.db.{pid_of(killed)}.part" in left(killed)
    assert line("-C", talked, "restore", killed).returncode == 2
    done = line("-C", talked, "backup", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T15:01:00Z"})
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (talked / "backups").iterdir()] == ["20260213T150100"]
    assert left(talked / "backups") == []


def pid_of(folder: Path) -> str:
    return next(folder.glob(".desk.db.*.part")).suffixes[-2][1:]


MAKER = """
import os, sys
from pathlib import Path
from tradekit.base.unfinished import in_the_making, scratch_folder
with in_the_making(Path(sys.argv[1])) as partial, scratch_folder("tradekit-bot-") as folder:
    partial.write_text("half")
    (folder / "equity.png").write_text("half")
    print(partial, flush=True)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def maker(tmp_path, monkeypatch):
    """`maker(target)`: a process that is making a file and a scratch folder until it is told or killed."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    running = []

    def start(target: Path) -> tuple[subprocess.Popen[str], Path, Path]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen([sys.executable, "-c", MAKER, str(target)], text=True, env=environ,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        running.append(child)
        return child, Path(child.stdout.readline().strip()), Path(child.stdout.readline().strip())

    yield start
    for child in running:
        child.kill()
        child.communicate()


def test_what_is_being_made_is_left_alone_and_what_a_kill_left_is_not(maker, new_desk, line):
    from tradekit.base.unfinished import sweep_scratch

    desk = new_desk()
    (desk / "backups" / "other").mkdir(parents=True)
    child, partial, folder = maker(desk / "backups" / "other" / "desk.db")
    (partial.with_name(partial.name + "-journal")).write_text("of the same")
    assert line("-C", desk, "backup").returncode == 0
    sweep_scratch("tradekit-bot-")
    assert partial.exists() and (folder / "equity.png").exists()
    child.kill()
    child.wait()
    assert line("-C", desk, "backup").returncode == 0
    sweep_scratch("tradekit-bot-")
    assert not partial.parent.exists() and not folder.exists()


def test_a_maker_that_ends_well_has_its_file_and_no_folder(maker, tmp_path):
    child, partial, folder = maker(tmp_path / "x.db")
    child.communicate(timeout=30)
    assert child.returncode == 0
    assert (tmp_path / "x.db").read_text() == "half"
    assert not partial.exists() and not folder.exists()


def test_what_an_older_version_makes_without_a_lock_has_an_hour(maker, tmp_path):
    from tradekit.base.unfinished import sweep_parts, sweep_scratch

    part, folder = tmp_path / f".x.db.{os.getppid()}.part", tmp_path / "tmp" / "tradekit-bot-a1b2c3d4"
    part.write_text("half")
    folder.mkdir()
    other = tmp_path / "tmp" / "tradekit-bot-of-somebody"
    other.mkdir()
    sweep_parts(tmp_path)
    sweep_scratch("tradekit-bot-")
    assert part.exists() and folder.exists()
    hour_ago = part.stat().st_mtime - 3700
    for path in (part, folder, other):
        os.utime(path, (hour_ago, hour_ago))
    sweep_parts(tmp_path)
    sweep_scratch("tradekit-bot-")
    assert not part.exists() and not folder.exists()
    assert other.exists()


def test_backup_and_export_took_away_what_other_programs_were_loading(new_desk, line, tmp_path):
    desk, folder = new_desk(), tmp_path / "Downloads"
    folder.mkdir()
    others, ours = folder / ".film.4999999.part", folder / ".desk.db.4999999.part"  # no such pid
    for path in (others, ours):
        path.write_text("half")
    assert line("-C", desk, "backup", folder).returncode == 2  # not empty
    assert others.exists() and not ours.exists()
    assert line("-C", desk, "export", "trades", "--out", folder / "trades.parquet").returncode == 0
    assert sorted(path.name for path in folder.iterdir()) == [others.name, "trades.parquet"]
