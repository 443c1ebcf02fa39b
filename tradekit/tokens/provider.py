"""What is known of each provider: its addresses, lifetimes and habits, and what its error bodies mean."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET

from tradekit.config import ProviderSettings
from tradekit.errors import ConfigError
from tradekit.tokens.token import Kind, Token, lifetime

if TYPE_CHECKING:
    from tradekit.base.net import Answer  # not loaded where nothing is due

SLACK_S = 5.0  # a run every 5 minutes finds a token of 24:58, and the next run would come too late
CODES_FOR_LOGIN = frozenset({"invalid_grant", "unsupported_token_type", "interaction_required", "login_required"})


class Failure(Exception):
    """A token request that gave no token. `kind` says who can mend it; `wait_s` is what the provider asked for."""

    def __init__(self, kind: Kind, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.wait_s = kind, message, wait_s


class State(NamedTuple):
    """How a token stands. Seconds; None for unknown or without end."""

    access: Literal["valid", "expired"]
    access_left_s: float
    due: bool  # the access token wants a refresh
    login: Literal["ok", "soon", "needed", "unknown"]
    login_left_s: float | None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth 2 provider with authorization codes and refresh tokens, as data."""

    name: str
    type: str
    client_id: str
    authorize_url: str
    token_url: str
    redirect_uri: str = ""
    secret_name: str = ""
    client_auth: str = "body"
    scope: str | None = None
    audience: str | None = None
    pkce: bool = False
    access_s: float = 1800.0
    login_s: float | None = None
    one_use: bool = True  # the careful assumption
    retry_lost: bool = False
    refresh_after: float = 25 / 30
    warn_after: float = 6 / 7
    login_steps: str | None = None

    def authorize_params(self) -> dict[str, str]:
        """What this provider wants in its authorize URL beyond the usual."""
        found = {"scope": self.scope, "audience": self.audience}
        return {key: value for key, value in found.items() if value}

    def failure(self, answer: "Answer") -> Failure:
        """What an answer without tokens means."""
        code, text = error_of(answer)
        said = f"{self.name} answered {answer.status}" + (f" {code}" if code else "")
        if answer.status == 429 or answer.status >= 500:
            return Failure("transient", said)
        if not answer.readable:
            what = "a page instead of JSON" if b"<" in answer.body[:200] else "something unreadable"
            return Failure("transient", f"{said}: {what}")
        if code in CODES_FOR_LOGIN or "refresh token" in text.lower():
            return Failure("login", said)
        return Failure("config", said)

    def state(self, token: Token, now: datetime) -> State:
        """How a token stands at `now` (the provider's time: our clock plus the token's skew)."""
        life = lifetime(token, now, self.access_s)
        left, due = 0.0, True
        if life is not None:
            left = (life[1] - now).total_seconds()
            due = now >= life[0] + (life[1] - life[0]) * self.refresh_after - timedelta(seconds=SLACK_S)
        login, login_left = self._login(token, now)
        return State("valid" if left > 0 else "expired", max(0.0, left), due, login, login_left)

    def _login(self, token: Token, now: datetime) -> tuple[Literal["ok", "soon", "needed", "unknown"], float | None]:
        left: float | None = None
        if self.login_s is not None and token.login_at is not None:
            age = (now - token.login_at).total_seconds()
            left = max(0.0, self.login_s - age)
            if left <= 0:
                return "needed", 0.0
        if token.refresh_token is None or (token.problem and token.problem.kind in ("login", "lost", "config")):
            return "needed", left
        if self.login_s is None:
            return "ok", None
        if left is None:
            return "unknown", None
        return "soon" if left <= self.login_s * (1 - self.warn_after) + 1e-6 else "ok", left

    def login_ends(self, token: Token) -> datetime | None:
        """When the login ends for good; None: never, or unknown."""
        if self.login_s is None or token.login_at is None:
            return None
        return token.login_at + timedelta(seconds=self.login_s)


