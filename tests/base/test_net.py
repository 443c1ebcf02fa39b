"""Base URLs, waits, the crash point between sending and reading, and servers that drip or stay silent."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tradekit.base.net import Deadlines, Http, backoff, checked_url, retry_after
from tradekit.clock import SystemClock
from tradekit.errors import AmbiguousSend, BrokerError, ConfigError


@pytest.mark.parametrize(
    "url", ["https://api.example.com/v2", "http://127.0.0.1:80/x", "http://localhost", "http://[::1]:1"]
)
def test_base_urls_that_are_fine(url):
    assert checked_url(url + "/") == url


@pytest.mark.parametrize("url", [
    "", "http://api.example.com", "http://169.254.169.254/latest", "file:///etc/passwd", "ftp://127.0.0.1",
    "127.0.0.1:80", "https://user:pass@example.com", "https://example.com/?a=1", "https://example.com/#x", "http://127.0.0.1.evil.com",
    "https://", "http://127.0.0.1:port",
])  # fmt: skip
def test_base_urls_that_are_refused(url):
    with pytest.raises(ConfigError, match="http.base_url"):
        checked_url(url)


def test_pauses_double_are_capped_and_jittered():
    for failures, most in [(0, 0.2), (1, 0.4), (2, 0.8), (10, 2.0)]:
        assert all(most / 2 <= backoff(failures) <= most for _ in range(20))
    assert len({backoff(3) for _ in range(10)}) > 1


@pytest.mark.parametrize(("text", "seconds"), [
    ("3", 3.0), ("0.5", 0.5), ("-4", 0.0), ("nan", None), ("soon", None), ("", None),
    ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
])  # fmt: skip
def test_retry_after(text, seconds):
    assert retry_after({"retry-after": text}, SystemClock()) == seconds


@contextmanager
def raw_server(script) -> Iterator[str]:
    """A server on a socket that hands each connection to `script`."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = False

    def serve() -> None:
        while not done:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    script(connection)
                except OSError:
                    pass

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        done = True
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


def drip(connection: socket.socket) -> None:
    """A head that never ends, a byte at a time: each read is in time, the whole is not."""
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"a" * 500:
        connection.sendall(bytes([byte]))
        SystemClock().sleep(0.02)


def silent(connection: socket.socket) -> None:
    connection.recv(65536)
    SystemClock().sleep(1.0)


@pytest.mark.parametrize("script", [drip, silent])
def test_every_call_has_a_total_deadline(script):
    with raw_server(script) as url:
        http, clock = Http(url, name="x", deadlines=Deadlines(0.3, 0.3, 0.5)), SystemClock()
        for call, error in ((lambda: http.get("/"), BrokerError), (lambda: http.send("POST", "/", {}), AmbiguousSend)):
            began = clock.monotonic()
            with pytest.raises(error):
                call()
            assert clock.monotonic() - began < 1.0
        http.close()


def test_a_redirect_is_not_followed():
    def redirect(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 307 x\r\nlocation: https://a.example/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )

    with raw_server(redirect) as url:
        http = Http(url, name="x", deadlines=Deadlines(1, 1, 1))
        with pytest.raises(BrokerError, match="answered 307"):
            http.get("/")
        with pytest.raises(AmbiguousSend, match="answered 307"):
            http.send("POST", "/", {})
        http.close()


def test_the_crash_point_lies_between_sending_and_reading():
    program = (
        "import sys; from tradekit.base.net import Http\n"
        "Http(sys.argv[1], name='x').send('POST', '/orders', {'a': 1}, crash='request_sent')"
    )
    got = []

    def take(connection: socket.socket) -> None:
        got.append(connection.recv(65536))
        got.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with raw_server(take) as url:
        env = {**os.environ, "TRADEKIT_CRASHPOINT": "request_sent"}
        done = subprocess.run([sys.executable, "-c", program, url], env=env, timeout=30, check=False)
        assert done.returncode == -signal.SIGKILL
    assert b"".join(got).endswith(b'{"a":1}')  # the whole request had left
