"""tradekit refresh-token"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tradekit.errors import AuthError, NothingToDo, StoreError, TradekitError, UsageError

if TYPE_CHECKING:
    from tradekit.clock import Clock
    from tradekit.commands._context import Context
    from tradekit.store import Store
    from tradekit.tokens.coordinator import Coordinator

DAY_S = 86400


def refresh_token(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Argument(help="A name under `providers` in desk.yaml; else all.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Refresh whatever the token's age.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Every provider (the default).")] = False,
    login: Annotated[
        Literal["paste", "listen", "browser"] | None,
        typer.Option(help="Log in: paste the callback, wait for it, or drive a browser (read docs/tokens.md)."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is due; ask and write nothing.")] = False,
) -> None:
    """Refresh the OAuth tokens that are due: one process at a time, all others adopt the result.

    Safe to run every minute and from many programs: with nothing due there is no network call, and nothing is written,
    not even a run row. A login that ends soon is said from day 6 of 7; 4 when somebody has to log in.
    """
    from tradekit.commands._context import read_settings, recorded
    from tradekit.commands._output import show

    loaded = read_settings(ctx.obj)
    names = _names(list(loaded.settings.providers), provider, all_, login)
    if not (force or login or dry_run):
        owners = [_owner(ctx.obj, loaded.settings, name, None) for name in names]
        if all(_at_rest(owner) for owner in owners):
            show([_row(owner, "fresh") for owner in owners], ctx.obj.format)
            return
    broken: StoreError | None = None
    with ExitStack() as stack:
        store: Store | None = None
        try:
            store = stack.enter_context(recorded(ctx.obj, "refresh-token", loaded.hash))
        except StoreError as error:  # tokens are looked after all the same: exits hang on them
            broken = error
        owners = [_owner(ctx.obj, loaded.settings, name, store) for name in names]
        if dry_run:
            show(
                [_row(owner, "due" if _due(owner, force) else "fresh") for owner in owners],
                ctx.obj.format,
                dry_run=True,
            )
            return
        errors: list[TradekitError] = []
        if login:
            for owner in owners:
                _log_in(ctx.obj, owner, login)
            rows = [_row(owner, "login") for owner in owners]
        else:
            rows, errors = _refresh(owners, force)
        show(rows, ctx.obj.format)
        _warn(ctx.obj, loaded.settings, owners, store)
        if errors:
            raise max(errors, key=lambda error: isinstance(error, AuthError))
    if broken is not None:
        raise broken


def _names(known: list[str], asked: str | None, everything: bool, login: str | None) -> list[str]:
    if asked is not None and everything:
        raise UsageError("a provider and --all: one of them", "tradekit refresh-token --all")
    if asked is not None:
        return [asked]
    if not known:
        raise NothingToDo("no providers in desk.yaml: nothing to refresh")
    if login and len(known) > 1:
        raise UsageError(f"log in to which: {', '.join(known)}?", f"tradekit refresh-token {known[0]} --login {login}")
    return known


def _owner(context: "Context", settings: Any, name: str, store: "Store | None") -> "Coordinator":
    import os

    from tradekit.base.crashpoint import VARIABLE
    from tradekit.clock import clock_from
    from tradekit.tokens import open_owner

    clock = clock_from(context.environ.get("TRADEKIT_CLOCK"))
    owner = open_owner(name, settings, clock, context.environ, reporter(store, clock, name))
    if os.environ.get(VARIABLE) and not owner.provider.token_url.startswith("http://"):
        raise UsageError(f"{VARIABLE} is set and {name} is a real provider", f"unset {VARIABLE}")
    return owner


def reporter(store: "Store | None", clock: "Clock", provider: str) -> Callable[[str, str], None]:
    """What a human must see: a line on stderr and, where there is a store, an alert in it."""

    def report(kind: str, message: str) -> None:
        import sys

        from tradekit.commands._output import say

        if kind == "note":
            say(message)
            return
        print(f"ALERT {kind}: {message}", file=sys.stderr)
        if store is not None:
            from tradekit.model import Event

            at = clock.now()
            store.events.add(
                Event(
                    id=f"{at:%Y%m%dT%H%M%S%f}-alert.{kind}-{provider}",
                    at=at,
                    session=None,
                    run_id=None,
                    kind=f"alert.{kind}",
                    ref=provider,
                    data={"message": message},
                )
            )

    return report


def _refresh(owners: "list[Coordinator]", force: bool) -> tuple[list[dict[str, Any]], list[TradekitError]]:
    """Every provider is tried: one that fails stops no other."""
    rows: list[dict[str, Any]] = []
    errors: list[TradekitError] = []
    for owner in owners:
        try:
            did: str = owner.ensure(force=force, strict=True).did
        except TradekitError as error:
            errors.append(error)
            did = "failed"
        rows.append(_row(owner, did))
    return rows, errors


def _at_rest(owner: "Coordinator") -> bool:
    """Nothing to refresh and nothing to say about this login."""
    try:
        token = owner.vault.find()
    except AuthError:
        return False
    if token is None or owner.vault.is_foreign(token) or token.problem is not None:
        return False
    state = owner.state(token)
    return not state.due and state.login in ("ok", "unknown")


def _due(owner: "Coordinator", force: bool) -> bool:
    token = owner.vault.find()
    return force or token is None or owner.state(token).due


def _log_in(context: "Context", owner: "Coordinator", how: str) -> None:
    from tradekit.tokens import login

    match how:
        case "paste":
            login.paste(owner)
        case "listen":
            login.listen(owner)
        case _:
            from tradekit.tokens import browser

            browser.log_in(owner, context.here, context.environ)


def _row(owner: "Coordinator", did: str) -> dict[str, Any]:
    from tradekit.commands.token import row_of

    try:
        token = owner.vault.find()
    except AuthError as error:
        return {"provider": owner.provider.name, "did": did} | row_of(None, None, error.message)
    state = owner.state(token) if token else None
    problem = token.problem.message if token and token.problem else ""
    return {"provider": owner.provider.name, "did": did} | row_of(token, state, problem)


def _warn(context: "Context", settings: Any, owners: "list[Coordinator]", store: "Store | None") -> None:
    """The login's end comes nearer: said by every run; an alert once a day."""
    from datetime import timedelta

    from tradekit.commands._output import say
    from tradekit.tokens import warnings

    clock = owners[0].clock
    mine = {owner.provider.name for owner in owners}
    for name, sentence in warnings(settings, clock, context.environ):
        if name not in mine:
            continue
        since = clock.now() - timedelta(seconds=DAY_S)
        seen = store is None or any(
            event.kind == "alert.token-login" and event.ref == name for event in store.events.alerts(since)
        )
        if seen:
            say(f"warning: {sentence}")
        else:
            reporter(store, clock, name)("token-login", sentence)
