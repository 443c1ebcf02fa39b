"""The one way to the outside: HTTP calls with connect, read and total deadlines, and errors that say what is known.

No call lasts longer than what the command has left (base/deadline.py): reads to work, all else to finish.
A read (GET) is repeated while its total deadline lasts; everything else is sent once. What may have reached the
venue without a clear answer is AmbiguousSend; a call that never left is BrokerError with `sent` False.
"""

import logging
import os
import random
from collections.abc import Callable, Generator, Iterable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from tradekit.base.crashpoint import crash_point
from tradekit.base.deadline import left, left_to_finish
from tradekit.base.files import private_folder
from tradekit.base.logs import redact
from tradekit.clock import SystemClock
from tradekit.errors import AmbiguousSend, AuthError, BrokerError, ConfigError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BYTES = 8 * 1024 * 1024  # no venue's answer is longer; a longer one is not read to its end
SAVED_BYTES = 64 * 1024
BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 2.0
_log = logging.getLogger("tradekit.net")


class Deadlines(NamedTuple):
    """Seconds: to connect, between two pieces of an answer, and for a whole call with its repetitions."""

    connect_s: float = 3.0
    read_s: float = 5.0
    total_s: float = 10.0


class Answer(NamedTuple):
    """What came back. `data` is the decoded JSON; `readable` False where the body is none."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    data: Any
    readable: bool


class Call(NamedTuple):
    """One exchange, for the audit hook; texts are redacted and cut."""

    method: str
    path: str
    status: int | None
    seconds: float
    request: str
    answer: str
    error: str | None


class Limit(Protocol):
    """What a rate limiter offers (base/ratelimit.py)."""

    def take(self, *, urgent: bool, wait_s: float) -> bool: ...

    def pause(self, seconds: float) -> None: ...


class _Broken(Exception):
    """The exchange did not come to an end. `sent`: a byte of the request may have left."""

    def __init__(self, what: str, sent: bool) -> None:
        super().__init__(what)
        self.what, self.sent = what, sent


class Http:
    """One venue's HTTP, for one thread.

    `token(refresh)` gives the bearer token, after a 401 a fresh one; `headers()` are added to each call; `unreadable`
    is the folder where bodies that nobody could read are kept, redacted. Raises ConfigError for a base URL that is
    neither https nor plain http on this machine.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str,
        deadlines: Deadlines = Deadlines(),
        token: Callable[[bool], str] | None = None,
        limit: Limit | None = None,
        audit: Callable[[Call], None] | None = None,
        headers: Callable[[], Mapping[str, str]] = dict,
        unreadable: Path | None = None,
        retries: int = 2,
    ) -> None:
        self._client: Any = None
        self._base = checked_url(base_url)
        self.name, self.deadlines, self.retries = name, deadlines, retries
        self._token, self._limit, self._audit, self._headers = token, limit, audit, headers
        self._unreadable = unreadable
        self._clock = SystemClock()  # deadlines are the host's time, also on a desk with a virtual clock
        self._wire = _Wire(self._clock)
        self._refused: str | None = None  # a login that was refused is not tried again: venues lock accounts

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the interpreter is going down, and the sockets with it
            pass

    def get(
        self, path: str, params: Mapping[str, str] | None = None, *, urgent: bool = False, also: Iterable[int] = ()
    ) -> Answer:
        """A read, repeated after failures with a jittered pause; 2xx and the statuses in `also` come back.

        Raises BrokerError, and AuthError where a refreshed token was refused too.
        """
        deadline = self._clock.monotonic() + left(self.deadlines.total_s)
        wanted, failures, refreshed = frozenset(also), 0, False
        while True:
            self._queue(urgent, deadline)
            wait = backoff(failures)
            try:
                answer = self._exchange("GET", path, params, None, deadline)
            except _Broken as broken:
                problem = f"{self.name}: GET {path}: {broken.what}"
            else:
                status = answer.status
                if 200 <= status < 300 or status in wanted:
                    if answer.readable:
                        return answer
                    problem = f"{self.name}: the answer to GET {path} cannot be read{self._save(answer, 'get', path)}"
                elif status == 401:
                    if refreshed or self._token is None:
                        raise self._shut_out(path)
                    refreshed = True
                    self._token(True)
                    continue
                else:
                    problem = f"{self.name} answered {status} to GET {path}"
                    if status not in (408, 425, 429) and status < 500:
                        raise BrokerError(problem)
                    wait = self._asked_wait(answer, wait)
            failures += 1
            if failures > self.retries or self._clock.monotonic() + wait >= deadline:
                raise BrokerError(problem, "it may pass: try again; tradekit doctor")
            self._clock.sleep(wait)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        urgent: bool = False,
        crash: str | None = None,
    ) -> Answer:
        """Send once. 2xx with JSON and 4xx come back; everything else raises AmbiguousSend.

        BrokerError with `sent` False: it never left. `crash` names the crash point between sending and reading.
        """
        import msgspec

        deadline = self._clock.monotonic() + left_to_finish(self.deadlines.total_s)
        self._queue(urgent, deadline)
        content = None if body is None else msgspec.json.encode(body)
        where = f"{method} {path}"
        try:
            answer = self._exchange(method, path, None, content, deadline, crash)
        except _Broken as broken:
            if broken.sent:
                raise AmbiguousSend(f"{self.name}: {where}: {broken.what}: it may have arrived") from broken
            raise _unsent(f"{self.name}: {where}: {broken.what}") from broken
        if answer.status == 401:
            if self._token is not None:
                self._token(True)  # for the calls that follow; this one is settled by asking
            raise AmbiguousSend(f"{self.name} answered 401 to {where}", "tradekit doctor")
        if answer.status == 429:
            self._asked_wait(answer, BACKOFF_S)
        good = 200 <= answer.status < 300
        if good and not answer.readable:
            saved = self._save(answer, method.lower(), path)
            raise AmbiguousSend(f"{self.name}: the answer to {where} cannot be read{saved}")
        if not good and (answer.status < 400 or answer.status >= 500 or answer.status in (408, 425, 429)):
            raise AmbiguousSend(f"{self.name} answered {answer.status} to {where}")
        return answer

    def post_form(self, path: str, fields: Mapping[str, str]) -> Answer:
        """POST a form once; any whole answer comes back, whatever its status and body.

        AmbiguousSend where it broke off after a byte had left, BrokerError with `sent` False before.
        """
        from urllib.parse import urlencode

        deadline = self._clock.monotonic() + left_to_finish(self.deadlines.total_s)
        try:
            return self._exchange("POST", path, None, urlencode(fields).encode(), deadline)
        except _Broken as broken:
            if broken.sent:
                raise AmbiguousSend(f"{self.name}: POST {path}: {broken.what}: it may have arrived") from None
            raise _unsent(f"{self.name}: POST {path}: {broken.what}") from None

    def post_json(
        self, path: str, body: Mapping[str, Any], *, params: Mapping[str, str] | None = None, shown: str | None = None
    ) -> Answer:
        """POST JSON once; any whole answer comes back, whatever its status and body. For messages, not for orders.

        `shown` stands for a path that holds a secret in messages. Raises as post_form does.
        """
        import msgspec

        deadline = self._clock.monotonic() + left_to_finish(self.deadlines.total_s)
        shown = path if shown is None else shown
        try:
            return self._exchange("POST", path, params, msgspec.json.encode(body), deadline)
        except _Broken as broken:
            if broken.sent:
                raise AmbiguousSend(f"{self.name}: POST {shown}: {broken.what}: it may have arrived") from None
            raise _unsent(f"{self.name}: POST {shown}: {broken.what}") from None

    # inside

    def _queue(self, urgent: bool, deadline: float) -> None:
        """Wait for the rate limit. Raises BrokerError when there is no place before the deadline."""
        if self._refused:
            raise AuthError(self._refused, "log in again, then tradekit doctor")
        left_s = deadline - self._clock.monotonic()
        if left_s <= 0:
            raise _unsent(f"{self.name}: the command's time is over", "the next run goes on; deadlines: in desk.yaml")
        if self._limit is not None and not self._limit.take(urgent=urgent, wait_s=left_s):
            raise _unsent(
                f"{self.name}: no call is free within {left_s:.0f} s", "calls are limited: http.rate_per_minute"
            )

    def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | None,
        deadline: float,
        crash: str | None = None,
    ) -> Answer:
        """One request and its whole answer. Raises _Broken."""
        import httpx

        began, status, body, problem = self._clock.monotonic(), None, b"", None
        self._wire.begin(deadline, crash)
        limits, headers = self.deadlines, self._all_headers(content)
        timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s)
        client = self._open()
        request = client.build_request(
            method, self._base + path, params=params, content=content, headers=headers, timeout=timeout
        )
        try:
            response = client.send(request, stream=True)
            try:
                status = response.status_code
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise _Broken(f"the answer is longer than {MAX_BYTES} bytes", True)
                answered = {name.lower(): value for name, value in response.headers.items()}
            finally:
                response.close()
        except httpx.HTTPError as error:
            problem = _said(error)
            raise _Broken(problem, self._wire.sent) from error
        except _Broken as broken:
            problem = broken.what
            raise
        finally:
            seconds = self._clock.monotonic() - began
            _log.debug("%s %s -> %s in %.3f s %s", method, path, status, seconds, problem or "")
            if self._audit is not None:
                self._audit(Call(method, path, status, seconds, _text(content or b""), _text(body), problem))
        data, readable = (None, True) if response.status_code == 204 else _decoded(body)
        return Answer(response.status_code, answered, body, data, readable)

    def _all_headers(self, content: bytes | None) -> dict[str, str]:
        found = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tradekit"}
        if content is not None:
            found["content-type"] = "application/json"
        if self._token is not None:
            found["authorization"] = f"Bearer {self._token(False)}"
        return found | dict(self._headers())

    def _open(self) -> Any:
        if self._client is None:
            import httpcore
            import httpx

            plain = self._base.startswith("http:")  # only ever on this machine: there is no certificate to look at
            context = httpx.create_ssl_context(verify=not plain, trust_env=False)
            transport = httpx.HTTPTransport(verify=context, trust_env=False)
            transport._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=self._wire.backend())
            self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
        return self._client

    def _shut_out(self, path: str) -> AuthError:
        self._refused = f"{self.name}: the login was refused (401 to GET {path})"
        return AuthError(self._refused, "log in again, then tradekit doctor")

    def _asked_wait(self, answer: Answer, wait: float) -> float:
        """How long to wait before the next try; a venue that said so tells every process of the account."""
        asked = retry_after(answer.headers, self._clock)
        if answer.status == 429 and self._limit is not None:
            self._limit.pause(asked if asked is not None else wait)
        return wait if asked is None else max(wait, asked)

    def _save(self, answer: Answer, method: str, path: str) -> str:
        """Keep a body that nobody could read; where it lies, for the message."""
        if self._unreadable is None:
            return ""
        stamp = self._clock.now().strftime("%Y%m%dT%H%M%S%f")
        word = "".join(c if c.isalnum() else "-" for c in path)[:40]
        target = self._unreadable / f"{stamp}-{method}{word}.txt"
        try:
            private_folder(self._unreadable)
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(redact(answer.body[:SAVED_BYTES].decode("utf-8", "replace")))
        except OSError:
            return ""
        return f"; it is in {target}"


