"""The only one that speaks to Telegram, through python-telegram-bot: news in, messages out, troubles by their kind.

The token is part of every address: no error text of the library is shown or logged without the redactor.
"""

import io
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from tradekit.base.logs import redact
from tradekit.base.net import LOOPBACK
from tradekit.bot.chat import Skipped, sender_of
from tradekit.bot.words import CAPTION, File, Part, Picture, Piece, Text, pieces, shortened
from tradekit.config import BotSettings
from tradekit.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from telegram import MessageEntity, Update

CONNECT_S, READ_S, UPLOAD_S = 5.0, 10.0, 60.0
WANTED = ("message", "callback_query")
Buttons = Sequence[tuple[str, str]]  # what is written on it, its data
Kind = Literal["token", "conflict", "later", "never"]


class Trouble(NamedTuple):
    """What went wrong, as what is done about it; `wait_s` where Telegram asked for a pause."""

    kind: Kind
    text: str
    wait_s: float | None = None


class Line:
    """A bot's connection. Raises MissingExtra without the library, ConfigError for an address that is no good."""

    def __init__(self, said: BotSettings, token: str) -> None:
        check_url(said.url)
        try:
            from telegram import Bot
            from telegram.request import HTTPXRequest
        except ModuleNotFoundError:
            raise MissingExtra("bot: python-telegram-bot is not installed", "pip install 'tradekit[bot]'") from None
        self.skipped: list[tuple[Skipped, int | None]] = []
        self.username = ""
        self._poll_s = said.poll_s
        base = said.url.rstrip("/")
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_S, "read_timeout": READ_S, "write_timeout": READ_S,
            "media_write_timeout": UPLOAD_S, "pool_timeout": READ_S, "httpx_kwargs": {"trust_env": False},
        }  # fmt: skip
        self._bot: Bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=HTTPXRequest(connection_pool_size=8, **options),
            get_updates_request=careful_request(self.skipped)(connection_pool_size=1, **options),
        )

    async def open(self) -> None:
        """Ask who we are and tell Telegram what there is to choose from; raises the library's errors."""
        await self._bot.initialize()
        self.username = self._bot.username

    async def menu(self, commands: Mapping[str, str]) -> None:
        """The commands that Telegram's clients offer."""
        await self._bot.set_my_commands(list(commands.items()))

    async def close(self) -> None:
        """Let the connections go."""
        await self._bot.shutdown()

    async def news(self, offset: int | None, *, wait: bool = True) -> "Sequence[Update]":
        """What was sent to us; waits up to poll_s. With an offset the updates before it are forgotten there."""
        return await self._bot.get_updates(
            offset=offset, timeout=self._poll_s if wait else 0, allowed_updates=list(WANTED)
        )

    def calls(self, chat_id: int, parts: Sequence[Part], most: int) -> list[Callable[[], Awaitable[Any]]]:
        """One call per message that an answer takes; more than `most` texts become a file. Secrets are masked."""
        found: list[Callable[[], Awaitable[Any]]] = []
        parts = [Text(redact(part.text), part.mono) if isinstance(part, Text) else part for part in parts]
        texts = pieces([part for part in parts if isinstance(part, Text)])
        if len(texts) > most:
            whole = "\n".join(part.text for part in parts if isinstance(part, Text))
            caption = f"{len(texts)} messages long: here it is as a file"
            found.append(self._file(chat_id, File("answer.txt", whole.encode("utf-8", "replace"), caption)))
        else:
            found += [self._text(chat_id, piece) for piece in texts]
        for part in parts:
            if isinstance(part, Picture):
                found.append(self._picture(chat_id, part))
            elif isinstance(part, File):
                found.append(self._file(chat_id, part))
        return found

    def ask(self, chat_id: int, text: str, buttons: Buttons) -> list[Callable[[], Awaitable[Any]]]:
        """Calls that put a question, all of it, with buttons under its last message."""
        from telegram import InlineKeyboardButton, InlineKeyboardMarkup

        row = [InlineKeyboardButton(label, callback_data=data) for label, data in buttons]
        *first, last = pieces([Text(redact(text))])
        question = self._text(chat_id, last, reply_markup=InlineKeyboardMarkup([row]))
        return [*(self._text(chat_id, piece) for piece in first), question]

    def edit(self, chat_id: int, message_id: int, text: str) -> Callable[[], Awaitable[Any]]:
        """A call that replaces a question, buttons and all."""
        return lambda: self._bot.edit_message_text(shortened(text, 4000), chat_id=chat_id, message_id=message_id)

    def toast(self, query_id: str, text: str) -> Callable[[], Awaitable[Any]]:
        """A call that answers a click with a line that fades."""
        return lambda: self._bot.answer_callback_query(query_id, text=shortened(text, 190))

    def _text(self, chat_id: int, piece: Piece, **more: Any) -> Callable[[], Awaitable[Any]]:
        from telegram import LinkPreviewOptions

        return lambda: self._bot.send_message(
            chat_id,
            piece.text,
            entities=_entities(piece),
            link_preview_options=LinkPreviewOptions(is_disabled=True),
            **more,
        )

    def _picture(self, chat_id: int, part: Picture) -> Callable[[], Awaitable[Any]]:
        caption = shortened(part.caption, CAPTION)
        return lambda: self._bot.send_photo(chat_id, io.BytesIO(part.png), caption=caption, filename="chart.png")

    def _file(self, chat_id: int, part: File) -> Callable[[], Awaitable[Any]]:
        caption = shortened(part.caption, CAPTION)
        return lambda: self._bot.send_document(chat_id, io.BytesIO(part.content), caption=caption, filename=part.name)


