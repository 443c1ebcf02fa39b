"""Folders and files that nobody else can read."""

import os

from tradekit.base.files import private_folder


def test_all_folders_above_a_private_one_are_private(tmp_path):
    names = [tmp_path / "state", tmp_path / "state" / "tradekit", tmp_path / "state" / "tradekit" / "tokens"]
    old = os.umask(0)
    try:
        private_folder(names[-1])
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in names] == [0o700] * 3
    names[0].chmod(0o755)
    private_folder(names[-1])  # what is there keeps its mode
    assert names[0].stat().st_mode & 0o777 == 0o755