class _Wire:
    """Sockets that keep the call's total deadline, know whether a byte has left, and pass the crash point."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self.sent, self._deadline, self._crash = False, 0.0, None

    def begin(self, deadline: float, crash: str | None) -> None:
        self.sent, self._deadline, self._crash = False, deadline, crash  # type: ignore[assignment]

    def left(self, timeout: float | None) -> float:
        """The shorter of `timeout` and what is left of the call; httpcore's timeout errors follow from 0."""
        left = self._deadline - self._clock.monotonic()
        return max(0.001, left if timeout is None else min(timeout, left))

    @property
    def over(self) -> bool:
        return self._clock.monotonic() >= self._deadline

    def reading(self) -> None:
        if self.sent and self._crash:
            name, self._crash = self._crash, None
            crash_point(name)

    def backend(self) -> Any:
        import httpcore

        return _Backend(self, httpcore.SyncBackend())


class _Backend:
    """httpcore's own backend, with our clock over every connect, read and write."""

    def __init__(self, wire: _Wire, inner: Any) -> None:
        self._wire, self._inner = wire, inner

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Any = None,
    ) -> Any:  # fmt: skip
        stream = self._inner.connect_tcp(host, port, self._wire.left(timeout), local_address, socket_options)
        return _Stream(self._wire, stream)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream:
    def __init__(self, wire: _Wire, inner: Any) -> None:
        self._wire, self._inner = wire, inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._wire.reading()
        if self._wire.over:
            import httpcore

            raise httpcore.ReadTimeout("the call's total time is over")
        return self._inner.read(max_bytes, self._wire.left(timeout))  # type: ignore[no-any-return]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wire.sent = True
        self._inner.write(buffer, self._wire.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        return _Stream(self._wire, self._inner.start_tls(ssl_context, server_hostname, self._wire.left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def bearer_auth(token: Callable[[bool], str]) -> Any:
    """An httpx.Auth over the same `token(refresh)` that Http takes, for clients that bring their own httpx.

    After a 401 the token is refreshed once and a read is repeated once; anything else is never sent again.
    """
    import httpx

    class Bearer(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            request.headers["authorization"] = f"Bearer {token(False)}"
            response = yield request
            if response.status_code == 401:
                fresh = token(True)
                if request.method in ("GET", "HEAD", "OPTIONS"):
                    request.headers["authorization"] = f"Bearer {fresh}"
                    yield request

    return Bearer()


def checked_url(url: str) -> str:
    """A base URL without its last slash. ConfigError unless it is https, or http on this machine."""
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    good = host and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
    if not good or parts.username or parts.query or parts.fragment:
        raise ConfigError(
            f"http.base_url: {redact(url) or 'empty'} is not https://HOST, or http:// on this machine",
            "tradekit config set http.base_url http://127.0.0.1:8765",
        )
    return url.rstrip("/")


def backoff(failures: int) -> float:
    """Seconds before the next try: doubling, capped, with jitter so that processes do not march in step."""
    return min(LONGEST_BACKOFF_S, BACKOFF_S * 2.0**failures) * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str], clock: SystemClock) -> float | None:
    """What Retry-After asks for, in seconds (never below 0); None without one that can be read."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - clock.now()).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _unsent(message: str, hint: str = "") -> BrokerError:
    error = BrokerError(message, hint)
    error.sent = False
    return error


def _decoded(body: bytes) -> tuple[Any, bool]:
    import msgspec

    try:
        return msgspec.json.decode(body), True
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None, False


def _said(error: Exception) -> str:
    words = type(error).__name__
    return redact(f"{words}: {error}" if str(error) else words)


def _text(body: bytes) -> str:
    return redact(body[:2000].decode("utf-8", "replace"))
