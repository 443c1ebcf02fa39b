"""Canary secrets go through everything; then all outputs and files are searched for them in every disguise."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.conftest import ROOT
from tests.tokens.conftest import CALLBACK, CLIENT, log_in, put_providers
from tests.tokens.test_login import through_the_pages
from tradekit.clock import SystemClock
from tradekit.sim.oauth import IdentityProvider

SECRET = "canary/client+secret=value-0123456789"
PASSWORD = "canary-password-9876543210"


def disguises(value):
    """Plain, base64, URL-encoded, reversed halves, reversed."""
    half = len(value) // 2
    forms = {value, value[::-1], quote(value, safe=""), value[half:] + value[:half]}
    forms |= {value[:half][::-1] + value[half:][::-1], b64encode(value.encode()).decode().rstrip("=")}
    return forms


@pytest.fixture
def canaries(monkeypatch):
    """Every access and refresh token and every code that the provider gives out."""
    given = {SECRET, PASSWORD}
    real_answer, real_callback = IdentityProvider._answer, IdentityProvider._callback

    def answer(self, family, scope, *, bare=False):
        reply = real_answer(self, family, scope, bare=bare)
        found = json.loads(reply.body)
        given.update(found[key] for key in ("access_token", "refresh_token") if key in found)
        return reply

    def callback(self, params):
        url = real_callback(self, params)
        given.add(url.partition("code=")[2].partition("&")[0].removesuffix("%40"))
        return url

    monkeypatch.setattr(IdentityProvider, "_answer", answer)
    monkeypatch.setattr(IdentityProvider, "_callback", callback)
    return given


@pytest.mark.slow
def test_no_secret_leaves(new_desk, provide, own, canaries, tmp_path, monkeypatch, state):
    server = provide("schwab", at=SystemClock(), access_s=1800)
    server.provider.clients[CLIENT] = SECRET
    monkeypatch.setenv("TRADEKIT_SECRET_SCHWAB_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("TRADEKIT_SECRET_SIM_PASSWORD", PASSWORD)
    desk = new_desk()
    put_providers(
        desk,
        f"providers:\n  schwab:\n    client_id: {CLIENT}\n    authorize_url: {server.authorize_url}\n"
        f"    token_url: {server.token_url}\n    redirect_uri: {CALLBACK}\n    pkce: true\n",
    )
    said, lines = [], []

    def tradekit(*words, stdin=None, env=None):
        process = subprocess.Popen(
            [sys.executable, "-m", "tradekit", "-C", str(desk), *words], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        )  # fmt: skip
        shown = ""
        while stdin:
            text = process.stderr.readline()
            shown += text
            if text.startswith("http") or not text:
                stdin = through_the_pages(text.strip())
                break
        lines.append(Path(f"/proc/{process.pid}/cmdline").read_bytes().decode("utf-8", "replace"))  # what ps shows
        out, err = process.communicate(stdin, timeout=60)
        said.append(out + shown + err)
        return process.returncode

    assert tradekit("-v", "refresh-token", "schwab", "--login", "paste", stdin=True) == 0
    assert tradekit("-v", "refresh-token", "schwab", "--force", "--json") == 0
    assert tradekit("-v", "token", "status") == 0
    for kinds in (("lost", "html", "error"), ("garbled", "busy", "lost")):
        server.provider.script(*({"kind": kind, "seconds": 0} for kind in kinds))
        assert tradekit("-v", "refresh-token", "--force", "--json") == 5
    vault = own(server, at=SystemClock()).owner.vault
    text = vault.path.read_text()
    vault.path.write_text(text[: len(text) // 2])
    assert tradekit("-v", "refresh-token") == 4
    vault.path.write_text(text)
    watched = tmp_path / "spare" / "watched.json"
    watched.parent.mkdir()
    assert tradekit("-v", "token", "watch-file", str(watched), "--once") == 0
    assert tradekit("-v", "token", "import", str(watched)) == 0
    server.provider.log_in(CLIENT)
    assert tradekit("-v", "refresh-token", "--force") == 4
    assert tradekit("-v", "doctor") in (0, 7)
    assert tradekit("-v", "status") == 0
    assert tradekit("config", "show", "--origin") == 0
    assert tradekit("events", "--json") == 0
    breaking = "import tradekit.tokens.coordinator as c\nc.Coordinator._refresh = lambda self, token, **_: 1 / 0\n"
    bug = f"import sys; sys.path.insert(0, {str(ROOT)!r}); exec({breaking!r})\n"
    bug += "from tradekit.cli import main\nmain(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", bug, "-C", str(desk), "-v", "refresh-token", "--force"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1  # a bug in the middle of a refresh: its traceback is searched too
    said.append(done.stdout + done.stderr)
    assert len(canaries) > 8
    assert any(value in vault.path.read_text() for value in canaries)  # the search finds them where they may be

    shutil.rmtree(watched.parent)  # the one file that is meant to hold tokens, as is the vault
    places = [*said, *lines]
    for path in [*desk.rglob("*"), *(p for p in state.parent.rglob("*") if p.parent != state)]:
        if path.is_file():
            places.append(path.read_bytes().decode("latin-1"))
    for value in canaries:
        for form in disguises(value):
            for place in places:
                assert form not in place, f"a secret in {place[:300]!r}"
    assert {p.suffix for p in state.iterdir()} <= {".json", ".lock", ".next"}


def test_errors_do_not_show_a_token(provide, own, clock):
    """repr, str and tracebacks of everything that holds one."""
    import traceback

    bot = own(provide("schwab"))
    log_in(bot.owner, bot.idp)
    token = bot.owner.vault.read()
    clock.sleep(1600)
    bot.idp.log_in(CLIENT)
    try:
        bot.owner.ensure(strict=True)
    except Exception as error:
        text = "".join(traceback.format_exception(error)) + repr(error)
    for holder in (token, bot.owner, bot.owner.vault, bot.owner.provider, bot.owner._open_client()):
        text += repr(holder) + str(holder)
    assert token.access_token not in text
    assert token.refresh_token not in text


def test_without_a_keyring_the_file_is_used_and_nobody_is_asked(run, new_desk, provide, own, tmp_path, monkeypatch):
    """Cron on a server: no D-Bus, no terminal. The 0600 file gives the client secret; -v says so."""
    from tests.tokens.conftest import desk_yaml

    server = provide("schwab", at=SystemClock())
    desk = new_desk()
    desk_yaml(desk, server)
    bot = own(server, at=SystemClock())
    log_in(bot.owner, bot.idp)
    monkeypatch.delenv("TRADEKIT_SECRET_SCHWAB_CLIENT_SECRET")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    none = run("-C", desk, "refresh-token", "--force")
    assert none.returncode == 4
    assert "TRADEKIT_SECRET_SCHWAB_CLIENT_SECRET" in none.stderr
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "tradekit" / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schwab-client-secret").write_text("sim-client-secret\n")
    (folder / "schwab-client-secret").chmod(0o600)
    done = run("-C", desk, "refresh-token", "--force")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "no keyring has schwab-client-secret: the 0600 file is used\n"
    assert run("-C", desk, "-q", "refresh-token", "--force").stderr == ""
    (folder / "schwab-client-secret").chmod(0o644)
    assert run("-C", desk, "refresh-token", "--force").returncode == 2
    (folder / "schwab-client-secret").unlink()