class Schwab(Provider, frozen=True, kw_only=True):
    """Schwab Trader API: Basic client authentication, 30 minutes, seven days from the login whatever happens.

    A new login kills the refresh token of the one before.
    """

    def failure(self, answer: "Answer") -> Failure:
        """Schwab says a dead refresh token in several ways, one of them `invalid_client`."""
        code, text = error_of(answer)
        if "refresh_token_authentication_error" in text or (code == "invalid_client" and "refresh token" in text):
            return Failure("login", f"{self.name} answered {answer.status} {code}")
        return Provider.failure(self, answer)


class TradeStation(Provider, frozen=True, kw_only=True):
    """TradeStation v3 (Auth0): 20 minutes; a login that does not end, unless the key is made to rotate."""

    def failure(self, answer: "Answer") -> Failure:
        """Auth0 answers 403 to a dead refresh token; a 403 page without JSON is the edge's."""
        if answer.status == 403 and answer.readable and not error_of(answer)[0]:
            return Failure("login", f"{self.name} answered 403")
        return Provider.failure(self, answer)


BUILT_IN: dict[str, tuple[type[Provider], dict[str, Any]]] = {
    "schwab": (
        Schwab,
        {
            "authorize_url": "https://api.schwabapi.com/v1/oauth/authorize",
            "token_url": "https://api.schwabapi.com/v1/oauth/token",
            "client_auth": "basic",
            "access_s": 1800.0,
            "login_s": 7 * 86400.0,
            "one_use": False,
        },
    ),
    "tradestation": (
        TradeStation,
        {
            "authorize_url": "https://signin.tradestation.com/authorize",
            "token_url": "https://signin.tradestation.com/oauth/token",
            "client_auth": "body",
            "scope": "openid offline_access MarketData ReadAccount Trade",
            "audience": "https://api.tradestation.com",
            "access_s": 1200.0,
            "login_s": None,
            "one_use": False,
        },
    ),
}


def provider_from(name: str, settings: ProviderSettings) -> Provider:
    """The provider that desk.yaml describes under `providers.NAME`. Raises ConfigError for what is missing."""
    check_type(name, settings)
    kind = settings.type or name
    made, facts = BUILT_IN.get(kind, (Provider, {}))
    own = {key: getattr(settings, key) for key in settings.__struct_fields__}
    own = {key: value for key, value in own.items() if value is not UNSET and (value is not None or key == "login_s")}
    fields: Mapping[str, Any] = {"secret_name": f"{name}-client-secret"} | facts | own | {"name": name, "type": kind}
    for key in ("authorize_url", "token_url"):
        if key not in fields:
            raise ConfigError(
                f"providers.{name}.{key} is missing, and {name} is not built in",
                f"tradekit config set providers.{name}.{key} https://...",
            )
        _check_url(f"providers.{name}.{key}", fields[key])
    if not fields["client_id"]:
        raise ConfigError(f"providers.{name}.client_id is empty", f"tradekit config set providers.{name}.client_id ID")
    if "retry_lost" not in fields:
        fields = {**fields, "retry_lost": not fields.get("one_use", True)}
    return made(**fields)


def check_type(name: str, settings: ProviderSettings) -> None:
    """ConfigError for a `type` that is not built in; it names those that are."""
    if settings.type is not None and settings.type not in BUILT_IN:
        raise ConfigError(f"providers.{name}.type: {settings.type} is not built in", f"one of {', '.join(BUILT_IN)}")


def _check_url(key: str, url: str) -> None:
    """https, or http on this machine: a client secret goes there."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (parts.hostname and (parts.scheme == "https" or local)) or parts.username:
        raise ConfigError(
            f"{key}: {url} is not https://..., or http:// on this machine", f"tradekit config set {key} URL"
        )


def error_of(answer: "Answer") -> tuple[str, str]:
    """(code, description) of an OAuth error body; empty texts where it has none."""
    data = answer.data if isinstance(answer.data, dict) else {}
    code, text = data.get("error"), data.get("error_description")
    clean = str(code) if isinstance(code, str) and len(code) <= 60 and code.isprintable() else ""
    return clean, f"{code} {text}" if text else str(code or "")
