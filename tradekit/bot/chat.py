"""What a person wrote: an update of Telegram's as one of ours, or the reason why it is nothing to act on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

LONGEST = 4096  # characters; a longer text is none that a person typed
DATA = 64  # bytes of a button's data


class Said(NamedTuple):
    """A message; `sent_at` by Telegram's clock."""

    update_id: int
    user_id: int
    chat_id: int
    private: bool
    sent_at: datetime
    text: str
    forwarded: bool


class Clicked(NamedTuple):
    """A button under a message of ours."""

    update_id: int
    user_id: int
    chat_id: int
    private: bool
    query_id: str
    message_id: int
    data: str


class Skipped(NamedTuple):
    """What is passed over, and why; never with its text."""

    update_id: int
    why: str


def heard(update: Any) -> Said | Clicked | Skipped:
    """An update (the library's object) as ours. Types are checked: the wire is not trusted to keep them."""
    number = update.update_id
    if update.message is not None:
        return _said(number, update.message)
    if update.callback_query is not None:
        return _clicked(number, update.callback_query)
    return Skipped(number, "neither a message nor a button")


def _said(number: int, message: Any) -> Said | Skipped:
    who, chat, text = message.from_user, message.chat, message.text
    if who is None or not _number(who.id):
        return Skipped(number, "a message from nobody")
    if chat is None or not _number(chat.id) or not isinstance(message.date, datetime):
        return Skipped(number, "a message without chat or time")
    if text is None:
        text = ""  # a picture, a sticker: nothing to carry out, but a stranger is a stranger
    if not isinstance(text, str) or len(text) > LONGEST:
        return Skipped(number, "a text that nobody could have typed")
    forwarded = message.forward_origin is not None or message.via_bot is not None
    return Said(number, who.id, chat.id, chat.type == "private", message.date, text, forwarded)


def _clicked(number: int, query: Any) -> Clicked | Skipped:
    who, message = query.from_user, query.message
    if who is None or not _number(who.id) or not isinstance(query.id, str):
        return Skipped(number, "a button from nobody")
    if message is None or not _number(message.chat.id) or not _number(message.message_id):
        return Skipped(number, "a button without its message")
    if not isinstance(query.data, str) or len(query.data.encode("utf-8", "replace")) > DATA:
        return Skipped(number, "a button without data")
    private = message.chat.type == "private"
    return Clicked(number, who.id, message.chat.id, private, query.id, message.message_id, query.data)


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def words_of(text: str, username: str) -> tuple[str, str] | None:
    """(command, the rest) of `/close@our_bot AAPL`; None for what is no command, or one for another bot."""
    if not text.startswith("/"):
        return None
    head, _, rest = text[1:].strip().partition(" ")
    name, _, addressed = head.partition("\n")[0].partition("@")
    rest = f"{head.partition(chr(10))[2]} {rest}".strip()
    if addressed and addressed.lower() != username.lower():
        return None
    return name.lower(), rest


def sender_of(raw: Mapping[str, Any]) -> int | None:
    """The user of an update that could not be read, where it names one; for the log only."""
    for part in raw.values():
        if isinstance(part, Mapping) and isinstance(part.get("from"), Mapping) and _number(part["from"].get("id")):
            return int(part["from"]["id"])
    return None
