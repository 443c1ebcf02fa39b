"""One desk's clerk: who may ask, what is answered, what is asked back, what is carried out, once."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from tradekit.base.logs import redact, save_traceback
from tradekit.base.settings_file import load_settings
from tradekit.bot import acts
from tradekit.bot.chat import Clicked, Said, Skipped, heard, words_of
from tradekit.bot.children import Children, Done
from tradekit.bot.line import Line, trouble
from tradekit.bot.looks import look
from tradekit.bot.memory import Ask, Memory, Request
from tradekit.bot.vocabulary import WORDS
from tradekit.bot.words import Part, Text
from tradekit.clock import SystemClock
from tradekit.config import BotSettings
from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.open import load_calendar
from tradekit.errors import ConfigError, TradekitError, UsageError

MOST_WAITING = 50  # looks at work; more are turned away
BUSY_AGAIN_S = 2.0
STRUCK = "who asked is not on the list of bot.users any more"
SESSIONS_FOR = timedelta(hours=1)  # the calendar is read again after that
_log = logging.getLogger("tradekit.bot")


class Clerk:
    """Takes updates and starts a task for each that wants an answer; answers wait until the line is `ready`."""

    def __init__(self, desk: Desk, memory: Memory, line: Line, children: Children) -> None:
        self.desk, self.memory, self.line, self.children = desk, memory, line, children
        self.clock = SystemClock()  # people and Telegram live in the host's time, also beside a replay
        self.ready = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.working: set[int] = set()  # requests at work in this process
        self.one_act = asyncio.Lock()
        self.looks = asyncio.Semaphore(desk.settings.bot.at_once)
        self.broken = ""  # why desk.yaml as it is now cannot be read
        self.sessions_at = desk.clock.now()

    @property
    def said(self) -> BotSettings:
        """The bot's settings in force."""
        return self.desk.settings.bot

    def resume(self) -> None:
        """Finish what an earlier process began and could not finish or answer."""
        for request in self.memory.unfinished():
            self._start(self._act(request))

    async def end(self) -> None:
        """Cancel what is at work; its commands are told to end."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Trouble with the books is said and stops nothing."""
        try:
            yield
        except TradekitError as error:
            self.desk.say(f"bot: {error.message}")

    # what comes in

    def take(self, update: Any) -> None:
        """One update; whatever is wrong with it, the next one follows."""
        try:
            self._read_settings()
            self._route(heard(update))
        except Exception as error:
            self._what_failed(error)

    def tell_skipped(self) -> None:
        """Log the updates that could not even be read."""
        for found, user_id in self.line.skipped:
            _log.warning("update %s skipped: %s (user %s)", found.update_id, found.why, user_id)
        self.line.skipped.clear()

    def _read_settings(self) -> None:
        """Who may talk is what desk.yaml says now; while it cannot be read, what it said before."""
        try:
            loaded = load_settings(self.desk.path)
            if loaded.hash != self.desk.settings_hash:
                acts.check_settable(loaded.settings, loaded.place)
                self.desk.settings, self.desk.settings_hash = loaded.settings, loaded.hash
            self.broken = ""
        except ConfigError as error:
            self.broken = error.message
        if abs(self.desk.clock.now() - self.sessions_at) > SESSIONS_FOR:
            self.sessions_at = self.desk.clock.now()
            with self.told():
                self.desk.calendar = load_calendar(self.desk.settings, self.desk.store, self.sessions_at)

    def _may(self, user_id: int) -> bool:
        """Whether desk.yaml, as it is now, has this person on the list."""
        self._read_settings()
        return user_id in self.said.users

    def _route(self, found: Said | Clicked | Skipped) -> None:
        if isinstance(found, Skipped):
            _log.info("update %s skipped: %s", found.update_id, found.why)
        elif found.user_id not in self.said.users:
            self._stranger(found)
        elif not found.private and not self.said.groups:
            _log.info("update %s skipped: a group", found.update_id)
        elif isinstance(found, Clicked):
            self._start(self._clicked(found), found.chat_id)
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
        elif word.kind == "look" and len(self.tasks) >= MOST_WAITING:
            _log.warning("update %s skipped: %s messages are waiting", said.update_id, len(self.tasks))
        elif word.kind == "look":
            self._start(self._look(said, name, rest), said.chat_id)
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
                acts.check_key(self.said, arguments[0])
        except UsageError as error:
            self._answer(said.chat_id, _usage(name, error))
            return
        if word.kind == "ask":
            self._start(self._ask(said.user_id, said.chat_id, name, arguments), said.chat_id)
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

    def _start(self, work: Coroutine[Any, Any, None], chat_id: int | None = None) -> None:
        task = asyncio.ensure_future(self._watched(work, chat_id))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _watched(self, work: Coroutine[Any, Any, None], chat_id: int | None) -> None:
        """What goes wrong in one answer is said, a bug is written down, and nothing else is taken along."""
        try:
            await work
        except Exception as error:
            text = self._what_failed(error)
            if chat_id is not None:
                await self._deliver(chat_id, [Text(text)])

    def _what_failed(self, error: Exception) -> str:
        if isinstance(error, TradekitError):
            self.desk.say(f"bot: {redact(error.message)}")
            return f"not done: {error.message}"
        path, _ = save_traceback(error, self.desk.path, os.environ)
        _log.error("a bug: %s (traceback in %s)", redact(f"{type(error).__name__}: {error}"), path)
        return f"not done, a bug: {type(error).__name__} (the traceback is in the desk's logs)"

    def _answer(self, chat_id: int, text: str) -> None:
        self._start(self._deliver(chat_id, [Text(text)]))

    async def _look(self, said: Said, name: str, rest: str) -> None:
        try:
            arguments = WORDS[name].check(rest)
        except UsageError as error:
            await self._deliver(said.chat_id, [Text(_usage(name, error))])
            return
        async with self.looks:
            parts = await look(self, name, arguments)
        if self.broken:
            parts = [Text(f"desk.yaml cannot be read: {self.broken}"), *parts]
        await self._deliver(said.chat_id, parts)

    async def run(
        self,
        words: Sequence[str],
        *,
        by: int | None = None,
        format: str = "json",
        still: Callable[[], bool] = lambda: True,
    ) -> Done:
        """One of the desk's commands; one that acts waits for a copy of it that is still at work.

        `by`: who has it act, None for a look. `still`: whether it is to be run at all. Both are asked each time before
        it is run: desk.yaml may have another list by now.
        """
        limit = self.said.timeout_s if by is None else self.said.act_timeout_s
        until = self.clock.monotonic() + limit
        while still():
            if by is not None and not self._may(by):
                return Done(None, "", STRUCK)
            done = await self.children.run(words, timeout_s=limit, format=format)
            if by is None or done.code != 8 or self.clock.monotonic() >= until:
                return done
            await asyncio.sleep(BUSY_AGAIN_S)  # e.g. what a killed bot left behind
        return Done(None, "", "what you saw has changed since your yes; ask again")

    # questions

    async def _ask(self, user_id: int, chat_id: int, what: str, arguments: tuple[str, ...]) -> None:
        """Put a question that only this person may answer, about what is held now."""
        import secrets

        shown = acts.halts(self.desk) if what == "resume" else acts.held(self.desk, *arguments)
        if not shown:
            nothing = "No halt is in force" if what == "resume" else f"Nothing is held{_in(arguments)}"
            if what != "liquidate" or not self._entries():
                await self._deliver(chat_id, [Text(nothing)])
                return
        ask = Ask(secrets.token_urlsafe(16), self.clock.now(), user_id, chat_id, what, shown)
        self.memory.ask(ask)
        text = acts.question(self.desk, what, shown) + f"\n(the buttons work for {self.said.confirm_s} s, once)"
        buttons = [("Yes", f"y:{ask.token}"), ("No", f"n:{ask.token}")]
        for call in self.line.ask(chat_id, text, buttons):
            await self._sent(call)

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
            return set(acts.halts(self.desk)) != set(ask.shown)
        symbol = (ask.shown[0].symbol,) if ask.what == "close" else ()
        return set(acts.held(self.desk, *symbol)) != set(ask.shown)

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
        names = ", ".join(f"{one.qty} {one.symbol}".lstrip() for one in ask.shown if one.symbol)
        text = f"{f'/{ask.what} {names}'.rstrip()}: confirmed, at work"
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
                waits = nullcontext() if request.words[0] == "halt" else self.one_act
                async with waits:
                    answer = tuple(await self._carry_out(request))
                with self.told():
                    self.memory.acted(request.id, answer)
            if self._may(request.user_id):
                await self._deliver(request.chat_id, answer)
            with self.told():
                self.memory.done(request.id)
        finally:
            self.working.discard(request.id)

    async def _carry_out(self, request: Request) -> list[Text]:
        what, *rest = request.words
        if not self._may(request.user_id):
            _log.warning("request %s dropped: user %s is not on the list any more", request.id, request.user_id)
            with self.told():
                event(self.desk, "bot.dropped", ref=_ref(request), what=what, user=request.user_id)
            return []
        if request.again and self._age(request.at) > self.said.too_old_s:
            return [Text(f"/{what} was interrupted {self._age(request.at):.0f} s ago and is not repeated: /positions")]
        ask = self.memory.asked(rest[0]) if WORDS[what].kind == "ask" and rest else None
        facts: dict[str, Any] = (
            {"shown": {one.symbol or one.id: one.qty for one in ask.shown}} if ask else {"words": rest}
        )
        if what == "set":
            facts["was"] = acts.value_of(self.desk.settings, rest[0])
        self._note(request, what, facts)
        try:
            done = await self._done(request, what, tuple(rest), ask)
        except Exception as error:
            return [Text(f"/{what}: {self._what_failed(error)}")]
        if not done.well:
            with self.told():
                event(self.desk, "bot.failed", ref=_ref(request), what=what, user=request.user_id, code=done.code)
        return acts.told(what, done, was=facts.get("was"))

    async def _done(self, request: Request, what: str, rest: tuple[str, ...], ask: Ask | None) -> Done:
        if what == "halt":
            return await acts.halt(self, request.user_id, rest)
        if what == "set":
            return await acts.change(self, request.user_id, rest)
        if what == "scan":
            return await acts.scan(self, request.user_id, rest)
        if ask is None:
            raise UsageError("the question is not there any more")
        if what == "resume":
            return await acts.resume(self, request.user_id, ask.shown)
        return await acts.sell(self, request.user_id, what, ask.shown, again=request.again)

    def _note(self, request: Request, what: str, facts: dict[str, Any]) -> None:
        """Who asked for what, before it is done; once, however often it is begun."""
        with self.told():
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
    """Telegram's number and our time: the numbers begin anew after a week of silence."""
    return f"telegram-{request.id}-{request.at:%Y%m%dT%H%M%S}"


def _usage(name: str, error: UsageError) -> str:
    return "\n".join(part for part in (f"{WORDS[name].usage}: {error.message}", error.hint) if part)


def _close(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name[:32], list(WORDS), 1)
    return f", did you mean /{near[0]}?" if near else ""


def _in(arguments: tuple[str, ...]) -> str:
    return f" in {arguments[0]}" if arguments else ""
