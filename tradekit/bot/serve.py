"""`tradekit bot`: listen, answer those on the list, act once on what they confirmed, never give up on the network."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any

from tradekit.base.interrupts import Interrupted
from tradekit.base.logs import redact, save_traceback
from tradekit.base.secrets import secret, variable_of
from tradekit.base.settings_file import load_settings
from tradekit.bot import commands
from tradekit.bot.chat import Clicked, Said, Skipped, heard, words_of
from tradekit.bot.children import Children, Done
from tradekit.bot.commands import WORDS
from tradekit.bot.line import Line, Trouble, trouble
from tradekit.bot.memory import Ask, Memory, Request
from tradekit.bot.words import Part, Text
from tradekit.clock import ScaledClock, SystemClock
from tradekit.config import BotSettings
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once, event
from tradekit.errors import AuthError, ConfigError, TradekitError, UsageError

MOST_WAITING = 50  # messages at work; more are turned away
BUSY_AGAIN_S = 2.0
REFUSALS = 3  # of the token in a row, until it is believed
_log = logging.getLogger("tradekit.bot")


def serve(desk: Desk) -> None:
    """Serve the desk's chat until a signal ends it (Interrupted).

    Raises ConfigError without users, AuthError without a token that Telegram takes, MissingExtra without the library.
    """
    said = checked(desk)
    token = secret(said.secret).value
    line = Line(said, token)
    with Memory(desk.path / "bot.db") as memory:
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
    commands.check_settable(desk.settings, desk.place)
    return said


class Service:
    """The loop, its tasks and what it knows."""

    def __init__(self, desk: Desk, memory: Memory, line: Line) -> None:
        self.desk, self.memory, self.line = desk, memory, line
        self.clock = SystemClock()  # people and Telegram live in the host's time, also beside a replay
        environ = dict(os.environ)
        environ.pop(variable_of(desk.settings.bot.secret), None)
        if isinstance(desk.clock, ScaledClock):
            environ["TRADEKIT_CLOCK"] = desk.clock.text()
        self.children = Children(desk.path, environ, stop_s=desk.settings.bot.stop_s)
        self.stopping = asyncio.Event()
        self.ready = asyncio.Event()
        self.signal = 0
        self.offset: int | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.working: set[int] = set()  # requests at work in this process
        self.acts = asyncio.Lock()
        self.looks = asyncio.Semaphore(desk.settings.bot.at_once)
        self.failures = self.refusals = 0
        self.well_at = self.clock.monotonic()
        self.broken = ""  # desk.yaml as it is now cannot be read

    @property
    def said(self) -> BotSettings:
        """The bot's settings in force."""
        return self.desk.settings.bot

    # the loop

    async def serve(self) -> int:
        """Serve until a signal; its number."""
        with self._signals():
            try:
                for request in self.memory.unfinished():
                    self._start(self._act(request))
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
            self._tell_skipped()
            for update in updates:
                self._take(update)
            if not updates and self.clock.monotonic() - began < min(1.0, self.said.poll_s / 2):
                await self._pause(self.said.retry_s)  # an answer of nothing, and too soon

    async def _open(self) -> None:
        await self.line.open()
        self.ready.set()
        _log.info("serving as @%s", self.line.username)
        with suppress(Exception):
            await self.line.menu(commands.menu())

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
                with self._told():
                    alert(self.desk, "bot-token", found.text)
                hint = f"a new token from @BotFather into {variable_of(self.said.secret)} or the keyring (docs/bot.md)"
                raise AuthError(f"bot: {found.text}", hint)
        if found.kind == "conflict":
            wait = max(wait, min(longest, 5.0))
            with self._told():
                alert_once(
                    self.desk, "bot-conflict", "another process polls with this bot's token, or a webhook is set"
                )
        elif self.clock.monotonic() - self.well_at >= self.said.offline_s:
            with self._told():
                alert_once(self.desk, "bot-offline", f"no word from Telegram for {self.said.offline_s:g} s")
        if self.failures == 1 or found.kind != "later":
            self.desk.say(redact(f"bot: {found.text}; again in {wait:g} s"))
        _log.log(logging.WARNING if self.failures == 1 else logging.INFO, "%s; again in %g s", found.text, wait)
        return wait

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Trouble with the books is said and stops nothing."""
        try:
            yield
        except TradekitError as error:
            self.desk.say(f"bot: {error.message}")

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
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with suppress(Exception):
            if self.ready.is_set() and self.offset is not None:
                await asyncio.wait_for(self.line.news(self.offset, wait=False), 1.0)
        with suppress(Exception):
            await asyncio.wait_for(self.line.close(), 1.0)

    # what comes in

    def _take(self, update: Any) -> None:
        """One update; whatever is wrong with it, the next one follows."""
        self.offset = max(self.offset or 0, update.update_id + 1)
        try:
            self._read_settings()
            self._route(heard(update))
        except TradekitError as error:
            self.desk.say(f"bot: {error.message}")
        except Exception as error:
            save_traceback(error, self.desk.path, os.environ)
            _log.error("update %s: %s", update.update_id, redact(f"{type(error).__name__}: {error}"))

    def _tell_skipped(self) -> None:
        for found, user_id in self.line.skipped:
            _log.warning("update %s skipped: %s (user %s)", found.update_id, found.why, user_id)
        self.line.skipped.clear()

    def _read_settings(self) -> None:
        """Who may talk is what desk.yaml says now; while it cannot be read, what it said before."""
        try:
            loaded = load_settings(self.desk.path)
            if loaded.hash != self.desk.settings_hash:
                commands.check_settable(loaded.settings, loaded.place)
                self.desk.settings, self.desk.settings_hash = loaded.settings, loaded.hash
            self.broken = ""
        except ConfigError as error:
            self.broken = error.message

    def _route(self, found: Said | Clicked | Skipped) -> None:
        if isinstance(found, Skipped):
            _log.info("update %s skipped: %s", found.update_id, found.why)
        elif found.user_id not in self.said.users:
            self._stranger(found)
        elif not found.private and not self.said.groups:
            _log.info("update %s skipped: a group", found.update_id)
        elif len(self.tasks) >= MOST_WAITING:
            _log.warning("update %s skipped: %s messages are waiting", found.update_id, len(self.tasks))
        elif isinstance(found, Clicked):
            self._start(self._clicked(found))
        else:
            self._said(found)

    def _stranger(self, found: Said | Clicked) -> None:
        """No answer; written down once for each, without a word of what was said."""
        if self.memory.knocked(found.user_id, self.clock.now(), self.said.strangers):
            event(self.desk, "bot.stranger", user=found.user_id, private=found.private)
            _log.warning("a stranger: user %s", found.user_id)

    def _said(self, said: Said) -> None:
        words = words_of(said.text, self.line.username)
        if words is None:
            if said.private and not said.text.startswith("/"):
                self._answer(said.chat_id, "Words begin with a slash: /help lists them")
            return
        name, rest = words
        word = WORDS.get(name)
        if said.forwarded:
            self._answer(said.chat_id, "What others wrote is not carried out: write it yourself")
        elif word is None:
            self._answer(said.chat_id, f"No word like that{_close(name)}; /help lists them")
        elif word.kind == "look":
            self._start(self._look(said, name, rest))
        elif (age := self._age(said.sent_at)) > self.said.too_old_s:
            about = f"/{name} is {age:.0f} s old (at most {self.said.too_old_s} s are allowed)"
            self._answer(said.chat_id, f"Too old: {about} and was not carried out. Send it again if you still mean it.")
        else:
            self._order(said, name, rest)

    def _order(self, said: Said, name: str, rest: str) -> None:
        """A word that trades or changes something: checked, then asked about or written down and carried out."""
        word = WORDS[name]
        try:
            arguments = word.check(rest)
            if name == "set":
                commands.check_key(self.said, arguments[0])
        except UsageError as error:
            self._answer(said.chat_id, _usage(name, error))
            return
        if word.kind == "ask":
            self._start(self._ask(said.user_id, said.chat_id, name, arguments))
            return
        request = Request(said.update_id, self.clock.now(), said.user_id, said.chat_id, (name, *arguments))
        try:
            new = self.memory.take(request)
        except TradekitError as error:
            if name != "halt":
                self._answer(said.chat_id, f"/{name}: not done: {error.message}")
                return
            self.desk.say(f"bot: {error.message}")
            new = True  # safety first: a halt twice is a halt
        if new:
            self._start(self._act(request))

    def _age(self, at: datetime) -> float:
        return max(0.0, (self.clock.now() - at).total_seconds())

    # tasks

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._watched(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """A bug in one answer is written down and takes nothing else along."""
        try:
            await work
        except TradekitError as error:
            self.desk.say(f"bot: {error.message}")
        except Exception as error:
            path, _ = save_traceback(error, self.desk.path, os.environ)
            _log.error("a bug: %s (traceback in %s)", redact(f"{type(error).__name__}: {error}"), path)

    def _answer(self, chat_id: int, text: str) -> None:
        self._start(self._deliver(chat_id, [Text(text)]))

    async def _look(self, said: Said, name: str, rest: str) -> None:
        try:
            arguments = WORDS[name].check(rest)
        except UsageError as error:
            await self._deliver(said.chat_id, [Text(_usage(name, error))])
            return
        async with self.looks:
            parts = await commands.look(self, name, arguments)
        if self.broken:
            parts = [Text(f"desk.yaml cannot be read: {self.broken}"), *parts]
        await self._deliver(said.chat_id, parts)

    async def run(self, words: Sequence[str], *, act: bool = False, format: str = "json") -> Done:
        """One of the desk's commands; one that acts waits for a copy of it that is still at work."""
        limit = self.said.act_timeout_s if act else self.said.timeout_s
        until = self.clock.monotonic() + limit
        done = await self.children.run(words, timeout_s=limit, format=format)
        while act and done.code == 8 and self.clock.monotonic() < until:  # e.g. what a killed bot left behind
            await asyncio.sleep(BUSY_AGAIN_S)
            done = await self.children.run(words, timeout_s=limit, format=format)
        return done

    # questions

    async def _ask(self, user_id: int, chat_id: int, what: str, arguments: tuple[str, ...]) -> None:
        """Put a question that only this person may answer, about what is held now."""
        import secrets

        shown = commands.halts(self.desk) if what == "resume" else commands.held(self.desk, *arguments)
        if not shown:
            nothing = "No halt is in force" if what == "resume" else f"Nothing is held{_in(arguments)}"
            if what != "liquidate" or not self._entries():
                await self._deliver(chat_id, [Text(nothing)])
                return
        ask = Ask(secrets.token_urlsafe(16), self.clock.now(), user_id, chat_id, what, shown)
        self.memory.ask(ask)
        text = commands.question(self.desk, what, shown) + f"\n(the buttons work for {self.said.confirm_s} s, once)"
        buttons = [("Yes", f"y:{ask.token}"), ("No", f"n:{ask.token}")]
        await self._sent(self.line.ask(chat_id, redact(text), buttons))

    def _entries(self) -> bool:
        return any(order.purpose == "entry" for order in self.desk.store.orders.live())

    async def _clicked(self, click: Clicked) -> None:
        """A button: who asked, in time, once, and only while what was shown is still so."""
        answer, _, token = click.data.partition(":")
        ask = self.memory.asked(token) if answer in ("y", "n") else None
        if ask is None:
            await self._toast(click, "This button means nothing any more")
        elif (ask.user_id, ask.chat_id) != (click.user_id, click.chat_id):
            await self._toast(click, "Only who asked may answer")
        elif ask.state != "open":
            await self._toast(click, "Answered before: nothing more is done")
        elif self._age(ask.at) > self.said.confirm_s:
            await self._settle(click, ask, "expired", f"/{ask.what}: too late, nothing was done. Ask again.")
        elif answer == "n":
            await self._settle(click, ask, "no", f"/{ask.what}: no; nothing was done")
        elif self._changed(ask):
            await self._settle(click, ask, "changed", f"/{ask.what}: what you saw has changed; nothing was done")
            arguments = (ask.shown[0].symbol,) if ask.what == "close" else ()
            await self._ask(click.user_id, click.chat_id, ask.what, arguments)
        else:
            await self._confirmed(click, ask)

    def _changed(self, ask: Ask) -> bool:
        if ask.what == "resume":
            return set(commands.halts(self.desk)) != set(ask.shown)
        symbol = (ask.shown[0].symbol,) if ask.what == "close" else ()
        return set(commands.held(self.desk, *symbol)) != set(ask.shown)

    async def _settle(self, click: Clicked, ask: Ask, state: str, text: str) -> None:
        if not self.memory.settle(ask.token, state):
            text = "Answered before: nothing more is done"
        await self._toast(click, text)
        await self._sent(self.line.edit(click.chat_id, click.message_id, text), tries=1)

    async def _confirmed(self, click: Clicked, ask: Ask) -> None:
        request = Request(click.update_id, self.clock.now(), click.user_id, click.chat_id, (ask.what, ask.token))
        if not self.memory.confirm(ask.token, request):
            await self._toast(click, "Answered before: nothing more is done")
            return
        self._start(self._act(request))
        await self._toast(click, "Yes")
        names = ", ".join(f"{one.qty} {one.symbol}" for one in ask.shown if one.symbol)
        text = f"/{ask.what} {names}: confirmed, at work"
        await self._sent(self.line.edit(click.chat_id, click.message_id, text), tries=1)

    async def _toast(self, click: Clicked, text: str) -> None:
        await self._sent(self.line.toast(click.query_id, text), tries=1)

    # acts

    async def _act(self, request: Request) -> None:
        """Carry a request out, once however often it comes; then answer it."""
        if request.id in self.working:
            return
        self.working.add(request.id)
        try:
            answer = request.answer
            if answer is None:
                waits = nullcontext() if request.words[0] == "halt" else self.acts
                async with waits:
                    answer = tuple(await self._carry_out(request))
                with self._told():
                    self.memory.acted(request.id, answer)
            await self._deliver(request.chat_id, answer)
            with self._told():
                self.memory.done(request.id)
        finally:
            self.working.discard(request.id)

    async def _carry_out(self, request: Request) -> list[Text]:
        what, *rest = request.words
        if request.again and self._age(request.at) > self.said.too_old_s:
            return [Text(f"/{what} was interrupted {self._age(request.at):.0f} s ago and is not repeated: /positions")]
        ask = self.memory.asked(rest[0]) if WORDS[what].kind == "ask" and rest else None
        facts = {"symbols": [one.symbol for one in ask.shown if one.symbol]} if ask else {"words": rest}
        self._note(request, what, facts)
        try:
            done = await self._done(request, what, tuple(rest), ask)
        except TradekitError as error:
            return [Text(f"/{what}: not done: {redact(error.message)}")]
        if not done.well:
            with self._told():
                event(self.desk, "bot.failed", ref=_ref(request), what=what, user=request.user_id, code=done.code)
        return commands.told(what, done)

    async def _done(self, request: Request, what: str, rest: tuple[str, ...], ask: Ask | None) -> Done:
        if what == "halt":
            return await commands.halt(self, request.user_id, rest)
        if what == "set":
            return await commands.change(self, rest)
        if what == "scan":
            return await commands.scan(self, rest)
        if ask is None:
            raise UsageError("the question is not there any more")
        if what == "resume":
            return await self.run(["resume"], act=True)
        return await commands.sell(self, what, ask.shown, again=request.again)

    def _note(self, request: Request, what: str, facts: dict[str, Any]) -> None:
        """Who asked for what, before it is done; once, however often it is begun."""
        with self._told():
            if not self.desk.store.events.about(_ref(request)):
                event(self.desk, "bot.act", ref=_ref(request), what=what, user=request.user_id, **facts)

    # what goes out

    async def _deliver(self, chat_id: int, parts: Sequence[Part]) -> None:
        for call in self.line.calls(chat_id, parts, self.said.pieces):
            if not await self._sent(call):
                return

    async def _sent(self, call: Callable[[], Awaitable[Any]], *, tries: int = 0) -> bool:
        """Send one message, again and again for answer_s (or `tries` times); False: Telegram will not take it."""
        await self.ready.wait()
        deadline, n = self.clock.monotonic() + self.said.answer_s, 0
        while True:
            try:
                await call()
                return True
            except Exception as error:
                found, n = trouble(error), n + 1
            if found.kind in ("never", "token") or n == tries:
                _log.warning("not delivered: %s", found.text)
                return False
            wait = found.wait_s or min(self.said.longest_retry_s, self.said.retry_s * 2.0 ** min(n - 1, 20))
            if self.clock.monotonic() + wait > deadline:
                _log.warning("given up after %g s: %s", self.said.answer_s, found.text)
                return False
            await asyncio.sleep(wait)


def _ref(request: Request) -> str:
    return f"telegram-{request.id}"


def _usage(name: str, error: UsageError) -> str:
    return "\n".join(part for part in (f"{WORDS[name].usage}: {error.message}", error.hint) if part)


def _close(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:32], list(WORDS), 1)
    return f", did you mean /{near[0]}?" if near else ""


def _in(arguments: tuple[str, ...]) -> str:
    return f" in {arguments[0]}" if arguments else ""
