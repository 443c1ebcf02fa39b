"""tradekit sim oauth"""

from typing import Annotated, Literal

import typer

from tradekit.errors import UsageError


def oauth(
    ctx: typer.Context,
    kind: Annotated[Literal["schwab", "tradestation"], typer.Argument(help="Whose habits it has.")],
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8765,
    one_use: Annotated[
        bool, typer.Option("--one-use", help="Refresh tokens rotate; a second use kills the login.")
    ] = False,
    overlap: Annotated[float, typer.Option(help="Seconds that an old refresh token still works.", min=0)] = 0.0,
    access: Annotated[float | None, typer.Option(help="Life of an access token, seconds.", min=1)] = None,
    login: Annotated[float | None, typer.Option(help="Life of a login, seconds.", min=1)] = None,
    second_factor: Annotated[bool, typer.Option("--second-factor", help="Ask for a code after the password.")] = False,
    fault: Annotated[
        list[str] | None, typer.Option(help="KIND or KIND:SECONDS for the next token requests, in order.")
    ] = None,
) -> None:
    """A local identity provider for trying out tokens: one-use refresh tokens, logins that end, answers that get lost.

    Client sim-client-id, secret sim-client-secret; a person called trader, password correct-horse-battery, code
    246810. GET /sim/stats counts requests. Runs until it is stopped.
    """
    import msgspec

    from tradekit.clock import clock_from
    from tradekit.commands._output import say
    from tradekit.sim.oauth import FAULTS, RULES, IdentityProvider
    from tradekit.sim.oauth_server import OAuthServer

    rules = msgspec.structs.replace(
        RULES[kind], one_use=one_use, overlap_s=overlap, second_factor=second_factor,
        access_s=access or RULES[kind].access_s, login_s=login or RULES[kind].login_s,
    )  # fmt: skip
    provider = IdentityProvider(rules, clock_from(ctx.obj.environ.get("TRADEKIT_CLOCK")))
    for word in fault or []:
        name, _, seconds = word.partition(":")
        if name not in FAULTS or not (seconds or "1").replace(".", "", 1).lstrip("-").isdigit():
            raise UsageError(f"no fault {word!r}", f"KIND or KIND:SECONDS; kinds: {', '.join(FAULTS)}")
        provider.script({"kind": name, "seconds": float(seconds or 1)})
    server = OAuthServer(provider, port)
    say(f"authorize_url: {server.authorize_url}")
    say(f"token_url: {server.token_url}")
    server.serve_forever()
