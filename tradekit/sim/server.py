"""The server around simulated venues: plain ASGI run by uvicorn on this machine only, each venue under its own path.

It does with a Reply what no web framework wants to: half an answer, a late one, none.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from datetime import date, datetime
from pathlib import Path
from threading import Thread, local
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tradekit.calendar import Calendar
from tradekit.clock import Clock, SystemClock, clock_from
from tradekit.config import Settings
from tradekit.errors import ConfigError, MissingExtra, UpstreamError
from tradekit.model import BarSource, PriceBar
from tradekit.sim.account import VenueAccount
from tradekit.sim.faults import Faults, Rule
from tradekit.sim.venue import Profile, Reply, Request, Venue

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST = "127.0.0.1"
START_S = 5.0
SLOW_PIECES = 20
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class VenueServer:
    """Serves venues on 127.0.0.1; `with VenueServer() as server: url = server.add(venue)`.

    In a thread of its own (`start`, or `with`), or in this one until it is interrupted (`run`). Raises MissingExtra
    without uvicorn, UpstreamError where the port is taken.
    """

    def __init__(self, port: int = 0) -> None:
        uvicorn = _uvicorn()
        self._venues: dict[str, Venue] = {}
        self._wires: dict[tuple[str, int], asyncio.Transport] = {}
        self._socket = _listen(port)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://{HOST}:{self.port}"
        config = uvicorn.Config(
            self._app, interface="asgi3", http=_protocol(self._wires), ws="none", lifespan="off", loop="asyncio",
            proxy_headers=False, log_config=None, access_log=False, server_header=False, date_header=False,
            timeout_graceful_shutdown=1, timeout_keep_alive=60,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread: Thread | None = None

    def add(self, venue: Venue, name: str | None = None) -> str:
        """Serve one more venue; its base URL. The name None: a number."""
        name = name or str(len(self._venues) + 1)
        self._venues[name] = venue
        return f"{self.url}/{name}"

    def remove(self, url: str) -> None:
        """Stop serving a venue and close it."""
        venue = self._venues.pop(url.rpartition("/")[2], None)
        if venue is not None:
            venue.close()

    def start(self) -> Self:
        """Serve in a thread; returns when it answers."""
        clock = SystemClock()
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        deadline = clock.monotonic() + START_S
        while not self._server.started:
            if clock.monotonic() > deadline or not self._thread.is_alive():
                raise UpstreamError("the simulated venue did not start")
            clock.sleep(0.001)
        return self

    def run(self) -> None:
        """Serve in this thread until SIGINT or SIGTERM."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End the thread and close every venue."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=3.0)
        self._socket.close()
        for venue in self._venues.values():
            venue.close()
        self._venues = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body is None:
            return  # it left in the middle of its request: nothing was asked
        name, _, rest = scope["path"].lstrip("/").partition("/")
        venue = self._venues.get(name)
        if venue is None:
            await _whole(send, Reply(404, b'{"error":{"code":"venue","message":"no such venue"}}'))
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        request = Request(scope["method"], f"/{rest}", scope["query_string"].decode("latin-1"), headers, body)
        wait_s, rules = venue.plan(request)
        if wait_s:
            await asyncio.sleep(wait_s)
        reply = venue.answer(request, rules)
        if reply.wait_s:
            await asyncio.sleep(reply.wait_s)
        if reply.drop or reply.cut is not None:
            await self._cut(scope, receive, send, reply)
        else:
            await _whole(send, reply)

    async def _cut(self, scope: Scope, receive: Receive, send: Send, reply: Reply) -> None:
        """The first bytes of an answer, or none, and the end of the connection."""
        transport = self._wires.get(tuple(scope["client"]))
        if transport is None:
            return
        raw = b"" if reply.drop else _raw(reply)
        if raw:
            transport.write(raw)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


