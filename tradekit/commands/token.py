"""tradekit token: look at the tokens, hand them to other programs"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradekit.errors import AuthError, Findings, NothingToDo, UsageError

if TYPE_CHECKING:
    from tradekit.commands._context import Context
    from tradekit.tokens.coordinator import Coordinator
    from tradekit.tokens.provider import State
    from tradekit.tokens.token import Token

COLUMNS = ("provider", "did", "access", "minutes_left", "login", "days_left", "generation", "via", "by", "problem")
ProviderName = Annotated[str | None, typer.Argument(help="A name under `providers`; not needed where there is one.")]


def row_of(token: "Token | None", state: "State | None", problem: str) -> dict[str, Any]:
    """What is shown of a token; never the token."""
    from tradekit.tokens import days

    if token is None or state is None:
        return {
            "access": "none", "minutes_left": None, "refresh_due": None, "login": "needed", "days_left": None,
            "generation": None, "via": None, "by": None, "issued_at": None, "login_at": None, "skew_s": None,
            "problem": problem or "nobody has logged in yet",
        }  # fmt: skip
    return {
        "access": state.access,
        "minutes_left": int(state.access_left_s / 6) / 10,
        "refresh_due": state.due,
        "login": state.login,
        "days_left": days(state.login_left_s),
        "generation": token.generation,
        "via": token.via,
        "by": token.by,
        "issued_at": token.issued_at,
        "login_at": token.login_at,
        "skew_s": token.skew_s,
        "problem": problem or None,
    }


def status(ctx: typer.Context) -> None:
    """Minutes and days left of every login, and who refreshed last; 4 when a login is needed, 7 when one is near.

    Reads files only: no network, no keyring.
    """
    from tradekit.clock import clock_from
    from tradekit.commands._context import read_settings
    from tradekit.commands._output import show
    from tradekit.tokens import standing

    settings = read_settings(ctx.obj).settings
    clock = clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK"))
    found = list(standing(settings, clock, ctx.obj.environ))
    rows = [{"provider": name} | row_of(token, state, problem) for name, token, state, problem in found]
    shown = [name for name in COLUMNS if name != "did"]
    show(
        rows, ctx.obj.format, empty="no providers in desk.yaml", columns=shown, of=("provider", *row_of(None, None, ""))
    )
    needed = [row["provider"] for row in rows if row["login"] == "needed"]
    if needed:
        raise AuthError(f"a login is needed: {', '.join(needed)}", f"tradekit refresh-token {needed[0]} --login paste")
    near = [f"{row['provider']} in {row['days_left']} days" for row in rows if row["login"] == "soon"]
    if near:
        raise Findings(
            f"a login ends soon: {', '.join(near)}", f"tradekit refresh-token {near[0].split()[0]} --login paste"
        )


def print_(
    ctx: typer.Context,
    provider: ProviderName = None,
    yes_print_secret: Annotated[
        bool, typer.Option("--yes-print-secret", help="On a terminal: yes, show it on the screen.")
    ] = False,
) -> None:
    """The access token on stdout, refreshed first where that is due: for shell pipelines.

    Whoever can read the output can trade until the token ends. A terminal needs --yes-print-secret.
    """
    import sys

    if sys.stdout.isatty() and not yes_print_secret:
        raise UsageError(
            "this would show a secret on the screen", "pipe it, or tradekit token print --yes-print-secret"
        )
    outcome = owner_of(ctx.obj, provider).ensure()
    if ctx.obj.format in ("json", "jsonl"):
        import msgspec

        fields = {"access_token": outcome.token.access_token, "token_type": outcome.token.token_type}
        sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
    else:
        sys.stdout.write(outcome.token.access_token + "\n")


def import_(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="schwab-py's token file, OAuth JSON, or access_token/refresh_token/expiry.")
    ],
    provider: Annotated[str | None, typer.Option(help="A name under `providers`.")] = None,
) -> None:
    """Take a login over from another program's token file.

    The file is only read. A file without times counts as expired: the next refresh puts that right. What is stored is
    kept where it came after the file: importing the same file again does no harm.
    """
    from tradekit.base.secrets import private_file
    from tradekit.commands._output import say, show
    from tradekit.errors import ConfigError
    from tradekit.tokens.formats import parse

    owner = owner_of(ctx.obj, provider)
    text = private_file(file)
    if text is None:
        raise UsageError(f"{file}: no such file, or it is empty", "tradekit token import FILE")
    try:
        token = parse(text.encode(), owner.provider.name, owner.provider.client_id)
    except ValueError as error:
        raise ConfigError(
            f"{file}: {error}", "schwab-py's file, OAuth JSON, or access_token/refresh_token/expiry"
        ) from None
    try:
        old = owner.vault.find()
    except AuthError:
        old = None
    kept = owner.adopt(token, "import")
    show({"provider": owner.provider.name} | row_of(kept, owner.state(kept), ""), ctx.obj.format)
    if old is not None and kept.generation == old.generation:
        say(f"{file} has nothing newer than what is stored: that is kept")
    say(f"{file} is not needed any more; programs that read it: tradekit token watch-file {file}")


def watch_file(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file that another program reads; made 0600.")],
    provider: Annotated[str | None, typer.Option(help="A name under `providers`.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="schwab-py, plain or expiry; default: as the file is, else schwab-py for Schwab.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = 5.0,
    margin: Annotated[float, typer.Option(help="The token in the file always lives at least so many seconds.")] = 420.0,
    once: Annotated[bool, typer.Option("--once", help="One look, then end (for cron).")] = False,
) -> None:
    """Keep a token file up to date for a program that only reads files.

    The program must not refresh by itself: what it writes into the file is noticed, taken over and said. Runs until
    it is stopped; a second copy on the same file is refused (8).
    """
    from tradekit.base.locks import Lock
    from tradekit.base.logs import set_up
    from tradekit.commands._output import say
    from tradekit.tokens.formats import LAYOUTS
    from tradekit.tokens.watch import Watched

    if layout is not None and layout not in LAYOUTS:
        raise UsageError(f"no layout {layout!r}", ", ".join(LAYOUTS))
    set_up(ctx.obj.desk, verbose=ctx.obj.verbose, quiet=ctx.obj.quiet)
    owner = owner_of(ctx.obj, provider)
    watched = Watched(owner, path, layout, margin)
    with Lock(path.with_name(f".{path.name}.tradekit-lock"), what=f"watch {path.name}"):
        watched.look(patient=not once)
        say(f"{path} follows {owner.provider.name}")
        while not once:
            owner.clock.sleep(every)
            watched.look(patient=True)


def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8787,
    every: Annotated[float, typer.Option(help="Seconds between two looks at what is due.", min=0.1)] = 15.0,
) -> None:
    """Hand tokens to other programs over HTTP on 127.0.0.1, and refresh them while it runs.

    GET /auth/token/PROVIDER, POST /auth/refresh/PROVIDER, GET /health. The bearer secret is made at the first start;
    its file is named on stderr.
    """
    from tradekit.base.logs import set_up
    from tradekit.commands._output import say
    from tradekit.tokens.serve import TokenServer, serve_secret
    from tradekit.tokens.vault import tokens_folder

    names = list(settings_of(ctx.obj).providers)
    if not names:
        raise NothingToDo("no providers in desk.yaml: nothing to serve")
    set_up(ctx.obj.desk, verbose=ctx.obj.verbose, quiet=ctx.obj.quiet)
    path, secret = serve_secret(tokens_folder(ctx.obj.environ))
    server = TokenServer({name: owner_of(ctx.obj, name) for name in names}, secret, port)
    say(f"http://127.0.0.1:{server.server_address[1]} serves {', '.join(names)}; the bearer secret is in {path}")
    server.run(every)


def settings_of(context: "Context") -> Any:
    from tradekit.commands._context import read_settings

    return read_settings(context).settings


def owner_of(context: "Context", name: str | None) -> "Coordinator":
    """The coordinator of a provider; without a name the only one there is."""
    from tradekit.clock import clock_from
    from tradekit.tokens import open_owner

    settings = settings_of(context)
    if name is None:
        known = list(settings.providers)
        if len(known) != 1:
            raise UsageError(
                f"which provider: {', '.join(known)}?" if known else "no providers in desk.yaml",
                "name one" if known else "tradekit config set providers.schwab.client_id ID",
            )
        name = known[0]
    return open_owner(name, settings, clock_from(context.environ.get("TRADEKIT_CLOCK")), context.environ, _say)


def _say(kind: str, message: str) -> None:
    from tradekit.commands._output import say

    say(message if kind == "note" else f"ALERT {kind}: {message}")
