"""Messages against local services: each event once, in order, whatever the service does; trading never waits."""

import json
import re
import socketserver
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.desk.world import World
from tests.make import make_position
from tradekit.clock import ManualClock
from tradekit.desk.events import alert, alert_once, event
from tradekit.desk.notify import checked, notify, try_channels
from tradekit.errors import ConfigError
from tradekit.notify.kinds import OTHERS, is_told
from tradekit.notify.words import message

TOKEN = "123456789:AAcanary-token-that-nobody-may-see"


class Service:
    """A local server that keeps what it got and answers what it is told to."""

    def __init__(self):
        self.got, self.status, self.headers, self.pause = [], 200, {}, 0.0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                service.got.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(service.pause)
                self.send_response(service.status)
                for name, value in service.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def texts(self):
        return [body["text"] for _, _, body in self.got]


@pytest.fixture
def service():
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def tell(tmp_path, service):
    """`with tell("{kind: webhook, url: URL}") as desk`: a desk with channels, and its outbox begun."""

    @contextmanager
    def open_(*channels, more=""):
        listed = ", ".join(f"c{n}: {text}" for n, text in enumerate(channels, 1)).replace("URL", service.url)
        world = World(tmp_path / "desk", f"notify: {{channels: {{{listed}}}{more}}}\n")
        with world.desk("10:00") as desk:
            notify(desk, secrets=lambda name: TOKEN)
            desk.clock.sleep(1)
            yield desk

    return open_


def look(desk, seconds=0.0):
    desk.clock.sleep(seconds)
    return notify(desk, secrets=lambda name: TOKEN)


def test_an_alert_goes_out_once(tell, service):
    with tell("{kind: webhook, url: URL/hook}") as desk:
        alert(desk, "halt", "daily-loss: 2.1 % lost")
        assert [one.sent for one in look(desk)] == [1]
        assert [one.sent for one in look(desk, 60)] == [0]
    path, headers, body = service.got[0]
    assert (path, len(service.got), body["urgent"]) == ("/hook", 1, True)
    assert body["title"] == "desk: URGENT halt"
    assert body["text"].startswith("10:00:01 halt: daily-loss: 2.1 % lost\nWhat to do: read the reason")
    assert (body["events"][0]["kind"], len(headers["idempotency-key"])) == ("alert.halt", 32)


def test_what_was_before_the_first_look_is_history(tmp_path, service):
    with World(
        tmp_path / "d", f"notify: {{channels: {{c: {{kind: webhook, url: '{service.url}'}}}}}}\n"
    ).desk() as desk:
        alert(desk, "halt", "old")
        desk.clock.sleep(5)
        assert [one.sent for one in notify(desk)] == [0]


def test_alerts_after_the_host_s_clock_was_put_back_are_told(tell, service):
    """It was a day ahead for one look; what happened before the next look, hours later, is not lost."""
    with tell("{kind: webhook, url: URL}") as desk:
        right = desk.clock.now()
        look(desk, 86400)
        desk.clock = ManualClock(right)
        alert(desk, "halt", "after the clock was put right")
        assert [one.sent for one in look(desk, 3 * 3600)] == [1]
        alert(desk, "halt", "and the next one")
        assert [one.sent for one in look(desk, 60)] == [1]
    assert len(service.got) == 2


def test_a_failing_channel_is_tried_again_after_the_clock_was_put_back(tell, service):
    with tell("{kind: webhook, url: URL}") as desk:
        right = desk.clock.now()
        service.status = 503
        desk.clock.sleep(86400)
        alert_once(desk, "halt", "said by a clock that is a day ahead")
        look(desk)
        desk.clock, service.status = ManualClock(right), 200
        assert alert_once(desk, "halt", "and by the right one") is not None
        assert [one.sent for one in look(desk, 60)] == [2]


