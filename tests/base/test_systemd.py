"""What systemd hears: over a path and over an abstract socket, and from the right process only."""

import socket

import pytest

from tradekit.base.systemd import notify, watchdog_s


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_line_reaches_the_socket_that_systemd_named(kind, tmp_path):
    address = str(tmp_path / "notify") if kind == "path" else f"@tradekit-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + address[1:] if kind == "abstract" else address)
        server.settimeout(2)
        assert notify("READY=1\nSTATUS=awake", {"NOTIFY_SOCKET": address})
        assert server.recv(100) == b"READY=1\nSTATUS=awake"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_systemd_nothing_is_sent(environ):
    assert not notify("READY=1", environ)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "77"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "78"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_watches_one_process(environ, seconds):
    assert watchdog_s(environ, pid=77) == seconds


def test_a_manager_that_does_not_read_holds_nobody_up(tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        assert not all(notify("WATCHDOG=1", {"NOTIFY_SOCKET": address}) for _ in range(2000))
