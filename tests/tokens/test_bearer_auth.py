"""The 401 path: one coordinated refresh, one retry for reads; a submit is never sent again by it."""

import httpx
import pytest

from tests.tokens.conftest import log_in
from tradekit.base.net import Http, bearer_auth
from tradekit.errors import AmbiguousSend, AuthError
from tradekit.tokens.coordinator import Bearer


@pytest.fixture
def bot(provide, own):
    server = provide("schwab")
    found = own(server)
    log_in(found.owner, found.idp)
    found.url = server.url
    return found


@pytest.fixture
def client(bot):
    with httpx.Client(base_url=bot.url, auth=bearer_auth(Bearer(bot.owner)), trust_env=False) as found:
        yield found


def test_a_read_is_repeated_once_with_the_new_token(bot, client):
    bot.idp.drop_access()
    assert client.get("/trader/v1/accounts").status_code == 200
    assert (bot.idp.counts["refreshes"], bot.idp.counts["api_401"]) == (1, 1)


def test_a_submit_is_never_sent_again(bot, client):
    bot.idp.drop_access()
    assert client.post("/trader/v1/orders", json={"symbol": "AAPL"}).status_code == 401
    assert bot.idp.counts["submits"] == 1
    assert bot.idp.counts["refreshes"] == 1  # the next call finds a fresh one
    assert client.post("/trader/v1/orders", json={"symbol": "AAPL"}).status_code == 200


def test_a_second_401_is_the_answer(bot, client, monkeypatch):
    monkeypatch.setattr(bot.idp, "lets_in", lambda authorization: False)
    assert client.get("/trader/v1/accounts").status_code == 401
    assert bot.idp.counts["refreshes"] == 1


def test_our_own_http_takes_the_same_token(bot):
    http = Http(bot.url, name="schwab", token=Bearer(bot.owner))
    bot.idp.drop_access()
    assert http.get("/trader/v1/accounts").status == 200
    bot.idp.drop_access()
    with pytest.raises(AmbiguousSend):
        http.send("POST", "/trader/v1/orders", {"symbol": "AAPL"})
    assert bot.idp.counts["submits"] == 1
    http.close()


def test_a_dead_login_is_4(bot, client, clock):
    clock.sleep(1900)
    bot.idp.log_in("sim-client-id")
    with pytest.raises(AuthError):
        client.get("/trader/v1/accounts")
