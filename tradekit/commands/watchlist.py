"""tradekit watchlist [list|add|remove]"""

from typing import TYPE_CHECKING, Annotated

import typer

from tradekit.commands._filters import SessionOption, SymbolOption
from tradekit.errors import UsageError

if TYPE_CHECKING:
    from tradekit.store import Store

COLUMNS = ("symbol", "session", "at", "by", "score", "strategy", "because", "id")


def watchlist(
    ctx: typer.Context,
    action: Annotated[str, typer.Argument(metavar="[list|add|remove]", help="What to do.")] = "list",
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL]...")] = None,
    because: Annotated[str, typer.Option("--because", help="Why it is watched; kept with it.")] = "",
    session: SessionOption = None,
    symbol: SymbolOption = None,
) -> None:
    """Symbols that are watched: those whose newest entry decision is WATCH, and those that were added by hand.

    Safe to run twice: adding again changes the reason, removing what is not there says so and is no error.
    """
    from tradekit.commands._context import read_store, recorded
    from tradekit.commands._output import say, show

    names = list(dict.fromkeys(name.strip().upper() for name in symbols or []))
    if action not in ("list", "add", "remove"):
        raise UsageError(f"watchlist {action}: not known", "tradekit watchlist list, add SYMBOL or remove SYMBOL")
    if (action == "list") == bool(names):
        raise UsageError("add and remove want symbols, list wants none", f"tradekit watchlist {action} AAPL")
    if action == "list":
        with read_store(ctx.obj) as store:
            show(_rows(store, session, symbol), ctx.obj.format, empty="nothing is watched", of=COLUMNS)
        return
    with recorded(ctx.obj, f"watchlist {action}") as store:
        for name in names:
            if action == "add":
                _add(store, name, because)
            elif not store.watched.remove(name):
                say(f"{name} is not on the list")
        show(_rows(store, None, None), ctx.obj.format, empty="nothing is watched", of=COLUMNS)


def _add(store: "Store", name: str, because: str) -> None:
    from zoneinfo import ZoneInfo

    from tradekit.desk.open import desk_clock
    from tradekit.model import Watched

    if not name.replace("-", "").replace("/", "").replace(".", "").isalnum():
        raise UsageError(f"{name!r} is no symbol", "tradekit watchlist add AAPL")
    now = desk_clock(store.meta.get("clock_at")).now()
    day = now.astimezone(ZoneInfo("America/New_York")).date()
    store.watched.put(Watched(symbol=name, at=now, session=day, by="operator", because=because))


def _rows(store: "Store", session: str | None, symbol: str | None) -> list[dict[str, object]]:
    from tradekit.commands._filters import filters

    asked = filters(session=session, symbol=symbol)
    rows: list[dict[str, object]] = [
        dict(zip(COLUMNS, (d.symbol, d.session, d.at, d.by, d.score, d.strategy, d.because, d.id), strict=True))
        for d in store.watchlist.all(**asked)
    ]  # fmt: skip
    rows += [
        dict(zip(COLUMNS, (w.symbol, w.session, w.at, w.by, None, None, w.because, None), strict=True))
        for w in store.watched.all(**asked)
    ]  # fmt: skip
    return rows
