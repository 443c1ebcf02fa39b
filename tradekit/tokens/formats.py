"""Token files of other programs: schwab-py's wrapper, plain OAuth JSON, TradeStation's `expiry`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from tradekit.clock import iso, parse_time
from tradekit.tokens.token import Token

Layout = Literal["schwab-py", "plain", "expiry"]
LAYOUTS: tuple[Layout, ...] = ("schwab-py", "plain", "expiry")


def parse(data: bytes, provider: str, client_id: str) -> Token:
    """The token in another program's file. Raises ValueError, without the content, where it is none of the layouts."""
    tree = _object(data)
    inner, login_at = tree, None
    if isinstance(tree.get("token"), dict):
        inner, login_at = tree["token"], _moment(tree.get("creation_timestamp"))
    access = inner.get("access_token")
    if not isinstance(access, str) or not access or not access.isprintable():
        raise ValueError("it has no access_token")
    refresh = inner.get("refresh_token")
    expires = _moment(inner.get("expires_at") or inner.get("expiry"))
    span = _seconds(inner.get("expires_in"))
    issued = _moment(inner.get("issued_at"))
    if issued is None and expires is not None and span is not None:
        issued = expires - timedelta(seconds=span)
    elif issued is None and expires is not None:  # how long it lives is unknown, when it ends is not
        issued, span = expires - timedelta(seconds=1200), 1200.0
    return Token(
        provider=provider,
        client_id=client_id,
        access_token=access,
        refresh_token=refresh if isinstance(refresh, str) and refresh else None,
        token_type=_text(inner.get("token_type")) or "Bearer",
        scope=_text(inner.get("scope")),
        id_token=_text(inner.get("id_token")),
        issued_at=issued,
        expires_in=span,
        login_at=login_at or _moment(inner.get("login_at")),
        via="import",
    )


def layout_of(data: bytes) -> Layout:
    """Which layout a file has; plain where it is none. Never raises."""
    try:
        tree = _object(data)
    except ValueError:
        return "plain"
    return "schwab-py" if isinstance(tree.get("token"), dict) else "expiry" if "expiry" in tree else "plain"


def render(token: Token, layout: Layout, access_s: float) -> bytes:
    """The token as another program reads it; `expires_at` and `expiry` are on this host's clock."""
    skew = timedelta(seconds=token.skew_s)
    issued = (token.issued_at or datetime.fromtimestamp(0, UTC)) - skew
    span = token.expires_in if token.expires_in is not None else access_s
    ends = issued + timedelta(seconds=span)
    inner: dict[str, Any] = {"access_token": token.access_token, "token_type": token.token_type}
    for name in ("refresh_token", "scope", "id_token"):
        if getattr(token, name):
            inner[name] = getattr(token, name)
    if layout == "expiry":
        tree = {key: inner[key] for key in ("access_token", "refresh_token") if key in inner} | {"expiry": iso(ends)}
    else:
        tree = inner | {"expires_in": int(span), "expires_at": int(ends.timestamp())}
    if layout == "schwab-py":
        login = token.login_at - skew if token.login_at else issued
        tree = {"creation_timestamp": int(login.timestamp()), "token": tree}
    elif layout == "plain":
        tree["issued_at"] = int(issued.timestamp())
    return msgspec.json.encode(tree) + b"\n"


def _object(data: bytes) -> dict[str, Any]:
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is empty" if not data.strip() else "it is not JSON") from None
    if not isinstance(tree, dict):
        raise ValueError("it is not a JSON object")
    return tree


def _moment(value: Any) -> datetime | None:
    """Unix seconds (milliseconds too) or ISO text; None for anything else."""
    if isinstance(value, str):
        try:
            return parse_time(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 32_503_680_000_000:
        return None
    return datetime.fromtimestamp(value / 1000 if value > 32_503_680_000 else value, UTC)


def _seconds(value: Any) -> float | None:
    if isinstance(value, str) and value.isdigit():
        return float(value)
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**9
    return float(value) if good else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
