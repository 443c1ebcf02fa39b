"""A local identity provider and a vault of its own for every test."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from tradekit.clock import ManualClock
from tradekit.config import ProviderSettings, Settings
from tradekit.sim.oauth import RULES, IdentityProvider
from tradekit.sim.oauth_server import OAuthServer
from tradekit.tokens import open_owner
from tradekit.tokens.login import begin, code_from

CLIENT, SECRET = "sim-client-id", "sim-client-secret"
START = datetime(2026, 2, 13, 14, 0, tzinfo=UTC)
CALLBACK = "https://127.0.0.1:8182/cb"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder; the client secret is in the environment, as a cron job may have it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for kind in ("SCHWAB", "TRADESTATION", "ACME"):
        monkeypatch.setenv(f"TRADEKIT_SECRET_{kind}_CLIENT_SECRET", SECRET)
    return tmp_path / "state" / "tradekit" / "tokens"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def provide(clock: ManualClock) -> Iterator[Callable[..., OAuthServer]]:
    """`provide("schwab", one_use=True)`: a running provider on the test's clock."""
    running: list[OAuthServer] = []

    def make(kind: str = "schwab", *, at=None, **rules: object) -> OAuthServer:
        server = OAuthServer(IdentityProvider(replace(RULES[kind], **rules), at or clock))
        server.start()
        running.append(server)
        return server

    yield make
    for server in running:
        server.stop()


def settings_for(server: OAuthServer, name: str | None = None, **also: object) -> Settings:
    """desk.yaml's `providers` for a local provider."""
    rules = server.provider.rules
    section = ProviderSettings(
        client_id=CLIENT,
        authorize_url=server.authorize_url,
        token_url=server.token_url,
        **{"redirect_uri": CALLBACK, "one_use": rules.one_use, **also},
    )
    return Settings(providers={name or rules.kind: section})


@pytest.fixture
def own(state, clock) -> Callable[..., SimpleNamespace]:
    """`own(server)`: a coordinator over it, and the alerts it raised."""

    def make(server: OAuthServer, at=None, **also: object):
        alerts: list[tuple[str, str]] = []
        settings = settings_for(server, **also)
        name = next(iter(settings.providers))
        owner = open_owner(name, settings, at or clock, os.environ, lambda kind, text: alerts.append((kind, text)))
        return SimpleNamespace(owner=owner, alerts=alerts, settings=settings, name=name, idp=server.provider)

    return make


def log_in(owner, idp) -> None:
    """A person logs in through the pages, the callback is pasted."""
    begun = begin(owner.provider)
    from urllib.parse import parse_qsl, urlsplit

    handle = idp.authorize(dict(parse_qsl(urlsplit(begun.url).query)))
    idp.step(handle, {"login": idp.person.name})
    page, _ = idp.step(handle, {"password": idp.person.password})
    if page == "code":
        idp.step(handle, {"code": idp.person.code})
    page, url = idp.step(handle, {"terms": "on"})
    assert page == "done"
    owner.log_in(code_from(url, begun, owner.provider), begun.verifier)


def desk_yaml(desk: Path, server: OAuthServer, name: str | None = None, **also: object) -> None:
    """Add `providers` to a desk's settings."""
    rules = server.provider.rules
    lines = [f"providers:\n  {name or rules.kind}:\n    client_id: {CLIENT}"]
    facts = {"authorize_url": server.authorize_url, "token_url": server.token_url, "redirect_uri": CALLBACK}
    facts |= {"one_use": str(rules.one_use).lower()} | also
    lines += [f"    {key}: {value}" for key, value in facts.items()]
    put_providers(desk, "\n".join(lines) + "\n")


def put_providers(desk: Path, section: str) -> None:
    """Put a section in the place of the empty one that `init` writes."""
    text = (desk / "desk.yaml").read_text()
    assert "\nproviders:\n" in text
    (desk / "desk.yaml").write_text(text.replace("\nproviders:\n", f"\n{section}", 1))
