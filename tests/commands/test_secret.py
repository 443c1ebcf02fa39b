"""secret set and secret list: the value goes in by stdin, into the keyring or a 0600 file, and is never seen again."""

import io
import json
import stat
from pathlib import Path

import pytest

from tradekit.base import secrets
from tradekit.base.secrets import secret

VALUE = "c4nary-s3cret-value"


@pytest.fixture
def typed(monkeypatch, line, tmp_path):
    """`typed(VALUE, "secret", "set", "x")`: a command line whose stdin has a value; no keyring works."""
    monkeypatch.setattr(secrets, "_into_keyring", lambda name, value: False)
    monkeypatch.setattr(secrets, "from_keyring", lambda name: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def call(value, *words):
        monkeypatch.setattr("sys.stdin", io.StringIO(value))
        return line(*words)

    return call


def folder(tmp_path) -> Path:
    return tmp_path / "config" / "tradekit" / "secrets"


def test_without_a_keyring_it_is_a_private_file_and_says_so(typed, tmp_path):
    done = typed(f"{VALUE}\n", "secret", "set", "schwab-client-secret")
    path = folder(tmp_path) / "schwab-client-secret"
    assert (done.returncode, done.stdout) == (0, "")
    assert str(path) in done.stderr and "no keyring works here" in done.stderr and VALUE not in done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert secret("schwab-client-secret")[1:] == (VALUE, "file")
    assert typed("another", "secret", "set", "schwab-client-secret").returncode == 0
    assert secret("schwab-client-secret").value == "another"
    assert [found.name for found in path.parent.iterdir()] == ["schwab-client-secret"]  # no half file is left


def test_the_keyring_comes_first_and_file_can_be_asked_for(typed, tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(secrets, "_into_keyring", lambda name, value: kept.update({name: value}) is None)
    monkeypatch.setattr(secrets, "from_keyring", kept.get)
    done = typed(VALUE, "secret", "set", "api-key")
    assert (done.returncode, kept, folder(tmp_path).exists()) == (0, {"api-key": VALUE}, False)
    assert "the keyring" in done.stderr and "--file" in done.stderr
    refused = typed("another", "secret", "set", "api-key", "--file")
    assert refused.returncode == 2 and "comes first" in refused.stderr  # it would never be read
    assert typed(VALUE, "secret", "set", "other", "--file").returncode == 0
    assert (folder(tmp_path) / "other").read_text() == VALUE


@pytest.mark.parametrize(("value", "words", "said"), [
    ("", ["x"], "empty secret"), ("\n", ["x"], "empty secret"), ("v", ["../x"], "no name for a secret"),
    ("v" * 20_000, ["x"], "16384"),
])  # fmt: skip
def test_what_is_no_secret_is_refused(typed, tmp_path, value, words, said):
    done = typed(value, "secret", "set", *words)
    assert (done.returncode, said in done.stderr) == (2, True)
    assert not folder(tmp_path).exists()


def test_a_variable_that_would_hide_it_is_named(typed, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SECRET_API_KEY", "from-the-environment")
    done = typed(VALUE, "secret", "set", "api-key")
    assert done.returncode == 2 and "TRADEKIT_SECRET_API_KEY is set" in done.stderr


def test_a_terminal_asks_twice_without_echo(typed, monkeypatch, line):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    answers = iter(["one", "two", VALUE, VALUE])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    monkeypatch.setattr("sys.stdin", Terminal())
    assert line("secret", "set", "x").returncode == 2
    assert line("secret", "set", "x").returncode == 0
    assert secret("x").value == VALUE


def test_the_list_has_names_and_places_and_no_value(typed, new_desk, line):
    desk = new_desk()
    text = (
        (desk / "desk.yaml")
        .read_text()
        .replace("  channels: {}", "  channels: {hook: {kind: webhook, secret: hook-url}}")
    )
    (desk / "desk.yaml").write_text(
        text.replace("broker: paper", "broker: http").replace("  secret: null", "  secret: api-key")
    )
    typed(VALUE, "secret", "set", "api-key")
    typed("old", "secret", "set", "unused")
    done = line("-C", desk, "secret", "list", "--json")
    assert (done.returncode, VALUE in done.stdout + done.stderr) == (7, False)
    assert json.loads(done.stdout) == [
        {"name": "api-key", "where": "file", "used_by": "http.secret"},
        {"name": "hook-url", "where": None, "used_by": "notify.channels.hook.secret"},
        {"name": "unused", "where": "file", "used_by": ""},
    ]
    assert "tradekit secret set hook-url" in done.stderr
    typed("https://example.org/x", "secret", "set", "hook-url")
    assert line("-C", desk, "secret", "list").returncode == 0


@pytest.mark.parametrize(("program", "kept"), [
    ("import sys; sys.exit(0 if sys.stdin.read() == 'v' and 'v' not in sys.argv else 1)", True),
    ("import sys; sys.exit(4)", False), ("import sys; sys.exit(5)", False), ("import time; time.sleep(60)", False),
])  # fmt: skip
def test_the_keyring_is_asked_in_a_child_with_a_deadline(program, kept):
    assert secrets._into_keyring("x", "v", deadline_s=5.0 if kept else 0.5, program=program) is kept
