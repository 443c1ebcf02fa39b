"""`token watch-file` and schwab-py: two programs, one client id, a week."""

import json
import logging
import os
import shutil
import stat
import subprocess
import threading
import warnings
from datetime import timedelta

import pytest
import time_machine

from tests.tokens.conftest import CLIENT, SECRET, START, desk_yaml, log_in
from tradekit.clock import SystemClock, iso
from tradekit.errors import ConfigError
from tradekit.tokens.formats import parse
from tradekit.tokens.serve import TokenServer, serve_secret
from tradekit.tokens.watch import Watched


@pytest.fixture
def bot(provide, own):
    found = own(provide("schwab", one_use=True))
    log_in(found.owner, found.idp)
    return found


def test_the_file_follows_the_vault(bot, clock, tmp_path):
    path = tmp_path / "token.json"
    watched = Watched(bot.owner, path, None, 420)
    assert watched.look()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text())
    assert found["creation_timestamp"] == int(START.timestamp())  # schwab-py's layout: the login, not the refresh
    assert found["token"]["access_token"] == bot.owner.vault.read().access_token
    assert found["token"]["expires_at"] == int(START.timestamp()) + 1800
    assert not watched.look()
    clock.sleep(1800 - 419)
    assert watched.look()  # sooner than 25 minutes: schwab-py itself refreshes 5 minutes before the end
    assert bot.owner.vault.read().generation == 2


@pytest.mark.parametrize("layout", ["schwab-py", "plain", "expiry"])
def test_every_layout_comes_back(bot, tmp_path, layout):
    path = tmp_path / "token.json"
    Watched(bot.owner, path, layout, 420).look()
    token, stored = parse(path.read_bytes(), "schwab", CLIENT), bot.owner.vault.read()
    assert (token.access_token, token.refresh_token) == (stored.access_token, stored.refresh_token)
    assert Watched(bot.owner, path, None, 420).layout == layout


def test_another_programs_refresh_is_taken_over_with_a_warning(bot, clock, tmp_path):
    """A bot refreshed by itself and wrote its file: with tokens that work once, ours is dead from then on."""
    path = tmp_path / "token.json"
    watched = Watched(bot.owner, path, None, 420)
    watched.look()
    clock.sleep(60)
    stored = bot.owner.vault.read()
    grant = bot.owner._open_client().refresh(stored.refresh_token)
    tree = json.loads(path.read_text())
    tree["token"] |= {"access_token": grant.access_token, "refresh_token": grant.refresh_token,
                      "expires_at": int(clock.now().timestamp()) + 1800}  # fmt: skip
    path.write_text(json.dumps(tree))
    watched.look()
    taken = bot.owner.vault.read()
    assert (taken.access_token, taken.via, taken.generation) == (grant.access_token, "outside", 2)
    assert [kind for kind, _ in bot.alerts] == ["token-outside"]
    clock.sleep(1700)
    watched.look()
    assert bot.owner.vault.read().generation == 3
    assert bot.idp.counts["reuses"] == 0


def test_an_access_token_alone_does_not_take_the_login_s_place(bot, clock, tmp_path, caplog):
    """Such a file was never put right again, and each look told that it was taken over."""
    path = tmp_path / "token.json"
    watched = Watched(bot.owner, path, None, 420)
    watched.look()
    clock.sleep(60)
    mine = path.read_text()
    tree = json.loads(mine)
    tree["token"] |= {"access_token": "from-elsewhere", "expires_at": int(clock.now().timestamp()) + 1800}
    del tree["token"]["refresh_token"]
    path.write_text(json.dumps(tree))
    assert watched.look(patient=True)
    assert path.read_text() == mine
    assert (bot.owner.vault.read().generation, bot.alerts) == (1, [])
    assert "no refresh token" in caplog.text


def test_a_program_that_writes_into_the_vault_itself_is_noticed(bot, clock):
    clock.sleep(60)
    stored = bot.owner.vault.read()
    grant = bot.owner._open_client().refresh(stored.refresh_token)
    bot.owner.vault.path.write_text(
        json.dumps({"creation_timestamp": int(START.timestamp()), "token": {
            "access_token": grant.access_token, "refresh_token": grant.refresh_token, "expires_in": 1800,
            "expires_at": int(clock.now().timestamp()) + 1800}})
    )  # fmt: skip
    assert bot.owner.ensure().token.access_token == grant.access_token
    assert "another program wrote into" in bot.alerts[0][1]
    assert bot.owner.vault.read().via == "outside"
    clock.sleep(1700)
    assert bot.owner.ensure().did == "refreshed"


def test_rubbish_in_the_file_is_written_over(bot, tmp_path, caplog):
    path = tmp_path / "token.json"
    watched = Watched(bot.owner, path, None, 420)
    watched.look()
    path.write_text('{"token":')
    assert watched.look()
    assert "is written again" in caplog.text
    assert json.loads(path.read_text())["token"]["access_token"]


def test_a_loose_or_linked_file_is_refused(bot, tmp_path):
    path = tmp_path / "token.json"
    path.write_text("{}")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it"):
        Watched(bot.owner, path, None, 420)
    link = tmp_path / "link.json"
    path.chmod(0o600)
    link.symlink_to(path)
    with pytest.raises(ConfigError):
        Watched(bot.owner, link, None, 420)


