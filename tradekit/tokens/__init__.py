"""One owner for every OAuth token: many programs and processes use it, one at a time refreshes it."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tradekit.clock import Clock
from tradekit.errors import AuthError, UsageError

if TYPE_CHECKING:
    from tradekit.config import Settings
    from tradekit.tokens.coordinator import Coordinator
    from tradekit.tokens.grant import Client
    from tradekit.tokens.provider import State
    from tradekit.tokens.token import Token


def open_owner(
    name: str,
    settings: "Settings",
    clock: Clock,
    environ: Mapping[str, str] = os.environ,
    report: Callable[[str, str], None] | None = None,
) -> "Coordinator":
    """The coordinator of `providers.NAME`. Nothing is read but settings: no network, no keyring.

    Raises UsageError for a name that desk.yaml does not have, ConfigError for what its section lacks.
    """
    from tradekit.tokens.coordinator import Coordinator
    from tradekit.tokens.provider import provider_from
    from tradekit.tokens.vault import Vault, tokens_folder

    if name not in settings.providers:
        known = ", ".join(settings.providers) or "none"
        raise UsageError(
            f"no provider {name!r} in desk.yaml; known: {known}", f"tradekit config set providers.{name}.client_id ID"
        )
    provider = provider_from(name, settings.providers[name])
    vault = Vault(tokens_folder(environ), name, provider.client_id, kind=provider.type)

    def client() -> "Client":
        from tradekit.tokens.grant import Client

        return Client(provider, lambda: client_secret(provider.secret_name, environ, owner.report), clock)

    owner = (
        Coordinator(provider, vault, client, clock)
        if report is None
        else Coordinator(provider, vault, client, clock, report)
    )
    return owner


def client_secret(name: str, environ: Mapping[str, str], report: Callable[[str, str], None]) -> str:
    """The client secret, from wherever base.secrets finds it; a fallback to the 0600 file is said. Raises AuthError."""
    from tradekit.base.secrets import secret

    found = secret(name, environ)
    if found.origin == "file":
        report("note", f"no keyring has {name}: the 0600 file is used")
    return found.value


def bearer(
    name: str, settings: "Settings", clock: Clock, environ: Mapping[str, str] = os.environ
) -> Callable[[bool], str]:
    """`token(refresh)` for an adapter's base.net.Http (or base.net.bearer_auth)."""
    from tradekit.tokens.coordinator import Bearer

    return Bearer(open_owner(name, settings, clock, environ))


def standing(
    settings: "Settings", clock: Clock, environ: Mapping[str, str] = os.environ
) -> "Iterator[tuple[str, Token | None, State | None, str]]":
    """(name, token, state, problem) of every provider; the problem is a sentence, empty where there is none.

    Reads files only; never raises for what it finds in them.
    """
    from tradekit.tokens.vault import Missing

    for name in settings.providers:
        try:
            owner = open_owner(name, settings, clock, environ)
            token = owner.vault.read()
        except Missing:
            yield name, None, None, "nobody has logged in yet"
        except (AuthError, UsageError) as error:
            yield name, None, None, error.message
        else:
            state = owner.provider.state(token, clock.now() + timedelta(seconds=token.skew_s))
            yield name, token, state, token.problem.message if token.problem else ""


def warnings(settings: "Settings", clock: Clock, environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, str]]:
    """(provider, sentence) for every login that ends soon or has ended: what each run says."""
    for name, _, state, problem in standing(settings, clock, environ):
        fix = f"fix: tradekit refresh-token {name} --login paste"
        if state is None or state.login == "needed":
            yield name, f"{name}: a login is needed{f' ({problem})' if problem else ''}; {fix}"
        elif state.login == "soon":
            yield name, f"{name}: the login ends in {days(state.login_left_s)} days; {fix}"


def days(seconds: Any) -> float | None:
    """Days with one decimal, rounded down: never more than there are."""
    return None if seconds is None else int(seconds / 8640) / 10
