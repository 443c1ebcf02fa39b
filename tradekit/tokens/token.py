"""What is kept of one login: tokens with their times, who got them and what went wrong last."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

KEPT = 500  # marks: more than a week of refreshes
FUTURE_S = 60.0  # an issued_at further ahead than this was written by a clock that we do not believe
Kind = Literal["login", "config", "lost", "transient"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last refresh failed. login, lost: somebody has to log in; config: wrong client; else it may pass."""

    kind: Kind
    message: str  # no secret in it
    at: datetime


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's tokens for one client id; times are the provider's (our clock plus `skew_s`)."""

    provider: str
    client_id: str
    access_token: str
    refresh_token: str | None = None
    token_type: str = "Bearer"
    scope: str | None = None
    id_token: str | None = None
    issued_at: datetime | None = None  # of the access token
    expires_in: float | None = None  # seconds that the provider gave the access token
    login_at: datetime | None = None  # when a person logged in; a refresh does not move it
    generation: int = 0  # counts every change; whoever sees a higher one adopts it
    via: str = "login"  # login | refresh | import | outside
    by: str = ""  # which process stored it
    skew_s: float = 0.0  # provider's clock minus ours
    failures: int = 0  # counts failed refreshes, so that those who waited for one know
    problem: Problem | None = None
    retired: tuple[str, ...] = ()  # marks of the refresh tokens before this one: who brings one of them back is late
    seal: str = ""  # over the fields above: another program's change shows

    def __repr__(self) -> str:  # str() uses it too
        return f"Token({self.provider}, generation {self.generation}, ***)"


def seal_of(token: Token) -> str:
    """What `seal` must be; no proof against malice, only against other programs writing into the file."""
    from hashlib import blake2s

    bare = msgspec.to_builtins(msgspec.structs.replace(token, seal=""))
    if not token.retired:  # files of versions that did not keep them
        del bare["retired"]
    return blake2s(msgspec.json.encode(bare, order="sorted"), digest_size=8).hexdigest()


def mark_of(refresh_token: str) -> str:
    """Stands for a refresh token without saying it."""
    from hashlib import blake2s

    return blake2s(refresh_token.encode(), digest_size=8).hexdigest()


def retired(old: Token | None, new: str | None) -> tuple[str, ...]:
    """The marks to keep where the refresh token `new` follows those of `old`."""
    if old is None:
        return ()
    before = tuple(mark for mark in old.retired if new is None or mark != mark_of(new))
    if old.refresh_token is None or old.refresh_token == new:
        return before
    return (*before, mark_of(old.refresh_token))[-KEPT:]


def is_older(found: Token, stored: Token) -> bool:
    """Whether `found` is the stored login as it once was: to go back to it could end the login."""
    if found.refresh_token is not None and mark_of(found.refresh_token) in stored.retired:
        return True
    if found.refresh_token != stored.refresh_token:
        return False
    if found.access_token == stored.access_token:
        return True
    return stored.issued_at is not None and (found.issued_at is None or found.issued_at <= stored.issued_at)


def sealed(token: Token) -> Token:
    return msgspec.structs.replace(token, seal=seal_of(token))


def jwt_claims(token: str | None) -> dict[str, Any]:
    """The payload of a JWT, unverified: for hints, never for trust. Empty where the text is none."""
    from base64 import urlsafe_b64decode

    parts = (token or "").split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = msgspec.json.decode(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, msgspec.DecodeError):
        return {}
    return claims if isinstance(claims, dict) else {}


def jwt_time(claims: dict[str, Any], name: str) -> datetime | None:
    """A numeric date among the claims; None without one that makes sense."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 32_503_680_000:
        return None
    return datetime.fromtimestamp(value, UTC)


def lifetime(token: Token, now: datetime, access_s: float) -> tuple[datetime, datetime] | None:
    """(issued, expires) of the access token; None where neither the file nor a JWT gives times to believe.

    A missing issued_at, or one in the future, counts as expired unless the JWT says otherwise.
    """
    claims = jwt_claims(token.access_token)
    ends, began = jwt_time(claims, "exp"), jwt_time(claims, "iat")
    issued = token.issued_at
    if issued is None or issued > now + timedelta(seconds=FUTURE_S):
        if ends is None:
            return None
        return began or ends - timedelta(seconds=access_s), ends
    expires = issued + timedelta(seconds=token.expires_in if token.expires_in is not None else access_s)
    return issued, min(expires, ends) if ends is not None else expires
