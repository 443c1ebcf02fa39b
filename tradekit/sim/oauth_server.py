"""HTTP in front of the identity provider: its pages, its token URL, a small API, and /sim/ for tests."""

import threading
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tradekit.clock import SystemClock
from tradekit.sim.oauth import IdentityProvider, Reply

FORMS = {
    "user": '<label>Login ID <input id="login" name="login" autocomplete="username"></label>',
    "password": '<label>Password <input id="password" name="password" type="password"></label>',
    "code": '<label>Security code <input id="code" name="code" inputmode="numeric"></label>',
    "consent": '<label><input id="terms" name="terms" type="checkbox"> I accept the terms</label>',
}
TOKEN_URLS = ("/v1/oauth/token", "/oauth/token")
AUTHORIZE_URLS = ("/v1/oauth/authorize", "/authorize")


class OAuthServer(ThreadingHTTPServer):
    """The provider on 127.0.0.1. `start()` serves in a thread, `stop()` ends it; a context manager does both."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, provider: IdentityProvider, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.provider = provider

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def token_url(self) -> str:
        return self.url + (TOKEN_URLS[0] if self.provider.rules.kind == "schwab" else TOKEN_URLS[1])

    @property
    def authorize_url(self) -> str:
        return self.url + (AUTHORIZE_URLS[0] if self.provider.rules.kind == "schwab" else AUTHORIZE_URLS[1])

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def __enter__(self) -> "OAuthServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet an answer: without it each one takes 44 ms
    timeout = 60
    server: OAuthServer

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path in AUTHORIZE_URLS:
            handle = self.server.provider.authorize(dict(parse_qsl(where.query)))
            if handle is None:
                self._send(400, b"<html><body><h1>Unknown client</h1></body></html>", "text/html")
            else:
                self._page("user", handle, "")
        elif where.path == "/sim/stats":
            with self.server.provider.quiet() as counts:
                self._send(200, msgspec.json.encode(dict(counts())))
        elif where.path.startswith(("/trader/", "/v3/", "/api/")):
            self._api()
        else:
            self._send(404, b'{"error":"not found"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        where = urlsplit(self.path)
        if where.path in TOKEN_URLS:
            form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
            try:
                self._reply(self.server.provider.token(form, self.headers.get("authorization", "")))
            finally:
                self.server.provider.finished()
        elif where.path.startswith("/login/"):
            self._step(where.path.removeprefix("/login/"), dict(parse_qsl(body.decode("utf-8", "replace"))))
        elif where.path == "/sim/faults":
            self.server.provider.script(*msgspec.json.decode(body))
            self._send(200, b"{}")
        elif where.path == "/sim/login":  # another program logs in with the same client id
            provider = self.server.provider
            family = provider.log_in(next(iter(provider.clients)))
            self._send(200, msgspec.json.encode(provider.tokens_of(family)))
        elif where.path == "/sim/drop-access":
            self.server.provider.drop_access()
            self._send(200, b"{}")
        elif where.path.startswith(("/trader/", "/v3/", "/api/")):
            self.server.provider.counts["submits"] += 1
            self._api()
        else:
            self._send(404, b'{"error":"not found"}')

    def _api(self) -> None:
        if not self.server.provider.lets_in(self.headers.get("authorization", "")):
            self._send(401, b'{"errors":[{"status":401,"detail":"Client not authorized"}]}')
        else:
            self._send(200, b'[{"accountNumber":"12345678","hashValue":"0F1E2D3C"}]')

    def _step(self, handle: str, form: dict[str, str]) -> None:
        page, text = self.server.provider.step(handle, form)
        if page == "done":
            self.send_response(302)
            self.send_header("Location", text)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._page(page, handle, text)

    def _page(self, page: str, handle: str, problem: str) -> None:
        error = f'<p id="error" role="alert">{escape(problem)}</p>' if problem else ""
        button = "Accept and continue" if page == "consent" else "Continue"
        text = (
            f'<!doctype html><html><head><title>Log in: {page}</title></head><body data-page="{page}"><h1>Log in</h1>'
            f'{error}<form method="post" action="/login/{escape(handle)}">{FORMS[page]}'
            f'<button id="next" type="submit">{button}</button></form></body></html>'
        )
        self._send(200, text.encode(), "text/html; charset=utf-8")

    def _reply(self, reply: Reply) -> None:
        if reply.wait_s:
            SystemClock().sleep(reply.wait_s)
        if reply.broken:
            self.close_connection = True
            return
        extra = {} if reply.retry_after is None else {"Retry-After": f"{reply.retry_after:g}"}
        self._send(reply.status, reply.body, reply.content_type, extra)

    def _send(
        self, status: int, body: bytes, content_type: str = "application/json", extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        from datetime import timedelta

        provider = self.server.provider
        at = provider.clock.now() + timedelta(seconds=provider.date_skew_s)
        return format_datetime(at.replace(microsecond=0), usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: lines of requests would hold codes."""