def check_url(url: str) -> None:
    """Raises ConfigError for what is neither https nor on this machine: the token is part of each address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        inside = ip_address(host).is_link_local
    except ValueError:
        inside = False  # a name
    good = parts.scheme == "https" and host or parts.scheme == "http" and host in LOOPBACK
    if not good or inside or parts.username or parts.query:
        hint = "tradekit config set bot.url https://api.telegram.org"
        raise ConfigError("bot.url is neither https://HOST nor http:// on this machine", hint)


def careful_request(skipped: list[tuple[Skipped, int | None]]) -> Any:
    """The library's HTTP with updates that it could not read replaced by their bare number, so that polling goes on.

    One bad update would otherwise come back for ever: the library gives up on the whole answer.
    """
    import json

    from telegram import Update
    from telegram.error import TelegramError
    from telegram.request import HTTPXRequest

    class Careful(HTTPXRequest):
        @staticmethod
        def parse_json_payload(payload: bytes) -> dict[str, Any]:
            try:
                found = json.loads(payload.decode("utf-8", "replace"))
            except (ValueError, RecursionError):
                raise TelegramError("an answer that is not JSON") from None
            if not isinstance(found, dict):
                raise TelegramError("an answer that is no object")
            if found.get("ok") is True:
                rows = found.get("result")
                found["result"] = [row for raw in rows for row in readable(raw)] if isinstance(rows, list) else []
            return found

    def readable(raw: Any) -> list[dict[str, Any]]:
        number = raw.get("update_id") if isinstance(raw, dict) else None
        if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= 2**62:
            skipped.append((Skipped(-1, "an update without a number"), None))
            return []
        try:
            Update.de_json(raw, None)
        except Exception as error:
            skipped.append((Skipped(number, f"cannot be read ({type(error).__name__})"), sender_of(raw)))
            return [{"update_id": number}]
        return [raw]

    return Careful


def trouble(error: Exception) -> Trouble:
    """An error of the library (or of the code around it) as what is to be done; its text is redacted."""
    from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, RetryAfter

    text = redact(f"{type(error).__name__}: {error}")[:300]
    if isinstance(error, RetryAfter):
        return Trouble("later", text, _seconds(error))
    if isinstance(error, InvalidToken):
        return Trouble("token", "Telegram refused the bot's token")
    if isinstance(error, Conflict):
        return Trouble("conflict", text)
    if isinstance(error, BadRequest | Forbidden | ChatMigrated):
        return Trouble("never", text)
    return Trouble("later", text)


def _seconds(error: Any) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library is about to change the type
        asked = error.retry_after
    return asked.total_seconds() if isinstance(asked, timedelta) else float(asked)


def _entities(piece: Piece) -> "list[MessageEntity]":
    from telegram import MessageEntity

    return [MessageEntity(MessageEntity.PRE, start, length) for start, length in piece.mono]