@pytest.mark.parametrize("asked", ["9" * 400, "99999999999999", "\N{SUPERSCRIPT TWO}"])
def test_a_pause_that_is_no_number_or_too_long_stops_no_channel(tell, service, asked):
    service.status, service.headers = 429, {"retry-after": asked}
    with tell("{kind: webhook, url: URL}") as desk:
        alert(desk, "halt", "told in the end")
        assert [one.sent for one in look(desk)] == [0]
        service.status = 200
        assert [one.sent for one in look(desk, 3601)] == [1]


def test_an_outbox_begun_while_the_clock_was_ahead_tells_what_comes(tmp_path, service):
    settings = f"notify: {{channels: {{c: {{kind: webhook, url: '{service.url}'}}}}}}\n"
    with World(tmp_path / "d", settings).desk("10:00") as desk:
        right = desk.clock.now()
        desk.clock = ManualClock(right + timedelta(days=1))
        notify(desk)
        desk.clock = ManualClock(right)
        alert(desk, "halt", "now")
        assert [one.sent for one in look(desk, 60)] == [1]


def test_a_service_down_for_an_hour_gets_everything_afterwards_once_and_in_order(tell, service):
    service.status = 503
    with tell("{kind: webhook, url: URL}") as desk:
        said = []
        for minute in range(60):
            said.append(f"number {minute}")
            alert(desk, "slot-failed", said[-1])
            began = time.monotonic()
            look(desk, 60)
            assert time.monotonic() - began < 2
        tries = len(service.got)
        assert tries < 30  # 5, 10, 20 ... 300 s: not sixty
        service.status = 200
        service.got.clear()
        for _ in range(8):
            look(desk, 60)
        told = [found["data"]["message"] for _, _, body in service.got for found in body["events"]]
        assert [text for text in told if text.startswith("number")] == said
        assert len(service.got) <= 5  # bursts are grouped
        kinds = [found.kind for found in desk.store.events.alerts()]
        assert kinds.count("alert.notify-failing") == 1


def test_a_message_that_may_have_arrived_is_sent_again_under_its_key(tell, service, monkeypatch):
    """A kill, or a timeout, after the service took it: what came meanwhile makes a message of its own."""
    from tradekit.notify.outbox import Outbox

    with tell("{kind: webhook, url: URL}") as desk:
        alert(desk, "slot-failed", "one")
        alert(desk, "slot-failed", "two")
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Outbox, "sent", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            look(desk)
        alert(desk, "slot-failed", "three")
        look(desk, 60)
    keys = [headers["idempotency-key"] for _, headers, _ in service.got]
    told = [[found["data"]["message"] for found in body["events"]] for _, _, body in service.got]
    assert told == [["one", "two"], ["one", "two"], ["three"]]
    assert keys[0] == keys[1] != keys[2]


def test_an_outbox_of_an_older_version_goes_on(tmp_path):
    import sqlite3

    from tests.make import OPEN, make_event
    from tradekit.notify.outbox import SCHEMA, Outbox

    path = tmp_path / "outbox.db"
    with sqlite3.connect(path) as db:
        db.executescript("".join(line for line in SCHEMA.splitlines(keepends=True) if "message " not in line))
    db.close()
    with Outbox(path) as outbox:
        assert outbox.queue([("c", make_event(id="a"))], OPEN) == 1
        outbox.tried([1])
        assert [n for n, _ in outbox.waiting("c", 5)] == [1]


def test_a_slow_service_is_left_alone_after_its_deadline_and_the_others_go_on(tell, service, monkeypatch):
    from tradekit.base.net import Deadlines

    monkeypatch.setattr("tradekit.notify.channels.DEADLINES", Deadlines(0.2, 0.2, 0.3))
    other = Service()
    service.pause = 1.0
    with tell("{kind: webhook, url: URL}", f"{{kind: webhook, url: '{other.url}'}}") as desk:
        alert(desk, "halt", "one")
        first, second = look(desk)
    other.server.shutdown()
    other.server.server_close()
    assert (first.sent, first.waiting, second.sent) == (0, 1, 1)
    assert "arrived" in first.error or "Timeout" in first.error


