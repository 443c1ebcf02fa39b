"""What systemd wants to hear from a service of Type=notify, and nothing where systemd did not start us."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send a line such as `READY=1` to the socket that systemd named. False: there is none, or it is gone."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    name = "\0" + address[1:] if address.startswith("@") else address  # '@': Linux's abstract namespace
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
        link.setblocking(False)  # a manager that does not read must not hold up the exits
        link.sendto(state.encode(), name)
        return True
    return False


def watchdog_s(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Seconds after which systemd kills a service that has not said `WATCHDOG=1`; None: it does not watch us."""
    meant = environ.get("WATCHDOG_PID")
    if meant and meant != str(os.getpid() if pid is None else pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdigit() and int(text) else None
