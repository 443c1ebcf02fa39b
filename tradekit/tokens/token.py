"""What is kept of one login: tokens with their times, who got them and what went wrong last."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

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
    seal: str = ""  # over the fields above: another program's change shows

    def __repr__(self) -> str:  # str() uses it too
        return f"Token({self.provider}, generation {self.generation}, ***)"


def seal_of(token: Token) -> str:
    """What `seal` must be; no proof against malice, only against other programs writing into the file."""
    from hashlib import blake2s

    bare = msgspec.structs.replace(token, seal="")
    return blake2s(msgspec.json.encode(bare, order="sorted"), digest_size=8).hexdigest()


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
