"""Ids are functions of their subject and attempt: the same deed gets the same id, whoever does it again."""

from datetime import UTC, datetime

from tradekit.clock import iso


def stamp(at: datetime) -> str:
    """The minute of `at` in UTC: 20260213T1435."""
    text = iso(at)
    return f"{text[:4]}{text[5:7]}{text[8:13]}{text[14:16]}"


def scan_id(at: datetime, strategy: str, type_: str, cap: str | None) -> str:
    return f"{stamp(at)}-{strategy}-{type_}" + (f"-{cap}" if cap else "")


def candidate_id(symbol: str, at: datetime, strategy: str) -> str:
    return f"{symbol}-{stamp(at)}-{strategy}"


def decision_id(candidate: str) -> str:
    return f"d-{candidate}"


def close_id(position: str, at: datetime) -> str:
    """The id of a decision to close a position."""
    return f"d-{position}-{stamp(at)}"


def position_id(symbol: str, at: datetime) -> str:
    """Of the position that a decision taken at `at` opens, and of its trade."""
    return f"{symbol}-{stamp(at)}"


def order_id(subject: str, purpose: str, attempt: int) -> str:
    return f"{subject}-{purpose}-{attempt}"


def client_order_id(desk: str, subject: str, purpose: str, attempt: int) -> str:
    """32 hex digits, which fits every venue; another desk's id cannot be equal."""
    from hashlib import blake2s  # brings OpenSSL along: only for those who send orders

    text = f"{desk}|{subject}|{purpose}|{attempt}"
    return blake2s(text.encode(), digest_size=16).hexdigest()


def fill_id(broker_fill: str) -> str:
    return f"f-{broker_fill}"


def halt_id(kind: str, at: datetime) -> str:
    return f"h-{stamp(at)}-{kind}"


def run_id(command: str, at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}-{command.replace(' ', '-')}"
