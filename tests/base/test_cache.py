"""The user's cache: private, and nobody else's."""

import os
import subprocess
import sys

import pytest

from tests.process.day import ROOT
from tradekit.base.cache import cache_folder
from tradekit.errors import ConfigError


def test_it_is_made_private_with_its_parents(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a" / "b"))
    folder = cache_folder("compiled")
    assert folder == tmp_path / "a" / "b" / "tradekit" / "compiled"
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.parents[:3])} == {0o700}


def test_a_folder_that_others_may_write_into_is_refused(monkeypatch, tmp_path):
    """Machine code is loaded from it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_folder("compiled").chmod(0o777)
    with pytest.raises(ConfigError, match="not private"):
        cache_folder("compiled")


def test_a_link_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "tradekit").mkdir(mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tradekit" / "compiled").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not private"):
        cache_folder("compiled")


# versions

HOLDER = """
import sys
from pathlib import Path
from tradekit.base.cache import hold_version
folder = hold_version(Path(sys.argv[1]), sys.argv[2], keep=2)
print(folder.name, flush=True)
while name := sys.stdin.readline().strip():
    made = hold_version(Path(sys.argv[1]), name, keep=2)
    (made / "code").write_text(name)
    print(name, flush=True)
"""


@pytest.fixture
def holder(tmp_path):
    """`holder("a")`: a process that uses version a of tmp_path/v, and those that it is told to."""
    running = []

    def start(name):
        child = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "v"), name], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
        running.append(child)
        assert child.stdout.readline().strip() == name
        return child

    yield start
    for child in running:
        child.kill()
        child.communicate()


def tell(child, name):
    child.stdin.write(f"{name}\n")
    child.stdin.flush()


def versions(tmp_path):
    return sorted(path.name for path in (tmp_path / "v").iterdir())


def old(tmp_path, *names):
    """Versions that were used long ago, the first one longest."""
    for n, name in enumerate(names):
        folder = tmp_path / "v" / name
        folder.mkdir(parents=True)
        (folder / "code").write_text(name)
        os.utime(folder, (1000 + n, 1000 + n))


def test_a_new_version_takes_the_old_ones_away_but_those_used_last_and_those_in_use(holder, tmp_path):
    old(tmp_path, "a", "b", "c", "d")
    user = holder("a")  # is there: nothing is taken away
    assert versions(tmp_path) == ["a", "b", "c", "d"]
    os.utime(tmp_path / "v" / "a", (1, 1))
    holder("e")
    assert versions(tmp_path) == ["a", "d", "e"]
    user.kill()
    user.wait()
    holder("f")
    assert versions(tmp_path) == ["e", "f"]


def test_a_version_used_again_is_not_the_oldest_any_more(holder, tmp_path):
    old(tmp_path, "a", "b", "c")
    first = holder("a")
    first.kill()
    first.wait()
    holder("d")
    assert versions(tmp_path) == ["a", "d"]


def test_many_processes_that_make_versions_at_once_lose_none_of_their_own(holder, tmp_path):
    """Each makes 20 beside the others': one would take away what another has just made and not held yet."""
    old(tmp_path, "a", "b", "c")
    children = [holder(f"p{n}") for n in range(3)]
    for k in range(20):
        for n, child in enumerate(children):
            tell(child, f"p{n}-{k}")
    for n, child in enumerate(children):
        for k in range(20):
            assert child.stdout.readline().strip() == f"p{n}-{k}"
    mine = {f"p{n}-{k}" for n in range(3) for k in range(20)}
    assert set(versions(tmp_path)) == mine | {f"p{n}" for n in range(3)}
    assert {(tmp_path / "v" / name / "code").read_text() for name in mine} == mine
