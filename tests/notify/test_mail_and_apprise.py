"""Mail over real TLS and the real apprise library, against servers on this machine: failures, order, once each."""

import shutil
import socketserver
import ssl
import subprocess
import threading
from base64 import b64decode
from contextlib import contextmanager

import pytest

from tests.notify.test_notify import service, tell  # noqa: F401  # fixtures
from tradekit.desk.events import alert
from tradekit.desk.notify import notify, try_channels

PASSWORD = "canary-password-that-nobody-may-see"
OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="wants openssl to make a certificate")


class Mail(socketserver.ThreadingTCPServer):
    """A mail server: TLS from the start, after STARTTLS, or none; it refuses what it is told to refuse."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, certificate=None, *, implicit=False, port=0):
        super().__init__(("127.0.0.1", port), Talk)
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.implicit, self.answers, self.heard, self.mails = implicit, {}, [], []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def texts(self):
        return [mail.partition("\n\n")[2] for mail in self.mails]

    def end(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that does not like the certificate just leaves."""


class Talk(socketserver.BaseRequestHandler):
    def handle(self):
        self.link = self.request
        if self.server.implicit:
            self.link = self.server.context.wrap_socket(self.link, server_side=True)
        self.lines = self.link.makefile("rb")
        try:
            self.talk()
        finally:
            self.lines.close()
            self.link.close()

    def talk(self):
        self.say("220 here")
        while line := self.lines.readline():
            word = line.decode().strip().partition(" ")[0].upper()
            self.server.heard.append((word, isinstance(self.link, ssl.SSLSocket), line.decode().strip()))
            if word in self.server.answers:
                self.say(self.server.answers[word])
            elif word == "EHLO":
                secure = isinstance(self.link, ssl.SSLSocket)
                self.say("250-here" + ("\r\n250-STARTTLS" if self.server.context and not secure else ""))
                self.say("250 AUTH PLAIN")
            elif word == "STARTTLS" and self.server.context:
                self.say("220 go on")
                self.lines.close()
                self.link = self.server.context.wrap_socket(self.link, server_side=True)
                self.lines = self.link.makefile("rb")
            elif word == "DATA":
                self.say("354 go on")
                text = b""
                while (line := self.lines.readline()) != b".\r\n":
                    text += line
                self.server.mails.append(text.decode().replace("\r\n", "\n"))
                self.say("250 taken")
            else:
                self.say({"QUIT": "221 bye", "AUTH": "235 welcome"}.get(word, "250 ok"))
            if word == "QUIT":
                return

    def say(self, text):
        self.link.sendall(f"{text}\r\n".encode())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(certificate, key) for 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def mail():
    """`with mail(certificate) as server`: ended in any case."""

    @contextmanager
    def open_(*words, **options):
        server = Mail(*words, **options)
        try:
            yield server
        finally:
            server.end()

    return open_


def channel(port, tls, user="me"):
    return (
        f"{{kind: smtp, host: 127.0.0.1, port: {port}, tls: {tls}, user: '{user}', secret: mail-password, "
        "sender: desk@example.org, to: [me@example.org]}"
    )


def ask(desk, seconds=0.0):
    desk.clock.sleep(seconds)
    return notify(desk, secrets=lambda name: PASSWORD)[0]


@needs_openssl
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_with_a_login_goes_over_tls_only(tls, tell, mail, certificate, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail(certificate, implicit=tls == "tls") as server, tell(channel(server.port, tls)) as desk:
        alert(desk, "halt", "drawdown")
        assert (ask(desk).error, ask(desk, 60).sent) == (None, 0)
    assert "halt: drawdown" in server.texts[0]
    secret = next((secure, said) for word, secure, said in server.heard if word == "AUTH")
    assert secret[0]
    assert b64decode(secret[1].split()[-1]) == f"\0me\0{PASSWORD}".encode()
    assert all(secure for word, secure, _ in server.heard if word in ("AUTH", "MAIL", "RCPT", "DATA"))


@needs_openssl
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_that_nobody_knows_gets_no_word_and_the_mail_waits(
    tls, tell, mail, certificate, monkeypatch  # noqa: F811
):  # fmt: skip
    with mail(certificate, implicit=tls == "tls") as server, tell(channel(server.port, tls)) as desk:
        alert(desk, "halt", "drawdown")
        found = ask(desk)
        assert (found.sent, found.waiting, "certificate" in found.error) == (0, 1, True)
        assert not {word for word, _, _ in server.heard} & {"AUTH", "MAIL", "DATA"}
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))  # somebody put that right
        assert (ask(desk, 60).sent, len(server.mails)) == (1, 1)