def test_once_for_cron_and_a_second_copy_is_refused(line, new_desk, provide, own, clock, tmp_path):
    from tradekit.base.locks import Lock

    server = provide("schwab")
    desk = new_desk()
    desk_yaml(desk, server)
    found = own(server)
    log_in(found.owner, found.idp)
    path = tmp_path / "token.json"
    env = {"TRADEKIT_CLOCK": iso(clock.now())}
    assert line("-C", desk, "token", "watch-file", path, "--once", env=env).returncode == 0
    assert json.loads(path.read_text())["token"]
    with Lock(path.with_name(".token.json.tradekit-lock")):
        assert line("-C", desk, "token", "watch-file", path, "--once", env=env).returncode == 8


@pytest.mark.slow
def test_schwab_py_lives_a_week_beside_our_commands(line, new_desk, provide, own, tmp_path, monkeypatch):
    """Two programs, one client id: a bot on schwab-py that reads the file we keep fresh, and our own commands.

    Refresh tokens work once here, so that a single refresh by the bot itself would end the login.
    """
    with warnings.catch_warnings(record=True):
        schwab_auth = pytest.importorskip("schwab.auth", reason="schwab-py is not installed")
    logging.getLogger("schwab").setLevel(logging.CRITICAL)
    with (
        time_machine.travel(START, tick=False) as traveller,
        warnings.catch_warnings(record=True),
    ):  # authlib would like another httpx
        server = provide("schwab", at=SystemClock(), one_use=True)
        monkeypatch.setattr(os, "fsync", lambda fd: None)  # a thousand refreshes; what a power cut leaves is not asked
        monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        monkeypatch.setattr(schwab_auth, "TOKEN_ENDPOINT", server.token_url)
        desk, path = new_desk(), tmp_path / "schwab.json"
        desk_yaml(desk, server)
        ours = own(server, at=SystemClock())
        log_in(ours.owner, ours.idp)
        watched = Watched(ours.owner, path, None, 720)  # more than a step
        calls = 0
        for step in range(7 * 24 * 6 - 1):  # every ten minutes, until ten minutes before the login ends
            watched.look()  # `token watch-file` runs all the time
            if step % 12 == 3:  # a cron job of ours, some of them by force
                force = ["--force"] if step % 24 == 3 else []
                done = line("-C", desk, "refresh-token", "--all", *force)
                assert done.returncode == 0, done.stderr
                watched.look()
            if step % 24 == 6:  # the bot starts again and again, as cron bots do
                client = schwab_auth.client_from_token_file(str(path), CLIENT, SECRET)
                answer = client.session.get(f"{server.url}/trader/v1/accounts/accountNumbers")
                assert answer.status_code == 200
                client.session.close()
                token = line("-C", desk, "token", "print").stdout.strip()
                assert ours.idp.lets_in(f"Bearer {token}")
                calls += 2
            traveller.shift(timedelta(minutes=10))
        assert calls == 2 * 42
        assert (ours.idp.counts["api_401"], ours.idp.counts["reuses"], ours.idp.counts["refused"]) == (0, 0, 0)
        assert ours.idp.counts["refreshes"] == ours.owner.vault.read().generation - 1  # schwab-py never did it itself
        assert not [text for kind, text in ours.alerts if kind == "token-outside"]
        traveller.shift(timedelta(minutes=10))
        assert line("-C", desk, "refresh-token").returncode == 4  # and after seven days a person is needed


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_lives_a_week_through_token_serve(line, new_desk, provide, own, state, monkeypatch):
    """The same week for a program that knows HTTP only: curl asks `token serve`, our commands refresh beside it."""
    with time_machine.travel(START, tick=False) as traveller:
        server = provide("schwab", at=SystemClock(), one_use=True)
        monkeypatch.setattr(os, "fsync", lambda fd: None)
        desk = new_desk()
        desk_yaml(desk, server)
        ours = own(server, at=SystemClock())
        log_in(ours.owner, ours.idp)
        _, secret = serve_secret(state)
        tokens = TokenServer({"schwab": ours.owner}, secret, 0)
        thread = threading.Thread(target=tokens.run, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{tokens.server_address[1]}/auth/token/schwab"
        try:
            for step in range(7 * 24 - 1):  # every hour: the access token has always run out
                if step % 4 == 1:
                    assert (
                        line("-C", desk, "refresh-token", "--all", *(["--force"] if step % 8 == 1 else [])).returncode
                        == 0
                    )
                if step % 4 == 2:
                    command = ["curl", "-sS", "--fail", "-H", f"Authorization: Bearer {secret}", url]
                    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
                    assert done.returncode == 0, done.stderr
                    assert ours.idp.lets_in(f"Bearer {json.loads(done.stdout)['access_token']}")
                traveller.shift(timedelta(hours=1))
        finally:
            tokens.stop()
            thread.join(5)
        assert (ours.idp.counts["api_401"], ours.idp.counts["reuses"], ours.idp.counts["refused"]) == (0, 0, 0)
