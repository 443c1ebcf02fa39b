"""An identity provider for tests: logins, codes, rotating refresh tokens, and a script of misbehaviour. No HTTP here.

It behaves like Schwab's (fixed life from the login, a new login kills the old one) or TradeStation's (Auth0).
"""

import secrets
import threading
from base64 import b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote, urlencode

import msgspec

from tradekit.clock import Clock

Page = Literal["user", "password", "code", "consent", "done"]
FAULTS = {
    "lost": "does what was asked, then closes the connection without an answer",
    "drop": "closes the connection, nothing done",
    "slow": "does what was asked, answers after `seconds`",
    "html": "403 with a page instead of JSON, nothing done",
    "busy": "429 with Retry-After `seconds`, nothing done",
    "error": "500, nothing done",
    "garbled": "does what was asked, answers 200 with half a JSON",
    "bare": "leaves refresh_token out of the answer (and does not rotate)",
    "skewed": "its Date is `seconds` off, from now on",
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the provider behaves; seconds."""

    kind: Literal["schwab", "tradestation"]
    access_s: float
    login_s: float | None
    one_use: bool = False  # refresh tokens rotate; a second use of one revokes all of its login
    overlap_s: float = 0.0  # so long an old refresh token may be used again after a rotation
    new_login_kills: bool = False
    code_s: float = 30.0
    second_factor: bool = False


RULES = {
    "schwab": Rules(kind="schwab", access_s=1800, login_s=7 * 86400, new_login_kills=True),
    "tradestation": Rules(kind="tradestation", access_s=1200, login_s=None),
}


class Person(NamedTuple):
    """Who can log in."""

    name: str = "trader"
    password: str = "correct-horse-battery"
    code: str = "246810"  # the second factor


class _Family:
    """Everything that follows from one login."""

    def __init__(self, client_id: str, at: datetime) -> None:
        self.client_id, self.at, self.dead = client_id, at, False
        self.current = ""


class _Login:
    """A person on their way through the pages."""

    def __init__(self, params: Mapping[str, str]) -> None:
        self.params, self.page, self.name = dict(params), "user", ""


class Reply(NamedTuple):
    """An answer of the token URL. `broken`: close the connection instead."""

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after: float | None = None
    broken: bool = False
    wait_s: float = 0.0


class IdentityProvider:
    """Clients, people, logins and tokens in memory; safe for many threads."""

    def __init__(
        self,
        rules: Rules,
        clock: Clock,
        *,
        clients: Mapping[str, str] | None = None,
        person: Person = Person(),
    ) -> None:
        self.rules, self.clock, self.person = rules, clock, person
        self.clients = dict(clients or {"sim-client-id": "sim-client-secret"})
        self.counts: Counter[str] = Counter()
        self.date_skew_s = 0.0
        self._lock = threading.RLock()
        self._logins: dict[str, _Login] = {}
        self._codes: dict[str, tuple[Mapping[str, str], datetime]] = {}
        self._refresh: dict[str, tuple[_Family, datetime | None]] = {}  # token -> family, when it was used up
        self._access: dict[str, tuple[_Family, datetime]] = {}
        self._families: list[_Family] = []
        self._faults: list[dict[str, Any]] = []
        self._held = 0

    def script(self, *faults: Mapping[str, Any]) -> None:
        """Faults for the next token requests, one each, in order: {"kind": "lost"}, {"kind": "slow", "seconds": 5}.

        {"kind": "ok"} lets one pass.
        """
        with self._lock:
            self._faults += [dict(fault) for fault in faults]

    # the pages

    def authorize(self, params: Mapping[str, str]) -> str | None:
        """The handle of a login that begins, None for a client or a response type that is unknown."""
        if params.get("client_id") not in self.clients or params.get("response_type") != "code":
            return None
        with self._lock:
            handle = secrets.token_urlsafe(12)
            self._logins[handle] = _Login(params)
            return handle

    def step(self, handle: str, form: Mapping[str, str]) -> tuple[Page, str]:
        """One page filled in: (the page that follows, what is wrong); at `done` the second is the callback URL."""
        with self._lock:
            login = self._logins.get(handle)
            if login is None:
                return "user", "this login is over, start again"
            match login.page:
                case "user":
                    login.name, login.page = form.get("login", ""), "password"
                case "password":
                    if (login.name, form.get("password")) != (self.person.name, self.person.password):
                        self.counts["wrong_passwords"] += 1
                        return "password", "The login or the password is wrong"
                    login.page = "code" if self.rules.second_factor else "consent"
                case "code":
                    if form.get("code") != self.person.code:
                        return "code", "This code is wrong"
                    login.page = "consent"
                case "consent":
                    if form.get("terms") != "on":
                        return "consent", "Accept the terms to go on"
                    del self._logins[handle]
                    return "done", self._callback(login.params)
            return login.page, ""  # type: ignore[return-value]  # one of Page

    def _callback(self, params: Mapping[str, str]) -> str:
        code = secrets.token_urlsafe(24) + ("@" if self.rules.kind == "schwab" else "")
        self._codes[code] = (params, self.clock.now())
        back = {"code": code} | ({"state": params["state"]} if "state" in params else {})
        return f"{params.get('redirect_uri', '')}?{urlencode(back)}"

    # the token URL

    def token(self, form: Mapping[str, str], authorization: str = "") -> Reply:
        """One request to the token URL, faults included."""
        with self._lock:
            self.counts["token_requests"] += 1
            self._held += 1
            self.counts["at_once"] = max(self.counts["at_once"], self._held)
            fault = self._faults.pop(0) if self._faults else {"kind": "ok"}
        kind, seconds = fault["kind"], float(fault.get("seconds", 1.0))
        if kind == "skewed":
            self.date_skew_s = seconds
        before = {
            "drop": Reply(0, b"", broken=True),
            "html": Reply(403, b"<html><body>Access Denied</body></html>", "text/html"),
            "busy": Reply(429, b'{"error":"too_many_requests"}', retry_after=seconds),
            "error": Reply(500, b"<html>oops</html>", "text/html"),
        }
        if kind in before:
            return before[kind]
        reply = self._granted(form, authorization, bare=kind == "bare")
        if kind == "lost":
            return reply._replace(broken=True)
        if kind == "garbled":
            return reply._replace(body=reply.body[: len(reply.body) // 2])
        return reply._replace(wait_s=seconds) if kind == "slow" else reply

    def finished(self) -> None:
        """An answer has left (or was dropped): for counting requests that overlap."""
        with self._lock:
            self._held -= 1

    def _granted(self, form: Mapping[str, str], authorization: str, *, bare: bool) -> Reply:
        with self._lock:
            client = self._client(form, authorization)
            if client is None:
                self.counts["wrong_clients"] += 1
                return _error(401, "invalid_client", "Unauthorized")
            match form.get("grant_type"):
                case "authorization_code":
                    return self._for_code(client, form)
                case "refresh_token":
                    return self._for_refresh(client, form.get("refresh_token", ""), bare)
            return _error(400, "unsupported_grant_type", "")

    def _client(self, form: Mapping[str, str], authorization: str) -> str | None:
        client, secret = form.get("client_id", ""), form.get("client_secret", "")
        if authorization.startswith("Basic "):
            try:
                client, _, secret = (unquote(x) for x in b64decode(authorization[6:]).decode().partition(":"))
            except ValueError:
                return None
        known = self.clients.get(client)
        return client if known is not None and secrets.compare_digest(known, secret) else None

    def _for_code(self, client: str, form: Mapping[str, str]) -> Reply:
        params, made = self._codes.pop(form.get("code", ""), ({}, self.clock.now()))
        age = (self.clock.now() - made).total_seconds()
        right = params.get("client_id") == client and params.get("redirect_uri", "") == form.get("redirect_uri", "")
        if not right or age > self.rules.code_s or not _proven(params, form):
            return _error(400, "invalid_grant", "the code is used, too old or for somebody else")
        return self._answer(self.log_in(client), "openid offline_access")

    def log_in(self, client: str) -> "_Family":
        """A login without pages: what another program's login does to the others."""
        with self._lock:
            if self.rules.new_login_kills:
                for old in self._families:
                    old.dead = old.dead or old.client_id == client
            family = _Family(client, self.clock.now())
            self._families.append(family)
            self.counts["logins"] += 1
            self._rotate(family)
            return family

    def tokens_of(self, family: "_Family") -> dict[str, Any]:
        """A token answer for a login, as its program would have got it."""
        with self._lock:
            found: dict[str, Any] = msgspec.json.decode(self._answer(family, "api").body)
            return found

    def _for_refresh(self, client: str, token: str, bare: bool) -> Reply:
        family, used_at = self._refresh.get(token, (None, None))
        now = self.clock.now()
        if family is None or family.client_id != client:
            return self._dead()
        if used_at is not None and (now - used_at).total_seconds() >= self.rules.overlap_s:
            self.counts["reuses"] += 1
            family.dead = True
        ended = self.rules.login_s is not None and (now - family.at).total_seconds() >= self.rules.login_s
        if family.dead or ended:
            return self._dead()
        self.counts["refreshes"] += 1
        if self.rules.one_use and not bare:
            if used_at is None:
                self._refresh[token] = (family, now)
            self._rotate(family)
        return self._answer(family, "api", bare=bare)

    def _rotate(self, family: "_Family") -> None:
        family.current = "r-" + secrets.token_urlsafe(32)
        self._refresh[family.current] = (family, None)

    def _answer(self, family: "_Family", scope: str, *, bare: bool = False) -> Reply:
        access = "a-" + secrets.token_urlsafe(32)
        self._access[access] = (family, self.clock.now() + timedelta(seconds=self.rules.access_s))
        body: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.rules.access_s),
            "scope": scope,
            "refresh_token": family.current,
        }
        if bare:
            del body["refresh_token"]
        return Reply(200, msgspec.json.encode(body))

    def _dead(self) -> Reply:
        self.counts["refused"] += 1
        if self.rules.kind == "tradestation":
            return _error(403, "invalid_grant", "Unknown or invalid refresh token.")
        inner = '{"error_description":"refresh_token_authentication_error [tokenDigest=x]"}'
        return _error(400, "unsupported_token_type", f'400 Bad Request: "{inner}"')

    # the API behind the tokens

    def lets_in(self, authorization: str) -> bool:
        """True where the bearer token of an API call is valid."""
        with self._lock:
            family, ends = self._access.get(authorization.removeprefix("Bearer "), (None, self.clock.now()))
            good = family is not None and not (family.dead and self.rules.one_use) and self.clock.now() < ends
            self.counts["api_calls"] += 1
            self.counts["api_401"] += not good
            return good

    def drop_access(self) -> None:
        """Every access token dies early, as Schwab's sometimes do."""
        with self._lock:
            self._access.clear()

    @contextmanager
    def quiet(self) -> Iterator[Callable[[], Counter[str]]]:
        """Inside: nobody changes the counts while they are read."""
        with self._lock:
            yield lambda: Counter(self.counts)


def _error(status: int, code: str, text: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": code, "error_description": text}))


def _proven(params: Mapping[str, str], form: Mapping[str, str]) -> bool:
    """PKCE: the verifier matches the challenge, or none was sent."""
    challenge = params.get("code_challenge")
    if not challenge:
        return True
    digest = sha256(form.get("code_verifier", "").encode()).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=") == challenge
