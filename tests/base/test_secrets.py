"""Where secrets come from, in which order, and what is refused."""

import pytest

from tradekit.base import secrets
from tradekit.base.logs import redact
from tradekit.base.secrets import find_secret, from_keyring, secret, variable_of
from tradekit.errors import AuthError, ConfigError, UsageError


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Every place has the secret `api-key`; the test takes away what it wants."""
    monkeypatch.setattr(secrets, "from_keyring", lambda name: "from-the-keyring")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "api-key").write_text("from-systemd\n")
    folder = tmp_path / "config" / "tradekit" / "secrets"
    folder.mkdir(parents=True)
    (folder / "api-key").write_text("from-the-file\n")
    (folder / "api-key").chmod(0o600)
    return {
        "TRADEKIT_SECRET_API_KEY": "from-the-environment",
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }


def test_the_order(places, monkeypatch):
    assert secret("api-key", places).value == "from-the-environment"
    del places["TRADEKIT_SECRET_API_KEY"]
    assert secret("api-key", places)[1:] == ("from-systemd", "credentials")
    del places["CREDENTIALS_DIRECTORY"]
    assert secret("api-key", places)[1:] == ("from-the-keyring", "keyring")
    monkeypatch.setattr(secrets, "from_keyring", lambda name: None)
    assert secret("api-key", places)[1:] == ("from-the-file", "file")


def test_nobody_has_it(places, monkeypatch):
    monkeypatch.setattr(secrets, "from_keyring", lambda name: None)
    assert find_secret("other", places) is None
    with pytest.raises(AuthError, match="no secret other") as caught:
        secret("other", places)
    assert "TRADEKIT_SECRET_OTHER" in caught.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_file_that_others_can_read_is_refused(places, mode, monkeypatch, tmp_path):
    monkeypatch.setattr(secrets, "from_keyring", lambda name: None)
    (tmp_path / "config" / "tradekit" / "secrets" / "api-key").chmod(mode)
    with pytest.raises(ConfigError, match="others can read it"):
        secret("api-key", {"XDG_CONFIG_HOME": places["XDG_CONFIG_HOME"]})


def test_a_link_is_refused(places, monkeypatch, tmp_path):
    monkeypatch.setattr(secrets, "from_keyring", lambda name: None)
    folder = tmp_path / "config" / "tradekit" / "secrets"
    (folder / "link").symlink_to(folder / "api-key")
    with pytest.raises(ConfigError):
        secret("link", {"XDG_CONFIG_HOME": places["XDG_CONFIG_HOME"]})


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b"])
def test_a_name_is_no_path(name):
    with pytest.raises(UsageError):
        find_secret(name, {})


def test_what_is_handed_out_is_masked_and_never_printed(places):
    found = secret("api-key", places)
    assert "from-the-environment" not in f"{found} {found!r}"
    assert redact("x from-the-environment y") == "x *** y"


@pytest.mark.parametrize(("program", "value"), [
    ("import sys; sys.stdout.write('s3cret')", "s3cret"),
    ("import sys; sys.exit(3)", None),
    ("import sys; sys.exit(4)", None),
    ("raise ImportError", None),
    ("import time; time.sleep(60)", None),
])  # fmt: skip
def test_a_keyring_answers_has_nothing_breaks_or_hangs(program, value):
    assert from_keyring("x", deadline_s=0.5, program=program) == value


def test_a_file_of_the_folder_we_stand_in_is_no_keyring(monkeypatch, tmp_path):
    """Somebody's desk with a keyring.py in it is not asked for secrets, and is not told any."""
    (tmp_path / "keyring.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert from_keyring("alpaca-key") is None
    secrets._into_keyring("alpaca-key", "hidden")
    assert not (tmp_path / "ran").exists()


def test_variables():
    assert variable_of("alpaca.key-id") == "TRADEKIT_SECRET_ALPACA_KEY_ID"
