"""Words that trade or change something: the question that comes first, the command that is run, what is told of it."""

from collections.abc import Callable, Sequence

from tradekit.bot.children import Done
from tradekit.bot.looks import Bot, failed, plainly
from tradekit.bot.memory import Shown
from tradekit.bot.vocabulary import KEY, SECTIONS
from tradekit.bot.words import Text, table
from tradekit.config import BotSettings, Settings
from tradekit.desk.desk import Desk
from tradekit.desk.frozen import frozen
from tradekit.errors import ConfigError, UsageError


def check_key(said: BotSettings, key: str) -> None:
    """Raises UsageError for a setting that the chat may not change."""
    if key not in said.settable or key.partition(".")[0] not in SECTIONS:
        raise UsageError(f"{key} may not be changed from here", "/settings lists what may (bot.settable in desk.yaml)")


def check_settable(settings: Settings, place: Callable[..., str]) -> None:
    """Raises ConfigError where bot.settable names what never may be changed by chat."""
    for key in settings.bot.settable:
        if key.partition(".")[0] not in SECTIONS or not KEY.fullmatch(key):
            raise ConfigError(
                f"{place('bot', 'settable')}: {key!r} may not be changed by chat",
                f"bot.settable holds keys of {', '.join(SECTIONS)}",
            )


def held(desk: Desk, symbol: str | None = None) -> tuple[Shown, ...]:
    """The open positions (of a symbol) as a question shows them."""
    return tuple(
        Shown(p.id, p.symbol, plainly(p.qty)) for p in desk.store.positions.open() if symbol in (None, p.symbol)
    )


def halts(desk: Desk) -> tuple[Shown, ...]:
    """The halts in force and the frozen symbols, which a resume frees, as a question shows them."""
    symbols = tuple(Shown(f"frozen:{kind}", symbol) for kind, symbol in frozen(desk))
    return tuple(Shown(halt.id) for halt in desk.store.halts.open()) + symbols


def question(desk: Desk, what: str, shown: Sequence[Shown]) -> str:
    """What is asked before a word that trades is carried out."""
    if what == "resume":
        lines = [f"{halt.kind}: {halt.reason}" for halt in desk.store.halts.open()]
        lines += [f"{symbol} is frozen: {because}" for (_, symbol), because in frozen(desk).items()]
        return "Lift these halts? Entries go on, streaks and the drawdown count from now on.\n" + "\n".join(lines)
    currency, lines = desk.settings.desk.currency, []
    by_id = {position.id: position for position in desk.store.positions.open()}
    for one in shown:
        position = by_id.get(one.id)
        line = f"{one.qty} {one.symbol}"
        if position is not None:
            line += f", paid {plainly(position.avg_price)}"
            if position.unrealized is not None:
                line += f", open P&L {plainly(round(position.unrealized, 2))} {currency}"
        lines.append(line)
    entries = [o.symbol for o in desk.store.orders.live() if o.purpose == "entry"]
    if what == "liquidate" and entries:
        lines.append(f"and take back the entries in {', '.join(sorted(set(entries)))}")
    paper = " (paper)" if desk.settings.desk.broker == "paper" else ""
    return f"Sell now{paper}?\n" + "\n".join(lines)


async def halt(bot: Bot, user_id: int, words: tuple[str, ...]) -> Done:
    """The kill switch."""
    said = f": {words[0]}" if words else ""
    return await bot.run(["halt", f"--reason=telegram user {user_id}{said}"], by=user_id)


async def change(bot: Bot, user_id: int, words: tuple[str, ...]) -> Done:
    """A setting, through the same door as on the command line."""
    check_key(bot.said, words[0])
    return await bot.run(["config", "set", "--", *words], by=user_id)


async def scan(bot: Bot, user_id: int, words: tuple[str, ...]) -> Done:
    """A scan now."""
    return await bot.run(["scan", f"--type={words[0]}"], by=user_id)


async def sell(bot: Bot, user_id: int, what: str, shown: Sequence[Shown], *, again: bool) -> Done:
    """Sell what the question showed and is still there. `again`: an earlier process may have begun it."""
    if not again:  # the yes may have waited for another act, or for a copy of this one
        symbol = (shown[0].symbol,) if what == "close" else ()
        words = ["--", *symbol] if symbol else ["--all"]
        return await bot.run(
            ["liquidate", *words], by=user_id, still=lambda: set(held(bot.desk, *symbol)) == set(shown)
        )
    there = {one.id for one in held(bot.desk)}
    symbols = [one.symbol for one in shown if one.id in there]
    if not symbols:
        return Done(0, "[]", "it is sold already")
    return await bot.run(["liquidate", "--", *symbols], by=user_id)


async def resume(bot: Bot, user_id: int, shown: Sequence[Shown]) -> Done:
    """Lift the halts that the question showed, unless there is another one by now."""
    return await bot.run(["resume"], by=user_id, still=lambda: set(halts(bot.desk)) <= set(shown))


def value_of(settings: Settings, key: str) -> str | None:
    """A setting in force as text; None for a key that is not there."""
    from tradekit.base.settings_file import dotted, leaves
    from tradekit.commands._output import as_text

    return next((as_text(value) for keys, value in leaves(settings) if dotted(keys) == key), None)


def told(name: str, done: Done, *, was: str | None = None) -> list[Text]:
    """What became of an act; `was`: the setting before it was changed."""
    if not done.well:
        return [part for part in failed(name, done) if isinstance(part, Text)]
    rows, talk = done.records(), done.talk()
    parts = []
    if name in ("close", "liquidate") and rows:
        columns = {"symbol": "symbol", "qty": "qty", "type": "type", "status": "status", "avg_price": "at"}
        parts.append(Text(table(rows, columns), mono=True))
    elif name == "scan":
        passed = [row for row in rows if row.get("passed")]
        parts.append(Text(f"{len(passed)} candidates passed"))
        if passed:
            columns = {"symbol": "symbol", "score": "score", "price": "price", "strategy": "strategy"}
            parts.append(Text(table(passed, columns), mono=True))
    elif name == "halt":
        parts.append(Text("halted: no entry from now on; exits go on. /resume lifts it"))
    elif name == "resume":
        parts.append(Text(f"{len(rows)} halts lifted" if rows else "no halt was open"))
    elif name == "set" and rows:
        from tradekit.commands._output import as_text

        before = "" if was is None else f" (it was {was})"
        parts.append(Text(f"{rows[0].get('key')} is now {as_text(rows[0].get('value'))}{before}"))
    parts += [Text("\n".join(talk))] if talk else []
    return parts or [Text("done")]
