"""The user's cache: private, and nobody else's."""

import pytest

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
