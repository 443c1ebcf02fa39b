"""A person logs in: the provider's page in their browser, and its callback pasted or caught here."""

import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from tradekit.base.logs import remember_secret
from tradekit.errors import AuthError, ConfigError, UpstreamError
from tradekit.tokens.coordinator import Coordinator
from tradekit.tokens.provider import Provider
from tradekit.tokens.token import Token

LISTEN_S = 300.0


class Begun(NamedTuple):
    """A login under way: the page to open, and what its callback must match."""

    url: str
    state: str
    verifier: str | None


def begin(provider: Provider) -> Begun:
    """A fresh authorize URL with state and, where the provider takes it, PKCE. Raises ConfigError."""
    import secrets
    from base64 import urlsafe_b64encode

    if not provider.redirect_uri:
        raise ConfigError(
            f"providers.{provider.name}.redirect_uri is missing",
            f"tradekit config set providers.{provider.name}.redirect_uri https://127.0.0.1 (as it is registered)",
        )
    state, verifier = secrets.token_urlsafe(24), None
    asked = {"response_type": "code", "client_id": provider.client_id, "redirect_uri": provider.redirect_uri}
    asked |= provider.authorize_params() | {"state": state}
    if provider.pkce:
        verifier = secrets.token_urlsafe(64)
        remember_secret(verifier)
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    return Begun(f"{provider.authorize_url}?{urlencode(asked)}", state, verifier)


def code_from(url: str, begun: Begun, provider: Provider) -> str:
    """The code in a callback URL. Raises AuthError where it is another login's or holds an error."""
    import hmac

    again = f"tradekit refresh-token {provider.name} --login paste"
    found = parse_qs(urlsplit(url.strip()).query)
    word = {key: values[0] for key, values in found.items()}
    for secret in word.values():
        remember_secret(secret)
    if not is_callback(url.strip(), provider.redirect_uri):
        raise AuthError(f"{provider.name}: this is not the callback {provider.redirect_uri}?code=...", again)
    if "error" in word:
        said = word["error"] if word["error"].replace("_", "").isalnum() else "an error"
        raise AuthError(f"{provider.name}: the login ended with {said}", again)
    if not hmac.compare_digest(word.get("state", "").encode(), begun.state.encode()):
        raise AuthError(f"{provider.name}: this callback belongs to another login (its state differs)", again)
    if "code" not in word:
        raise AuthError(f"{provider.name}: there is no code in the callback", again)
    return word["code"]


def is_callback(url: str, redirect_uri: str) -> bool:
    """True where a URL is the registered callback, whatever its query."""
    asked, found = urlsplit(redirect_uri), urlsplit(url)
    return (asked.scheme, asked.netloc, asked.path or "/") == (found.scheme, found.netloc, found.path or "/")


def talk(text: str) -> None:
    """A line for the person; not silenced by -q, since they are needed."""
    print(text, file=sys.stderr, flush=True)


def paste(owner: Coordinator, read: Callable[[], str] | None = None) -> Token:
    """Show the page's address, read the callback from stdin. Raises AuthError."""
    begun = begin(owner.provider)
    talk("Open this address, log in, and paste the address that the browser ends at (it may say that the page cannot")
    talk(f"be reached; be quick, the code lives about 30 seconds):\n\n{begun.url}\n")
    answer = (read or sys.stdin.readline)()
    if not answer.strip():
        raise AuthError(f"{owner.provider.name}: nothing was pasted", owner.vault.login)
    return owner.log_in(code_from(answer, begun, owner.provider), begun.verifier)


def listen(owner: Coordinator, wait_s: float = LISTEN_S) -> Token:
    """Show the page's address, wait for the browser to come back to the registered loopback callback, once.

    https callbacks get a certificate made for this login: the browser warns about it. Raises AuthError, ConfigError.
    """
    from tradekit.clock import SystemClock

    begun = begin(owner.provider)
    server = _listener(owner.provider.redirect_uri)
    try:
        talk(f"Open this address and log in; this waits up to {wait_s:.0f} s for the browser to come back:")
        talk(f"\n{begun.url}\n")
        clock = SystemClock()
        deadline = clock.monotonic() + wait_s
        while not server.found and clock.monotonic() < deadline:
            server.timeout = min(1.0, max(0.01, deadline - clock.monotonic()))
            server.handle_request()
    finally:
        server.server_close()
    if not server.found:
        raise AuthError(f"{owner.provider.name}: nobody logged in within {wait_s:.0f} s", owner.vault.login)
    return owner.log_in(code_from(server.found, begun, owner.provider), begun.verifier)


def _listener(redirect_uri: str) -> Any:
    """A server for exactly one callback on this machine, http or https."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked = urlsplit(redirect_uri)
    if asked.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ConfigError(f"the callback {redirect_uri} is not on this machine", "--login paste")
    port = asked.port or (443 if asked.scheme == "https" else 80)
    context = _certificate() if asked.scheme == "https" else None

    class Handler(BaseHTTPRequestHandler):
        server: "Listener"
        timeout = 5  # a connection that says nothing does not block the one that does

        def setup(self) -> None:
            if context is not None:
                self.request.settimeout(5)
                self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            if context is not None:  # the server closes the bare socket only
                self.request.close()

        def do_GET(self) -> None:
            url = f"{asked.scheme}://{asked.netloc}{self.path}"
            good = is_callback(url, redirect_uri) and "?" in self.path
            if good:
                self.server.found = url
            text = b"tradekit has what it needs; you can close this page.\n" if good else b"not here\n"
            self.send_response(200 if good else 404)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the line would hold the code."""

    class Listener(HTTPServer):
        found = ""

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Browsers open connections on a guess and drop them: no error."""

    try:
        return Listener(("127.0.0.1", port), Handler)
    except OSError as error:
        raise UpstreamError(f"port {port} of this machine: {error.strerror}", "--login paste") from None


def _certificate() -> Any:
    """A server context with a key and certificate for 127.0.0.1, made now and forgotten after."""
    import ssl
    import subprocess
    import tempfile
    from pathlib import Path
    from shutil import which

    if which("openssl") is None:
        raise ConfigError("an https callback needs the program openssl", "install openssl, or --login paste")
    with tempfile.TemporaryDirectory(prefix="tradekit-login-") as folder:
        key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", key, "-out", certificate],
            check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context
