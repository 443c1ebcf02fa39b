"""Logging in: the callback pasted, caught, or reached by a headless browser."""

import re
import shutil
import socket
import ssl
import threading
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import pytest

from tests.tokens.conftest import SECRET
from tradekit.clock import SystemClock
from tradekit.errors import AuthError, ConfigError, UpstreamError
from tradekit.tokens import browser, login


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def through_the_pages(url, *, code=None, password="correct-horse-battery"):
    """What a person does in a browser, by HTTP: the address it ends at."""
    opener = build_opener(_Stay())
    page = opener.open(url, timeout=10).read().decode()
    origin = re.match(r"https?://[^/]+", url)[0]
    answers = {"login": "trader", "password": password, "code": code or "246810", "terms": "on"}
    for _ in range(5):
        action = re.search(r'action="([^"]+)"', page)[1]
        field = re.search(r'<input id="(\w+)"', page)[1]
        try:
            body = urlencode({field: answers[field]}).encode()
            page = opener.open(Request(origin + action, data=body), timeout=10).read().decode()
        except HTTPError as found:
            assert found.code == 302
            return found.headers["Location"]
    raise AssertionError("the pages do not end")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def site(provide, own):
    def make(**also):
        rules = also.pop("rules", {})
        server = provide("schwab", at=SystemClock(), **rules)
        found = own(server, at=SystemClock(), **also)
        return found

    return make


def pasting(owner, change=lambda url: url):
    """A `read` that logs in at the address that was shown."""
    shown = []
    real = login.begin

    def begin(provider):
        shown.append(real(provider))
        return shown[-1]

    return begin, lambda: change(through_the_pages(shown[-1].url)) + "\n"


def test_paste(site, monkeypatch):
    bot = site(pkce=True)
    begin, read = pasting(bot.owner)
    monkeypatch.setattr(login, "begin", begin)
    token = login.paste(bot.owner, read)
    assert (token.generation, token.via) == (1, "login")
    assert bot.owner.ensure().did == "fresh"


@pytest.mark.parametrize(("change", "said"), [
    (lambda url: url.replace("state=", "state=x"), "belongs to another login"),
    (lambda url: url.replace("8182", "8183"), "not the callback"),
    (lambda url: url.split("?")[0] + "?error=access_denied", "ended with access_denied"),
    (lambda url: re.sub(r"code=[^&]+&", "", url), "no code"),
    (lambda url: "", "nothing was pasted"),
])  # fmt: skip
def test_a_callback_that_is_not_ours_is_refused(site, monkeypatch, change, said):
    bot = site()
    begin, read = pasting(bot.owner, change)
    monkeypatch.setattr(login, "begin", begin)
    with pytest.raises(AuthError, match=said):
        login.paste(bot.owner, read)


def test_a_code_works_once(site, monkeypatch):
    bot = site()
    begin, read = pasting(bot.owner)
    monkeypatch.setattr(login, "begin", begin)
    kept = []
    login.paste(bot.owner, lambda: kept.append(read()) or kept[-1])
    again = login.code_from(
        kept[0], SimpleNamespace(state=re.search(r"state=([^&\s]+)", kept[0])[1]), bot.owner.provider
    )
    with pytest.raises(AuthError, match="used up or too old"):
        bot.owner.log_in(again, None)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_listen(site, capsys, scheme):
    if scheme == "https" and not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate, and it is not installed")
    port = free_port()
    owner = site(redirect_uri=f"{scheme}://127.0.0.1:{port}/cb").owner
    found, errors = [], []

    def wait():
        try:
            found.append(login.listen(owner, wait_s=20))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    url = None
    for _ in range(400):
        match = re.search(r"^http\S+", capsys.readouterr().err, re.M)
        url = url or (match and match[0])
        if url or errors:
            break
        threading.Event().wait(0.05)
    assert url, errors
    callback = through_the_pages(url)
    trusting = ssl._create_unverified_context()
    opener = build_opener(HTTPSHandler(context=trusting))
    with pytest.raises(HTTPError):
        opener.open(callback.split("?")[0].replace("/cb", "/favicon.ico"), timeout=10)  # not this one
    assert b"close this page" in opener.open(callback, timeout=10).read()
    thread.join(20)
    assert not errors
    assert found[0].via == "login"


