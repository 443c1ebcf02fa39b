"""The token file: whole, private, with the copy before it; and what is refused."""

import json
import os
import stat

import pytest

from tests.tokens.conftest import CLIENT, START
from tradekit.errors import AuthError, StoreError
from tradekit.tokens.token import Token
from tradekit.tokens.vault import Damaged, Missing, Vault


def make_token(**fields):
    made = {
        "provider": "schwab", "client_id": CLIENT, "access_token": "a-first", "refresh_token": "r-first",
        "issued_at": START, "expires_in": 1800.0, "login_at": START, "generation": 1,
    }  # fmt: skip
    return Token(**made | fields)


@pytest.fixture
def vault(state):
    found = Vault(state, "schwab", CLIENT)
    found.write(make_token())
    return found


def test_what_is_written_comes_back(vault):
    token = vault.read()
    assert (token.access_token, token.refresh_token, token.issued_at) == ("a-first", "r-first", START)
    assert not vault.is_foreign(token)


def test_file_0600_folder_0700_whatever_the_umask(state):
    old = os.umask(0)
    try:
        vault = Vault(state, "schwab", CLIENT)
        with vault.lock(0, "test"):
            vault.write(make_token())
            vault.write(make_token(generation=2))
    finally:
        os.umask(old)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}


def test_the_copy_before_is_kept(vault):
    vault.write(make_token(generation=2, access_token="a-second"))
    assert json.loads(vault.previous.read_text())["access_token"] == "a-first"
    assert vault.read().access_token == "a-second"


@pytest.mark.parametrize("cut", [0, 1, 40, -2])
def test_a_truncated_file_is_4_and_nothing_is_lost(vault, cut):
    vault.write(make_token(generation=2))
    vault.path.write_bytes(vault.path.read_bytes()[:cut])
    with pytest.raises(Damaged) as raised:
        vault.read()
    assert raised.value.code == 4
    assert raised.value.hint == "tradekit refresh-token schwab --login paste"
    assert str(vault.previous) in raised.value.message
    assert "a-first" in vault.previous.read_text()


@pytest.mark.parametrize(
    "text", ["r-a-bare-token-that-was-echoed-in", "[]", "null", "{}", '{"access_token": 7}', "\x00\xff"]
)
def test_what_is_no_token_is_never_read_as_one(vault, text):
    vault.path.write_text(text)
    with pytest.raises(Damaged) as raised:
        vault.read()
    assert text not in raised.value.message


def test_no_file_says_how_to_log_in(state):
    with pytest.raises(Missing, match="no token yet"):
        Vault(state, "schwab", CLIENT).read()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(vault, mode):
    vault.path.chmod(mode)
    with pytest.raises(AuthError, match="others can read it") as raised:
        vault.read()
    assert raised.value.hint == f"chmod 600 {vault.path}"


def test_a_link_is_refused(vault, tmp_path):
    target = tmp_path / "elsewhere.json"
    vault.path.rename(target)
    vault.path.symlink_to(target)
    with pytest.raises(AuthError, match="a link"):
        vault.read()


def test_a_linked_folder_is_refused(vault, state, tmp_path):
    state.rename(tmp_path / "elsewhere")
    state.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuthError, match="not a folder of its own"):
        vault.read()
    with pytest.raises(AuthError), vault.lock(0, "test"):
        pass


def test_a_folder_that_others_can_write_is_refused(vault, state):
    state.chmod(0o777)
    with pytest.raises(AuthError, match="others may write into it"):
        vault.read()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(vault):
    os.chown(vault.path, 12345, 12345)
    with pytest.raises(AuthError, match="belongs to somebody else"):
        vault.read()


def test_a_pipe_in_its_place_does_not_hang(vault):
    vault.path.unlink()
    os.mkfifo(vault.path, 0o600)
    with pytest.raises(AuthError, match="no plain file"):
        vault.read()


def test_another_client_ids_file_is_refused(vault):
    vault.write(make_token(client_id="another"))
    with pytest.raises(Damaged, match="another client id"):
        vault.read()


def test_a_planted_link_at_the_temporary_name_is_not_followed(vault, tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    vault.path.with_suffix(".next").symlink_to(target)
    with pytest.raises(StoreError):
        vault.write(make_token(generation=2))
    assert target.read_text() == "precious"


def test_a_full_disk_is_noticed_before_the_request(vault, monkeypatch):
    import tradekit.tokens.vault as module

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fchmod", lambda fd, mode: full(fd))
    with pytest.raises(StoreError, match="No space left"):
        vault.prepare()
    assert vault.read().access_token == "a-first"


def test_a_write_that_was_killed_is_finished(vault):
    second = make_token(generation=2, access_token="a-second")
    other = Vault(vault.folder.parent / "spare", "schwab", CLIENT)
    other.write(second)
    other.path.rename(vault.path.with_suffix(".next"))
    assert vault.recover().access_token == "a-second"
    assert vault.read().generation == 2
    assert vault.recover() is None


@pytest.mark.parametrize("left", ["", "   ", '{"provider": "schw'])
def test_half_a_write_is_thrown_away(vault, left):
    spare = vault.path.with_suffix(".next")
    spare.write_text(left)
    spare.chmod(0o600)
    assert vault.recover() is None
    assert not spare.exists()
    assert vault.read().generation == 1


def test_a_token_does_not_show_itself():
    assert "a-first" not in f"{make_token()} {make_token()!r}"
