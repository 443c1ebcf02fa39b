"""`token serve`: who may ask, what they get, and that it refreshes meanwhile."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from tests.conftest import ROOT
from tests.tokens.conftest import desk_yaml, log_in
from tradekit.clock import SystemClock
from tradekit.errors import ConfigError
from tradekit.tokens.serve import TokenServer, serve_secret


@pytest.fixture
def served(provide, own, state):
    """A server in a thread over a Schwab login; `ask(method, path, **headers)` -> (status, JSON)."""
    import threading
    from types import SimpleNamespace

    bot = own(provide("schwab"))
    log_in(bot.owner, bot.idp)
    path, secret = serve_secret(state)
    server = TokenServer({"schwab": bot.owner}, secret, 0)
    thread = threading.Thread(target=server.run, args=(0.05,))
    thread.start()

    def ask(method, path, body="", secret=secret, **headers):
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            sent["Authorization"] = f"Bearer {secret}"
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found

    yield SimpleNamespace(ask=ask, secret=secret, path=path, server=server, **vars(bot))
    server.stop()
    thread.join(5)


def test_a_token(served):
    status, found = served.ask("GET", "/auth/token/schwab")
    assert status == 200
    assert found["access_token"] == served.owner.vault.read().access_token
    assert (found["expires_in"], found["generation"], found["did"]) == (1800, 1, "fresh")


@pytest.mark.parametrize("secret", [None, "", "wrong", "tradekit", "é"])
def test_without_the_secret_it_is_401(served, secret):
    for method, path in (("GET", "/auth/token/schwab"), ("POST", "/auth/refresh/schwab"), ("GET", "/auth/token/none")):
        status, found = served.ask(method, path, secret=secret and secret.encode().decode("latin-1"))
        assert status == 401
        assert "a-" not in json.dumps(found)


def test_the_secret_is_compared_in_constant_time():
    import inspect

    from tradekit.tokens import serve

    assert "hmac.compare_digest(given" in inspect.getsource(serve._Handler._knows_secret)


def test_the_secret_is_made_at_the_first_start_private_and_never_a_default(state):
    path, first = serve_secret(state)
    assert serve_secret(state)[1] == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(first) >= 40
    path.unlink()
    assert serve_secret(state)[1] != first
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read it"):
        serve_secret(state)


@pytest.mark.parametrize("headers", [
    {"Host": "evil.example"}, {"Host": "evil.example:8787"}, {"Host": ""},
    {"Origin": "https://evil.example"}, {"Origin": "null"},
])  # fmt: skip
def test_pages_in_a_browser_may_not_ask(served, headers):
    assert served.ask("GET", "/auth/token/schwab", **headers)[0] == 403
    assert served.ask("GET", "/health", **headers)[0] == 403


def test_health_and_metrics(served):
    assert served.ask("GET", "/health", secret=None) == (200, {"status": "ok", "providers": ["schwab"]})
    served.ask("POST", "/auth/refresh/schwab")
    metrics = served.ask("GET", "/health")[1]["metrics"]["schwab"]
    assert (metrics["refreshes"], metrics["failures"]) == (1, 0)


def test_a_401_refresh_names_the_generation_it_saw(served):
    first = served.ask("GET", "/auth/token/schwab")[1]
    second = served.ask("POST", "/auth/refresh/schwab", json.dumps({"generation": first["generation"]}))[1]
    assert (second["did"], second["generation"]) == ("refreshed", 2)
    third = served.ask("POST", "/auth/refresh/schwab", json.dumps({"generation": first["generation"]}))[1]
    assert (third["did"], third["access_token"]) == ("fresh", second["access_token"])
    assert served.idp.counts["refreshes"] == 1


def test_unknown_pages_and_long_bodies(served):
    assert served.ask("GET", "/auth/token/none")[0] == 404
    assert served.ask("GET", "/auth/token/../schwab")[0] == 404
    assert served.ask("POST", "/auth/refresh/schwab", "x" * 5000)[0] == 413


def test_a_dead_login_is_409_and_says_what_helps(served, clock):
    served.idp.log_in("sim-client-id")
    clock.sleep(1900)
    status, found = served.ask("GET", "/auth/token/schwab")
    assert status == 409
    assert "refresh-token schwab --login" in found["hint"]


def test_it_refreshes_while_it_runs(served, clock):
    clock.sleep(1600)
    for _ in range(100):
        if served.owner.vault.read().generation == 2:  # the provider counts before the answer is stored
            break
        SystemClock().sleep(0.05)
    assert (served.owner.vault.read().generation, served.idp.counts["refreshes"]) == (2, 1)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_plain_curl(new_desk, provide, own, state):
    """As docs/tokens.md says it: a process of ours, a shell of theirs."""
    server = provide("schwab", at=SystemClock())
    desk = new_desk()
    desk_yaml(desk, server)
    bot = own(server, at=SystemClock())
    log_in(bot.owner, bot.idp)
    process = subprocess.Popen(
        [sys.executable, "-m", "tradekit", "-C", str(desk), "token", "serve", "--port", "0"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        said = process.stderr.readline()
        base = re.search(r"http://\S+", said)[0]
        secret = (state / "serve.secret").read_text().strip()
        assert secret not in said

        def curl(*words):
            line = ["curl", "-sS", "--noproxy", "*", "--oauth2-bearer", secret, *words]
            return json.loads(subprocess.run(line, capture_output=True, text=True, check=True, timeout=20).stdout)

        token = curl(f"{base}/auth/token/schwab")["access_token"]
        fresh = curl("-X", "POST", f"{base}/auth/refresh/schwab")["access_token"]
        assert fresh != token
        api = curl("-H", f"Authorization: Bearer {fresh}", f"{server.url}/trader/v1/accounts/accountNumbers")
        assert api[0]["accountNumber"] == "12345678"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        process.stderr.close()