def open_venue(
    desk: Path,
    *,
    books: Path | None = None,
    clock: Clock | None = None,
    profile: Profile | None = None,
    journal: Path | None = None,
    rules: "Iterable[Rule]" = (),
    token: str | None = None,
    follow: bool = False,
    synchronous: str = "FULL",
) -> Venue:
    """A venue over a desk's bars, sessions, universe and `paper:` settings, with books of its own.

    `books` is its paper.db (default: venue/paper.db in the desk's folder). Raises ConfigError, StoreError.
    """
    from tradekit.base.settings_file import load_settings, load_universe
    from tradekit.desk.open import half_spread_of, load_calendar
    from tradekit.store import open_store

    settings: Settings = load_settings(desk).settings
    universe, clock = load_universe(desk), clock or clock_from(None)
    books = books or desk / "venue" / "paper.db"
    if books.resolve() == (desk / "paper.db").resolve():
        raise ConfigError(f"{books} is the desk's own paper account", "leave --books away")
    books.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(desk / "desk.db", readonly=True)
    try:
        calendar = load_calendar(settings, store, clock.now())
        name = store.meta.get("bars") or settings.market.bars
    finally:
        store.close()
    market = ThreadBars(lambda: _market(desk / name, settings, calendar))
    account = VenueAccount(
        books, bars=market, clock=clock, calendar=calendar, settings=settings.paper,
        currency=settings.desk.currency, tick=settings.market.tick, half_spread_of=half_spread_of(settings, universe),
        exit_interval_s=settings.exits.interval_s, synchronous=synchronous, create=True, lot=settings.market.lot,
        ticks=settings.market.ticks,
    )  # fmt: skip
    profile = profile or Profile()
    faults = Faults(rules, profile.client_ids)
    return Venue(account, clock, profile=profile, journal=journal, faults=faults, token=token, follow=follow)


class ThreadBars:
    """A BarSource for several threads: SQLite's connections belong to the thread that made them."""

    def __init__(self, make: Callable[[], BarSource]) -> None:
        self._make, self._here = make, local()

    def played(self, symbol: str, since: datetime, until: datetime) -> Sequence[PriceBar]:
        return self._own().played(symbol, since, until)

    def last(self, symbol: str, at: datetime) -> PriceBar | None:
        return self._own().last(symbol, at)

    def bar_seconds(self, symbol: str, session: date) -> int | None:
        return self._own().bar_seconds(symbol, session)

    def _own(self) -> BarSource:
        found: BarSource | None = getattr(self._here, "bars", None)
        if found is None:
            found = self._here.bars = self._make()
        return found


def _market(bars: Path, settings: Settings, calendar: Calendar) -> BarSource:
    from tradekit.market.bars import BarStore
    from tradekit.market.market import Market

    return Market(
        BarStore(bars), calendar, source=settings.market.source, tick=settings.market.tick,
        half_spread=settings.paper.half_spread,
    )  # fmt: skip


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtra("uvicorn is not installed", "pip install 'tradekit[serve]'") from None
    return uvicorn


def _listen(port: int) -> socket.socket:
    # the protocol is named because asyncio switches Nagle's delay off only for sockets that say TCP
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise UpstreamError(f"{HOST}:{port}: {error.strerror}", "another --port, or 0 for a free one") from None
    sock.listen(128)
    return sock


def _protocol(wires: dict[tuple[str, int], asyncio.Transport]) -> Any:
    """uvicorn's HTTP protocol, which also remembers each connection: a fault closes it behind uvicorn's back."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Remembered(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.peer = tuple(transport.get_extra_info("peername")[:2])
            wires[self.peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            wires.pop(self.peer, None)
            super().connection_lost(exc)

    return Remembered


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None where the client left before its end."""
    body: bytes = b""
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if not event.get("more_body"):
            return body


async def _whole(send: Send, reply: Reply) -> None:
    headers = [(b"content-type", reply.kind.encode()), (b"content-length", str(len(reply.body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.slow_s:
        step = max(1, len(reply.body) // SLOW_PIECES)
        for start in range(0, len(reply.body), step):
            await send({"type": "http.response.body", "body": reply.body[start : start + step], "more_body": True})
            await asyncio.sleep(reply.slow_s / SLOW_PIECES)
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": reply.body})


def _raw(reply: Reply) -> bytes:
    """The bytes of a response up to where it is cut: in its body, or anywhere."""
    head = (
        f"HTTP/1.1 {reply.status} \r\ncontent-type: {reply.kind}\r\ncontent-length: {len(reply.body)}\r\n\r\n".encode()
    )
    if reply.cut_head:
        return (head + reply.body)[: reply.cut]
    return head + reply.body[: reply.cut]
