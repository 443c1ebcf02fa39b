"""What error bodies mean, from the forms that have been seen; what desk.yaml may say."""

import json

import pytest

from tradekit.base.net import Answer
from tradekit.config import ProviderSettings
from tradekit.errors import ConfigError
from tradekit.tokens.provider import provider_from

SCHWAB = provider_from("schwab", ProviderSettings(client_id="abc"))
TRADESTATION = provider_from("tradestation", ProviderSettings(client_id="abc"))
NESTED = '400 Bad Request: "{"error_description":"Exception while authenticating refresh token [tokenDigest=x]: \
refresh_token_authentication_error","error":"x"}"'
HTML = b"<HTML><HEAD><TITLE>Access Denied</TITLE></HEAD></HTML>"


def answer(status, body):
    data = None if isinstance(body, bytes) else body
    return Answer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode(), data, data is not None)


@pytest.mark.parametrize(("provider", "status", "body", "kind"), [
    (SCHWAB, 400, {"error": "unsupported_token_type", "error_description": NESTED}, "login"),
    (SCHWAB, 401, {"error": "invalid_client", "error_description": "refresh token invalid"}, "login"),
    (SCHWAB, 401, {"error": "invalid_client", "error_description": "Unauthorized"}, "config"),
    (SCHWAB, 400, {"error": "invalid_grant"}, "login"),
    (SCHWAB, 403, HTML, "transient"),
    (SCHWAB, 200, HTML, "transient"),
    (TRADESTATION, 403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}, "login"),
    (TRADESTATION, 403, HTML, "transient"),
    (TRADESTATION, 403, {"message": "Forbidden"}, "login"),
    (TRADESTATION, 401, {"error": "access_denied", "error_description": "Unauthorized"}, "config"),
    (TRADESTATION, 429, {"error": "too_many_requests"}, "transient"),
    (TRADESTATION, 502, HTML, "transient"),
    (TRADESTATION, 500, {"error": "invalid_grant"}, "transient"),
    (SCHWAB, 400, ["?"], "config"),
])  # fmt: skip
def test_what_an_error_means(provider, status, body, kind):
    assert provider.failure(answer(status, body)).kind == kind


def test_the_built_in_facts():
    assert (SCHWAB.client_auth, SCHWAB.access_s, SCHWAB.login_s) == ("basic", 1800.0, 604800.0)
    assert (TRADESTATION.client_auth, TRADESTATION.access_s, TRADESTATION.login_s) == ("body", 1200.0, None)
    assert SCHWAB.token_url == "https://api.schwabapi.com/v1/oauth/token"
    assert TRADESTATION.authorize_params()["audience"] == "https://api.tradestation.com"


def test_desk_yaml_has_the_last_word():
    own = ProviderSettings(client_id="abc", type="tradestation", login_s=86400.0, one_use=True)
    found = provider_from("rotating-key", own)
    assert (found.login_s, found.one_use, found.retry_lost) == (86400.0, True, False)
    assert found.secret_name == "rotating-key-client-secret"
    assert provider_from("schwab", ProviderSettings(client_id="abc", login_s=None)).login_s is None


@pytest.mark.parametrize(("fields", "said"), [
    ({"client_id": "abc"}, "providers.acme.authorize_url is missing"),
    ({"client_id": "abc", "authorize_url": "https://a.example/x"}, "providers.acme.token_url is missing"),
    ({"client_id": "abc", "authorize_url": "https://a.example", "token_url": "http://a.example"}, "is not https"),
    ({"client_id": "abc", "authorize_url": "https://a.example", "token_url": "file:///etc/passwd"}, "is not https"),
    ({"client_id": "abc", "type": "schwap"}, "not built in"),
    ({"client_id": "", "authorize_url": "https://a.example", "token_url": "https://a.example"}, "client_id is empty"),
])  # fmt: skip
def test_what_is_missing_or_wrong_is_said(fields, said):
    with pytest.raises(ConfigError, match=said):
        provider_from("acme", ProviderSettings(**fields))
