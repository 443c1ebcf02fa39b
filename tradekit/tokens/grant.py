"""The two requests to a token URL: a code for tokens, a refresh token for tokens."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from tradekit.base.logs import remember_secret
from tradekit.base.net import Answer, Deadlines, Http, retry_after
from tradekit.clock import Clock, SystemClock
from tradekit.errors import AmbiguousSend, BrokerError
from tradekit.tokens.provider import Failure, Provider

TOKEN_DEADLINES = Deadlines(connect_s=5.0, read_s=15.0, total_s=20.0)
SKEW_S = 2.0  # Date has whole seconds: a smaller difference is none


class Grant(NamedTuple):
    """What a token URL gave. `at` is the provider's time of the answer, `skew_s` its clock minus ours."""

    access_token: str
    refresh_token: str | None
    token_type: str
    scope: str | None
    id_token: str | None
    expires_in: float | None
    at: datetime
    skew_s: float


class Client:
    """One provider's token URL for one client id. `secret` is asked for when the first request is made.

    Raises Failure from its requests: kind lost where the provider may have acted on a request without our seeing it.
    """

    def __init__(
        self,
        provider: Provider,
        secret: Callable[[], str | None],
        clock: Clock,
        *,
        deadlines: Deadlines = TOKEN_DEADLINES,
    ) -> None:
        self.provider, self._secret, self._clock, self._deadlines = provider, secret, clock, deadlines

    def refresh(self, refresh_token: str) -> Grant:
        """New tokens for a refresh token, asked for once. Raises Failure."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def exchange(self, code: str, verifier: str | None) -> Grant:
        """Tokens for the code of a login, asked for once. Raises Failure."""
        remember_secret(code)
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.provider.redirect_uri}
        return self._ask(fields | ({"code_verifier": verifier} if verifier else {}))

    def _ask(self, fields: Mapping[str, str]) -> Grant:
        provider = self.provider
        form, headers = dict(fields), {"content-type": "application/x-www-form-urlencoded"}
        secret = self._secret() if provider.client_auth != "none" else None
        if provider.client_auth == "basic":
            headers["authorization"] = f"Basic {basic(provider.client_id, secret or '')}"
        else:
            form["client_id"] = provider.client_id
            if secret:
                form["client_secret"] = secret
        parts = urlsplit(provider.token_url)
        http = Http(
            f"{parts.scheme}://{parts.netloc}", name=provider.name, deadlines=self._deadlines, headers=lambda: headers
        )
        began = self._clock.now()
        try:
            answer = http.post_form(parts.path or "/", form)
        except AmbiguousSend as error:
            raise Failure("lost", error.message) from None
        except BrokerError as error:
            raise Failure("transient", error.message) from None
        finally:
            http.close()
        return self._granted(answer, began)

    def _granted(self, answer: Answer, began: datetime) -> Grant:
        now = self._clock.now()
        if not 200 <= answer.status < 300:
            failure = self.provider.failure(answer)
            failure.wait_s = retry_after(answer.headers, SystemClock())
            raise failure
        data = answer.data if isinstance(answer.data, dict) else {}
        access = data.get("access_token")
        if not isinstance(access, str) or not access or not access.isprintable():
            raise Failure("lost", f"{self.provider.name}: the answer with the tokens cannot be read")
        refresh, span = data.get("refresh_token"), data.get("expires_in")
        skew = skew_of(answer.headers.get("date"), began, now)
        return Grant(
            access_token=access,
            refresh_token=refresh if isinstance(refresh, str) and refresh else None,
            token_type=str(data.get("token_type") or "Bearer"),
            scope=data["scope"] if isinstance(data.get("scope"), str) else None,
            id_token=data["id_token"] if isinstance(data.get("id_token"), str) else None,
            expires_in=_span(span),
            at=began + timedelta(seconds=skew),  # the earlier end of the exchange: better too old than too young
            skew_s=skew,
        )


def basic(client_id: str, secret: str) -> str:
    """The word behind `Basic`; id and secret are form-encoded first (RFC 6749, 2.3.1)."""
    from base64 import b64encode

    word = b64encode(f"{quote(client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()
    remember_secret(word)
    return word


def skew_of(date: str | None, began: datetime, ended: datetime) -> float:
    """The provider's clock minus ours, in seconds; 0 without a Date header that can be read, or where it agrees."""
    try:
        theirs = parsedate_to_datetime(date or "")
    except (TypeError, ValueError):
        return 0.0
    if theirs.tzinfo is None:
        return 0.0
    if began - timedelta(seconds=SKEW_S) <= theirs + timedelta(seconds=1) and theirs <= ended + timedelta(seconds=1):
        return 0.0
    return float(round((theirs - began).total_seconds()))


def _span(value: object) -> float | None:
    try:
        span = float(value)  # type: ignore[arg-type]  # some answer with a text
    except (TypeError, ValueError):
        return None
    return span if 0 < span < 10**9 else None