def test_listen_gives_up(site):
    owner = site(redirect_uri=f"http://127.0.0.1:{free_port()}/cb").owner
    with pytest.raises(AuthError, match="nobody logged in"):
        login.listen(owner, wait_s=0.2)


def test_listen_needs_a_callback_on_this_machine(site):
    with pytest.raises(ConfigError, match="not on this machine"):
        login.listen(site(redirect_uri="https://example.com/cb").owner)


# the browser


@pytest.fixture
def headless(site, monkeypatch, tmp_path):
    pytest.importorskip("playwright", reason="playwright is not installed: pip install 'tradekit[login]'")
    if not any(shutil.which(name) for name in browser.BROWSERS):
        pytest.skip("no chromium here: apt install chromium")
    from pathlib import Path

    steps = Path(browser.__file__).parent / "logins" / "sim.yaml"
    monkeypatch.setenv("TRADEKIT_SECRET_SIM_LOGIN", "trader")
    monkeypatch.setenv("TRADEKIT_SECRET_SIM_PASSWORD", "correct-horse-battery")

    def make(**also):
        bot = site(login_steps=str(steps), **also)
        return bot, tmp_path

    return make


def log_in(bot, folder):
    import os

    return browser.log_in(bot.owner, folder, os.environ)


@pytest.mark.parametrize("callback", ["https://127.0.0.1:8182/cb", "https://127.0.0.1", "http://127.0.0.1:9/cb"])
def test_headless(headless, callback, capsys):
    bot, folder = headless(redirect_uri=callback, pkce=True)
    token = log_in(bot, folder)
    assert (token.via, bot.idp.counts["logins"]) == ("login", 1)
    err = capsys.readouterr().err
    assert "may lock your account" in err
    assert "correct-horse" not in err


def test_a_wrong_password_is_not_tried_again(headless, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SECRET_SIM_PASSWORD", "not-the-password")
    bot, folder = headless()
    with pytest.raises(AuthError, match="rejected; it is not tried again"):
        log_in(bot, folder)
    assert bot.idp.counts["wrong_passwords"] == 1
    with pytest.raises(AuthError, match="rejected 0 minutes ago"):
        log_in(bot, folder)
    assert bot.idp.counts["wrong_passwords"] == 1


def test_a_second_factor_needs_a_person(headless):
    bot, folder = headless(rules={"second_factor": True})
    with pytest.raises(AuthError, match="second factor: a person is needed"):
        log_in(bot, folder)
    assert bot.idp.counts["logins"] == 0


def test_pages_that_changed_are_said_by_their_title(headless, tmp_path):
    steps = tmp_path / "steps.yaml"
    steps.write_text('deadline_s: 2\nsteps:\n  - {on: ["#gone"], fill: sim-login, click: ["#next"]}\n')
    bot, folder = headless()
    from msgspec.structs import replace

    bot.owner.provider = replace(bot.owner.provider, login_steps=str(steps))
    with pytest.raises(UpstreamError, match="do not fit the page 'Log in: user'"):
        log_in(bot, folder)


def test_steps_that_are_none_are_refused(site, tmp_path):
    steps = tmp_path / "steps.yaml"
    steps.write_text("steps:\n  - {on: ['#a'], fil: sim-login}\n")
    bot = site(login_steps=str(steps))
    with pytest.raises(ConfigError, match="fil"):
        browser.read_recipe(bot.owner, tmp_path)


@pytest.mark.parametrize("name", ["schwab", "tradestation", "sim"])
def test_the_steps_that_come_along_can_be_read(site, tmp_path, name):
    from pathlib import Path

    steps = Path(browser.__file__).parent / "logins" / f"{name}.yaml"
    recipe = browser.read_recipe(site(login_steps=str(steps)).owner, tmp_path)
    assert recipe.second_factor and recipe.rejected
    assert [step.fill for step in recipe.steps if step.fill] == [f"{name}-login", f"{name}-password"]


def test_settings_are_what_the_page_is_asked_with(site):
    bot = site(pkce=True)
    url = login.begin(bot.owner.provider).url
    assert "code_challenge_method=S256" in url
    assert SECRET not in url
