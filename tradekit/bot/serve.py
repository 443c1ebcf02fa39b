"""`tradekit bot`: listen, answer those on the list, act once on what they confirmed, never give up on the network."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tradekit.base.interrupts import Interrupted
from tradekit.base.logs import redact
from tradekit.base.secrets import secret, variable_of
from tradekit.base.unfinished import sweep_scratch
from tradekit.bot.acts import check_settable
from tradekit.bot.children import Children
from tradekit.bot.clerk import Clerk
from tradekit.bot.line import Line, Trouble, trouble
from tradekit.bot.looks import SCRATCH
from tradekit.bot.memory import NAME, Memory
from tradekit.bot.vocabulary import menu
from tradekit.clock import ScaledClock, SystemClock
from tradekit.config import BotSettings
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once
from tradekit.errors import AuthError, ConfigError

REFUSALS = 3  # of the token in a row, until it is believed
_log = logging.getLogger("tradekit.bot")


def serve(desk: Desk) -> None:
    """Serve the desk's chat until a signal ends it (Interrupted).

    Raises ConfigError without users, AuthError without a token that Telegram takes, MissingExtra without the library.
    """
    said = checked(desk)
    token = secret(said.secret).value
    line = Line(said, token)
    sweep_scratch(SCRATCH)
    with Memory(desk.path / NAME) as memory:
        number = asyncio.run(Service(desk, memory, line).serve())
    raise Interrupted(130 if number == signal.SIGINT else 143)


def checked(desk: Desk) -> BotSettings:
    """The settings of the bot. Raises ConfigError where nobody may talk to it, or /set may do too much."""
    said = desk.settings.bot
    if not said.users:
        raise ConfigError(
            f"{desk.place('bot', 'users')}: bot.users is empty: nobody may talk to the bot",
            "tradekit config set bot.users '[YOUR-ID]' (docs/bot.md says how to find it)",
        )
    check_settable(desk.settings, desk.place)
    return said


class Service:
    """The loop around the clerk: polls, waits, tells apart the ways in which Telegram may be out of reach."""

    def __init__(self, desk: Desk, memory: Memory, line: Line) -> None:
        self.desk, self.line = desk, line
        self.clock = SystemClock()
        environ = dict(os.environ)
        environ.pop(variable_of(desk.settings.bot.secret), None)
        if isinstance(desk.clock, ScaledClock):
            environ["TRADEKIT_CLOCK"] = desk.clock.text()
        self.clerk = Clerk(desk, memory, line, Children(desk.path, environ, stop_s=desk.settings.bot.stop_s))
        self.ready, self.stopping = self.clerk.ready, asyncio.Event()
        self.signal = 0
        self.offset: int | None = None
        self.failures = self.refusals = 0
        self.well_at = self.clock.monotonic()

    @property
    def said(self) -> BotSettings:
        """The bot's settings in force."""
        return self.desk.settings.bot

    async def serve(self) -> int:
        """Serve until a signal; its number."""
        with self._signals():
            try:
                self.clerk.resume()
                await self._listen()
            finally:
                await self._end()
        return self.signal

    async def _listen(self) -> None:
        while not self.stopping.is_set():
            try:
                if not self.ready.is_set():
                    await self._or_stop(self._open())
                    continue
                began = self.clock.monotonic()
                updates = await self._or_stop(self.line.news(self.offset))
            except AuthError:
                raise
            except Exception as error:
                await self._pause(self._troubled(trouble(error)))
                continue
            if updates is None:
                return
            self._well()
            self.clerk.tell_skipped()
            for update in updates:
                self.offset = max(self.offset or 0, update.update_id + 1)
                self.clerk.take(update)
            if not updates and self.clock.monotonic() - began < min(1.0, self.said.poll_s / 2):
                await self._pause(self.said.retry_s)  # an answer of nothing, and too soon

    async def _open(self) -> None:
        await self.line.open()
        self.ready.set()
        _log.info("serving as @%s", self.line.username)
        with suppress(Exception):
            await self.line.menu(menu())

    async def _or_stop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of some work, or None when a signal came first."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _well(self) -> None:
        if self.failures and self.clock.monotonic() - self.well_at >= self.said.offline_s:
            _log.warning("Telegram is back")
        self.failures = self.refusals = 0
        self.well_at = self.clock.monotonic()

    def _troubled(self, found: Trouble) -> float:
        """Say it, raise an alert where a human has to act, and how long to wait. Raises AuthError for a dead token."""
        self.failures += 1
        longest = self.said.longest_retry_s
        wait = found.wait_s or min(longest, self.said.retry_s * 2.0 ** min(self.failures - 1, 20))
        if found.kind == "token":
            self.refusals += 1
            if self.refusals >= REFUSALS or not self.ready.is_set():
                with self.clerk.told():
                    alert(self.desk, "bot-token", found.text)
                hint = f"a new token from @BotFather into {variable_of(self.said.secret)} or the keyring (docs/bot.md)"
                raise AuthError(f"bot: {found.text}", hint)
        if found.kind == "conflict":
            wait = max(wait, min(longest, 5.0))
            with self.clerk.told():
                alert_once(
                    self.desk, "bot-conflict", "another process polls with this bot's token, or a webhook is set"
                )
        elif self.clock.monotonic() - self.well_at >= self.said.offline_s:
            with self.clerk.told():
                alert_once(self.desk, "bot-offline", f"no word from Telegram for {self.said.offline_s:g} s")
        if self.failures == 1 or found.kind != "later":
            self.desk.say(redact(f"bot: {found.text}; again in {wait:g} s"))
        _log.log(logging.WARNING if self.failures == 1 else logging.INFO, "%s; again in %g s", found.text, wait)
        return wait

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGHUP end it; the handlers that were there before come back."""
        loop, numbers = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        old = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
                signal.signal(number, old[number])

    def _signalled(self, number: int) -> None:
        self.signal = self.signal or number
        self.stopping.set()

    async def _end(self) -> None:
        """Children end, Telegram forgets what was read, connections close."""
        self.stopping.set()
        await self.clerk.end()
        with suppress(Exception):
            if self.ready.is_set() and self.offset is not None:
                await asyncio.wait_for(self.line.news(self.offset, wait=False), 1.0)
        with suppress(Exception):
            await asyncio.wait_for(self.line.close(), 1.0)