def test_a_service_that_asks_for_time_gets_it(tell, service):
    service.status, service.headers = 429, {"retry-after": "120"}
    with tell("{kind: webhook, url: URL}") as desk:
        alert(desk, "halt", "one")
        look(desk)
        look(desk, 100)
        assert len(service.got) == 1
        service.status = 200
        assert look(desk, 30)[0].sent == 1


def test_what_nobody_took_for_too_long_is_given_up_and_told(tell, service):
    service.status = 500
    with tell("{kind: webhook, url: URL}", more=", keep_s: 600") as desk:
        alert(desk, "slot-failed", "lost")
        look(desk)
        service.status = 200
        look(desk, 700)
        look(desk, 1)
        assert [e.kind for e in desk.store.events.alerts()].count("alert.notify-given-up") == 1
        assert not [text for text in service.texts[1:] if "lost" in text]


def test_switches_families_and_channels_of_their_own(tell, service):
    other = "{kind: webhook, url: URL/urgent, urgent: true}"
    only = "{kind: webhook, url: URL/trades, only: [trade.closed]}"
    more = ", events: {alert.slot-failed: false, scan.done: true}"
    with tell("{kind: webhook, url: URL/all}", other, only, more=more) as desk:
        event(desk, "trade.closed", symbol="AAPL", net="12.5")
        event(desk, "scan.done", passed=3)
        event(desk, "order.sent", symbol="AAPL")
        alert(desk, "slot-failed", "quiet")
        alert(desk, "unprotected", "AAPL has no stop")
        look(desk)
    kinds = {path: [e["kind"] for e in body["events"]] for path, _, body in service.got}
    assert kinds == {
        "/all": ["trade.closed", "scan.done", "alert.unprotected"],
        "/urgent": ["alert.unprotected"],
        "/trades": ["trade.closed"],
    }


def test_a_misspelt_switch_is_refused(tell):
    with pytest.raises(ConfigError, match=r"alert\.hlat"), tell(more=", events: {alert.hlat: false}") as desk:
        checked(desk)


def test_at_least_eighteen_kinds_can_be_switched():
    assert len(OTHERS) >= 18
    assert is_told("alert.anything", {}) and not is_told("alert.anything", {"alert.*": False})
    assert is_told("order.sent", {"order.*": True}) and not is_told("order.sent", {})


def test_telegram_and_its_token(tell, service, caplog):
    caplog.set_level("DEBUG")
    with tell("{kind: telegram, url: URL, secret: telegram-token, chat: '42'}") as desk:
        alert(desk, "halt", "drawdown")
        event(desk, "fill", symbol="AAPL")
        look(desk)
        path, _, body = service.got[0]
        assert path == f"/bot{TOKEN}/sendMessage"
        assert (body["chat_id"], body["disable_notification"]) == ("42", False)
        service.server.shutdown()
        service.server.server_close()
        alert(desk, "slot-failed", "again")
        error = look(desk)[0].error
    assert TOKEN not in error
    assert "/bot***/sendMessage" in error