def test_a_server_that_offers_no_tls_does_not_get_the_password(tell, mail):  # noqa: F811
    with mail() as server, tell(channel(server.port, "starttls")) as desk:
        alert(desk, "halt", "drawdown")
        assert "STARTTLS" in ask(desk).error
        assert not {word for word, _, _ in server.heard} & {"AUTH", "MAIL"}


def test_a_refused_login_says_so_without_the_password(tell, mail):  # noqa: F811
    with mail() as server, tell(channel(server.port, "none")) as desk:
        server.answers["AUTH"] = f"535 wrong: {PASSWORD}"
        alert(desk, "halt", "drawdown")
        found = ask(desk)
        assert "refused the login" in found.error
        assert PASSWORD not in found.error
        server.answers.clear()
        assert ask(desk, 60).sent == 1


def test_a_mail_server_down_for_an_hour_gets_everything_afterwards_once_and_in_order(tell, mail):  # noqa: F811
    with mail() as server:
        port = server.port
    with tell(channel(port, "none", user="")) as desk:  # nobody is there
        said = []
        for minute in range(60):
            said.append(f"number {minute}.")
            alert(desk, "slot-failed", said[-1])
            assert ask(desk, 60).sent == 0
        with mail(port=port) as server:
            server.answers["DATA"] = "451 later"
            assert "451" in ask(desk, 300).error  # it is back, and not well yet
            server.answers.clear()
            for _ in range(8):
                ask(desk, 60)
            text = "\n".join(server.texts).replace("=\n", "")
            places = [text.index(f"slot-failed: {one}") for one in said]
            assert places == sorted(places)
            assert all(text.count(f"slot-failed: {one}") == 1 for one in said)


# the library itself imports what Python 3.11 calls deprecated
old_imports = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def apprise():
    """The library itself."""
    return pytest.importorskip("apprise", reason="wants apprise: pip install 'tradekit[notify]'")


@contextmanager
def through_apprise(tell, address):  # noqa: F811
    """A desk whose only channel is an apprise address, and its look."""
    with tell("{kind: apprise, secret: apprise-url}") as desk:

        def look_(seconds=0.0):
            desk.clock.sleep(seconds)
            return notify(desk, secrets=lambda name: address)[0]

        yield desk, look_


@old_imports
def test_apprise_delivers(apprise, tell, service):  # noqa: F811
    host = service.url.removeprefix("http://")
    with through_apprise(tell, f"json://{host}/desk") as (desk, look_):
        alert(desk, "halt", "drawdown")
        assert (look_().sent, look_(60).sent) == (1, 0)
        alert(desk, "slot-failed", "books: no answer")
        assert look_().sent == 1
    (first_path, _, first), (_, _, second) = service.got
    assert (first_path.rstrip("/"), first["title"], first["type"]) == ("/desk", "desk: URGENT halt", "failure")
    assert first["message"].startswith("10:00:01 halt: drawdown")
    assert (second["title"], second["type"]) == ("desk: slot-failed", "info")


@old_imports
def test_apprise_knows_other_services(apprise, tell, service):  # noqa: F811
    host = service.url.removeprefix("http://")
    with through_apprise(tell, f"ntfy://{host}/my-topic") as (desk, look_):
        alert(desk, "halt", "drawdown")
        assert look_().sent == 1
    assert (service.got[0][2]["topic"], service.got[0][2]["title"]) == ("my-topic", "desk: URGENT halt")


@old_imports
def test_a_service_behind_apprise_that_is_down_for_an_hour(apprise, tell, service):  # noqa: F811
    service.status = 503
    with through_apprise(tell, f"json://{service.url.removeprefix('http://')}/") as (desk, look_):
        said = []
        for minute in range(60):
            said.append(f"number {minute}.")
            alert(desk, "slot-failed", said[-1])
            assert look_(60).sent == 0
        assert len(service.got) < 30
        service.status = 200
        service.got.clear()
        for _ in range(8):
            look_(60)
        kinds = [found.kind for found in desk.store.events.alerts()]
        assert kinds.count("alert.notify-failing") == 1
    lines = [line.partition("slot-failed: ")[2] for _, _, body in service.got for line in body["message"].splitlines()]
    assert [line for line in lines if line.startswith("number")] == said


@old_imports
def test_an_apprise_address_that_is_none_and_what_is_said_of_it(apprise, tell, service, caplog):  # noqa: F811
    caplog.set_level("DEBUG")
    with tell("{kind: apprise, secret: apprise-url}") as desk:
        (found,) = try_channels(desk, secrets=lambda name: f"nosuch://{PASSWORD}@host")
        assert "no address that apprise knows" in found.error
        service.status = 500
        address = f"json://me:{PASSWORD}@{service.url.removeprefix('http://')}/"
        (found,) = try_channels(desk, secrets=lambda name: address)
        assert "could not deliver" in found.error
        assert PASSWORD not in found.error
