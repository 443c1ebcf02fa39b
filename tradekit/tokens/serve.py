"""`token serve`: tokens over HTTP on 127.0.0.1 for programs in any language, behind a bearer secret."""

import hmac
import logging
import os
import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from tradekit.base.files import private_folder
from tradekit.base.logs import remember_secret
from tradekit.base.secrets import private_file
from tradekit.clock import iso
from tradekit.errors import TradekitError
from tradekit.tokens.coordinator import Coordinator

LOCAL = ("127.0.0.1", "localhost", "[::1]")
STATUS_OF = {2: 404, 4: 409, 5: 503, 8: 503, 9: 503}  # exit code -> HTTP status; 401 is for the bearer secret alone
_log = logging.getLogger("tradekit.tokens")


def serve_secret(folder: Path) -> tuple[Path, str]:
    """The file with the bearer secret, and the secret; made at the first start. Raises ConfigError for loose modes."""
    path = folder / "serve.secret"
    private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(fd)
    except FileExistsError:
        pass
    found = private_file(path)
    if not found or len(found) < 20:
        path.unlink()
        return serve_secret(folder)
    remember_secret(found)
    return path, found


class TokenServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1 only. `run` also refreshes what is due, until the process ends."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owners: Mapping[str, Coordinator], secret: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.owners, self.secret = owners, secret
        self._stop = threading.Event()

    def run(self, every_s: float) -> None:
        """Serve until `stop` or a signal; every `every_s` seconds refresh what is due."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            while True:
                self.refresh_due()
                if self._stop.wait(every_s):
                    return
        finally:
            self.shutdown()
            self.server_close()

    def stop(self) -> None:
        self._stop.set()

    def refresh_due(self) -> None:
        """One pass over all providers; what fails is logged and tried again at the next."""
        for name, owner in self.owners.items():
            try:
                owner.ensure()
            except TradekitError as error:
                _log.warning("%s: %s", name, error.message)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left in the middle is its own business."""

    def metrics(self) -> dict[str, dict[str, int]]:
        """Per provider since the start: requests, refreshes, adoptions, failures, outside."""
        names = ("requests", "refreshes", "adoptions", "failures", "outside")
        return {name: {key: owner.counts[key] for key in names} for name, owner in self.owners.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tradekit", ""
    wbufsize = 65536
    timeout = 30
    server: TokenServer

    def do_GET(self) -> None:
        if not self._is_local():
            return
        if self.path == "/health":
            body: dict[str, Any] = {"status": "ok", "providers": list(self.server.owners)}
            if self._knows_secret():
                body["metrics"] = self.server.metrics()
            self._answer(200, body)
        elif self._may("/auth/token/"):
            self._token("/auth/token/", None)

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > 4096:
            self.close_connection = True
            self._answer(413, {"error": "the body is too long"})
            return
        body = self.rfile.read(int(length))
        if self._is_local() and self._may("/auth/refresh/"):
            self._token("/auth/refresh/", self._seen(body))

    def _is_local(self) -> bool:
        """No page in a browser may ask: the Host must be this machine and there must be no foreign Origin."""
        host = self.headers.get("host", "").rpartition(":")[0] or self.headers.get("host", "")
        port = str(self.server.server_address[1])
        allowed = {f"http://{name}:{port}" for name in LOCAL}
        if host not in LOCAL or self.headers.get("origin", next(iter(allowed))) not in allowed:
            self._answer(403, {"error": "only for programs on this machine"})
            return False
        return True

    def _knows_secret(self) -> bool:
        given = self.headers.get("authorization", "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {self.server.secret}".encode())

    def _may(self, prefix: str) -> bool:
        if not self._knows_secret():
            self._answer(401, {"error": "the bearer secret is missing or wrong"})
            return False
        if not self.path.startswith(prefix) or self.path.removeprefix(prefix) not in self.server.owners:
            self._answer(404, {"error": "no such page or provider"})
            return False
        return True

    def _seen(self, body: bytes) -> int | None:
        """The generation that met a 401: {"generation": 7}. None: refresh whatever it is."""
        try:
            seen = msgspec.json.decode(body or b"{}").get("generation")
        except (msgspec.DecodeError, AttributeError):
            return None
        return seen if isinstance(seen, int) else None

    def _token(self, prefix: str, seen: int | None) -> None:
        owner = self.server.owners[self.path.removeprefix(prefix)]
        try:
            outcome = owner.ensure(refused=seen, force=self.command == "POST" and seen is None)
        except TradekitError as error:
            status = STATUS_OF.get(error.code, 500)
            self._answer(status, {"error": error.message, "hint": error.hint, "retryable": error.retryable})
            return
        token, state = outcome.token, owner.state(outcome.token)
        self._answer(
            200,
            {
                "access_token": token.access_token,
                "token_type": token.token_type,
                "expires_in": int(state.access_left_s),
                "issued_at": iso(token.issued_at) if token.issued_at else None,
                "generation": token.generation,
                "did": outcome.did,
            },
        )

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        data = msgspec.json.encode(body) + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("%s %s", self.command, self.path.split("?")[0])