def test_the_token_is_in_no_log_and_no_file(tmp_path, service, line, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SECRET_TELEGRAM_TOKEN", TOKEN)
    folder = tmp_path / "desk"
    World(
        folder,
        f"notify: {{channels: {{t: {{kind: telegram, url: '{service.url}', secret: telegram-token, chat: '1'}}}}}}\n",
    )
    done = line("-C", folder, "-v", "notify", "--test", "--json")
    assert (done.returncode, len(service.got)) == (0, 1), done.stderr
    service.status = 401
    done = line("-C", folder, "-v", "notify", "--test", "--json")
    assert done.returncode == 7
    assert TOKEN not in done.stdout + done.stderr
    for path in folder.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_ntfy(tell, service):
    with tell("{kind: ntfy, url: URL, topic: my-desk, secret: ntfy-token}") as desk:
        alert(desk, "halt", "drawdown")
        look(desk)
    path, headers, body = service.got[0]
    assert (path, body["topic"], body["priority"], headers["authorization"]) == ("/", "my-desk", 5, f"Bearer {TOKEN}")


class Mailbox(socketserver.StreamRequestHandler):
    """As much SMTP as one message needs."""

    mails: list[str] = []

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.strip().upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                text = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    text += line
                self.mails.append(text.decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


def test_mail(tell):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        port = server.server_address[1]
        channel = (
            f"{{kind: smtp, host: 127.0.0.1, port: {port}, tls: none, sender: desk@example.org, to: [me@example.org]}}"
        )
        with tell(channel) as desk:
            alert(desk, "halt", "drawdown")
            assert look(desk)[0].error is None
        server.shutdown()
    assert "Subject: desk: URGENT halt" in Mailbox.mails[0]
    assert "10:00:01 halt: drawdown" in Mailbox.mails[0]


@pytest.mark.parametrize(
    ("channel", "problem"),
    [
        ("{kind: webhook, url: 'http://169.254.169.254/latest'}", "link-local"),
        ("{kind: webhook, url: 'http://example.org/'}", "neither https"),
        ("{kind: webhook, url: 'file:///etc/passwd'}", "neither https"),
        ("{kind: smtp, host: example.org, tls: none, sender: a@b, to: [c@d]}", "this machine"),
        ("{kind: telegram}", "chat"),
        ("{kind: apprise, secret: x}", "apprise|knows"),
    ],
)
def test_a_channel_that_cannot_work_says_why(channel, problem, tell):
    with tell(channel) as desk:
        (found,) = try_channels(desk, secrets=lambda name: TOKEN)
    assert found.sent == 0
    assert re.search(problem, found.error)


def test_what_stays_unprotected_is_told_again(tell, service, monkeypatch):
    with tell("{kind: webhook, url: URL}") as desk:
        bare = make_position(symbol="AAPL")
        monkeypatch.setattr(desk.store.positions, "open", lambda: [bare])
        alert(desk, "unprotected", "AAPL has no stop", symbol="AAPL", ref=bare.id)
        for _ in range(11):
            look(desk, 60)
        kinds = [found["kind"] for _, _, body in service.got for found in body["events"]]
        assert kinds == ["alert.unprotected", "alert.still-unprotected", "alert.still-unprotected"]
        monkeypatch.setattr(desk.store.positions, "open", list)
        look(desk, 600)
        assert len(service.got) == 3


def test_a_long_burst_is_split_and_nothing_is_cut(tell, service):
    with tell("{kind: webhook, url: URL}") as desk:
        for n in range(19):
            alert(desk, "slot-failed", f"{n} " + "x" * 300)
        assert look(desk)[0].messages == 2
    lines = [text for text in "\n".join(service.texts).splitlines() if "slot-failed" in text]
    assert len(lines) == 19


def test_a_message_has_no_control_characters(tell):
    with tell() as desk:
        found = alert(desk, "halt", "a\x1b[31mred\nline")
        text = message([found], desk="d", zone=desk.calendar.zone, urgent=[]).text
    assert "\x1b" not in text and "red line" in text


def test_the_command_says_so_without_channels(new_desk, line):
    done = line("-C", new_desk(), "notify")
    assert (done.returncode, "no channels" in done.stdout + done.stderr) == (0, True)


def test_trading_and_reading_never_wait_for_the_outbox(tmp_path, tell, line):
    import sqlite3

    with tell("{kind: webhook, url: URL}") as desk:
        folder = desk.path
        held = sqlite3.connect(folder / "outbox.db", isolation_level=None)
        held.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        done = line("-C", folder, "reconcile", env={"TRADEKIT_CLOCK": "2026-02-13T15:01:00Z"})
        assert time.monotonic() - began < 3
        held.close()
    assert done.returncode in (0, 5)
