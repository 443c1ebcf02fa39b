"""Tell a human: queue what happened for every channel, send what is due, ask again for what stays dangerous."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import msgspec

from tradekit.base.logs import redact
from tradekit.base.secrets import secret
from tradekit.config import ChannelSettings, NotifySettings
from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once
from tradekit.errors import ConfigError, TradekitError
from tradekit.model import Event
from tradekit.notify.channels import MOST_ASKED_S, Secret, send
from tradekit.notify.kinds import is_told, matches, unknown
from tradekit.notify.outbox import Outbox
from tradekit.notify.words import fitting, message

OVERLAP = timedelta(minutes=10)  # an event is looked for this long after its time: its transaction may end late
MESSAGES = 10  # a channel gets at most so many at once; the rest is for the next look
FAILING = 3  # failures in a row that are worth an alert, on the other channels


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What one look did for a channel."""

    channel: str
    sent: int  # events
    messages: int
    waiting: int
    error: str | None


def notify(desk: Desk, *, secrets: Secret | None = None) -> list[Delivery]:
    """Queue the new events and send what is due; what fails waits. Raises ConfigError and StoreError only."""
    checked(desk)
    escalate(desk)
    find, found = secrets or (lambda name: secret(name).value), []
    with Outbox(desk.path / "outbox.db") as outbox:
        now = desk.clock.now()
        outbox.queue(pairs(desk, outbox), now)
        given = outbox.give_up(now - timedelta(seconds=desk.settings.notify.keep_s))
        if given:
            alert(desk, "notify-given-up", f"{given} messages could not be delivered in time")
        for name, channel in desk.settings.notify.channels.items():
            found.append(deliver(desk, outbox, name, channel, find))
    for one in found:
        desk.count("sent", one.sent)
    return found


def checked(desk: Desk) -> None:
    """Raises ConfigError for kinds that do not exist: a misspelt switch would be silence."""
    check_kinds(desk.settings.notify, desk.place("notify"))


def check_kinds(said: NotifySettings, where: str) -> None:
    """The same for settings that stand at `where` (`desk.yaml:41`)."""
    named = [*said.events, *said.urgent, *(kind for channel in said.channels.values() for kind in channel.only)]
    if wrong := unknown(named):
        raise ConfigError(f"{where}: notify: no events of kind {', '.join(wrong)}", "see docs/notify.md")


def pairs(desk: Desk, outbox: Outbox) -> Iterator[tuple[str, Event]]:
    """(channel, event) for everything that is switched on since the last look."""
    said = desk.settings.notify
    for event in desk.store.events.all(since=outbox.since(desk.clock.now(), OVERLAP)):
        if not is_told(event.kind, said.events):
            continue
        for name, channel in said.channels.items():
            if channel.only and not matches(event.kind, channel.only):
                continue
            if channel.urgent and not matches(event.kind, said.urgent):
                continue
            yield name, event


def deliver(desk: Desk, outbox: Outbox, name: str, channel: ChannelSettings, find: Secret) -> Delivery:
    """Send a channel what waits for it, in order, bursts as one message; stop at the first failure."""
    said, now, count, messages = desk.settings.notify, desk.clock.now(), 0, 0
    trouble = outbox.trouble(name)
    error = trouble.error if trouble else None
    longest = timedelta(seconds=max(said.longest_retry_s, MOST_ASKED_S))
    if trouble is None or not now < trouble.next_at <= now + longest:  # later: by a clock that was put back since
        while messages < MESSAGES and (rows := outbox.waiting(name, said.burst)):
            rows = rows[: fitting([event for _, event in rows], desk.calendar.zone)]
            text = message(
                [event for _, event in rows],
                desk=desk.settings.desk.name,
                zone=desk.calendar.zone,
                urgent=[*said.urgent, "alert.still-unprotected"],
            )
            outbox.tried([n for n, _ in rows])
            try:
                send(name, channel, text, find)
            except TradekitError as problem:
                error = redact(problem.message)
                put_off(desk, outbox, name, problem)
                break
            outbox.sent(name, [n for n, _ in rows])
            count, messages, error = count + len(rows), messages + 1, None
    waiting = outbox.counts().get(name, {}).get("waiting", 0)
    return Delivery(channel=name, sent=count, messages=messages, waiting=waiting, error=error)


def put_off(desk: Desk, outbox: Outbox, name: str, problem: TradekitError) -> None:
    """Try again after a pause that doubles, or that the service asked for; the third failure is told elsewhere."""
    said, before = desk.settings.notify, outbox.trouble(name)
    pause = min(said.longest_retry_s, said.retry_s * 2.0 ** min(before.failures if before else 0, 20))
    asked = getattr(problem, "wait_s", None)
    pause = max(pause, float(asked)) if asked is not None else pause
    failures = outbox.failed(name, redact(problem.message), desk.clock.now() + timedelta(seconds=pause))
    if failures == FAILING:
        alert_once(desk, "notify-failing", f"{name}: {redact(problem.message)}", ref=name)


def escalate(desk: Desk) -> None:
    """A position that was called unprotected and still has no live stop is told again and again, urgently."""
    every = desk.settings.notify.escalate_s
    now = desk.clock.now()
    bare = [position for position in desk.store.positions.open() if position.protected_by is None]
    if not bare:
        return
    told = {
        e.ref: e.at
        for e in reversed(desk.store.events.alerts(now - timedelta(days=1)))
        if e.kind == "alert.unprotected"
    }
    for position in bare:
        since = told.get(position.id)
        if since is not None and now - since >= timedelta(seconds=every):
            since = since.astimezone(desk.calendar.zone)
            text = f"{position.symbol}: {position.qty} without a live stop since {since:%H:%M}"
            alert_once(desk, "still-unprotected", text, symbol=position.symbol, ref=position.id, every_s=every)


def try_channels(desk: Desk, *, secrets: Secret | None = None) -> list[Delivery]:
    """Send a test message to every channel, past the outbox; what each answered."""
    checked(desk)
    find, found = secrets or (lambda name: secret(name).value), []
    now = desk.clock.now()
    event = Event(
        id=f"test-{now:%Y%m%dT%H%M%S}", at=now, session=None, run_id=None, kind="alert.test",
        data={"message": "a test of this channel; nothing happened"},
    )  # fmt: skip
    text = message([event], desk=desk.settings.desk.name, zone=desk.calendar.zone, urgent=[])
    for name, channel in desk.settings.notify.channels.items():
        error = None
        try:
            send(name, channel, text, find)
        except TradekitError as problem:
            error = redact(f"{problem.message}; {problem.hint}" if problem.hint else problem.message)
        sent = int(error is None)
        found.append(Delivery(channel=name, sent=sent, messages=sent, waiting=0, error=error))
    return found


def keep_notifying(
    desk: Desk, pause: float, look: Callable[[Desk], list[Delivery]] = notify
) -> Iterator[list[Delivery]]:
    """A look every `pause` seconds until interrupted; trouble with the books is said and waited for."""
    while True:
        try:
            yield look(desk)
        except ConfigError:
            raise
        except TradekitError as problem:
            desk.say(f"notify: {problem.message}")
        desk.events.clear()
        desk.clock.sleep(pause)
