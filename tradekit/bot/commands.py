"""What each word of the chat runs: one of the desk's own commands with checked arguments. No rule is repeated here."""

import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from tradekit.base.logs import redact
from tradekit.base.universe_file import SYMBOL
from tradekit.bot.children import Done
from tradekit.bot.memory import Shown
from tradekit.bot.words import File, Part, Picture, Text, table
from tradekit.config import BotSettings, Settings
from tradekit.desk.desk import Desk
from tradekit.errors import ConfigError, UsageError

SECTIONS = ("scan", "decide", "entry", "sizing", "exits", "end_of_day", "risk", "strategies")  # /settings and /set
ID = re.compile(r"[A-Za-z0-9^][A-Za-z0-9./^_:+#-]{0,119}")
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]{1,60}){1,4}")
SCANS = ("open", "midday", "close")
EXPORTS = ("trades", "fills", "candidates", "decisions", "tax-lots", "training")
LONGEST_VALUE = 300
REASON = 200
MOST_ROWS = 200

Kind = Literal["look", "ask", "act"]  # an ask puts a question, and what follows its yes is the act


class Bot(Protocol):
    """What a word of the chat may use."""

    desk: Desk

    @property
    def said(self) -> BotSettings: ...

    async def run(self, words: Sequence[str], *, act: bool = False, format: str = "json") -> Done:
        """One of the desk's commands."""
        ...


class Word(NamedTuple):
    """One word of the chat: how it is used, what for, and what kind of thing it does."""

    usage: str
    help: str
    kind: Kind
    check: Callable[[str], tuple[str, ...]]  # the text behind it as arguments; UsageError for others


# arguments


def nothing(rest: str) -> tuple[str, ...]:
    """No argument."""
    if rest:
        raise UsageError("nothing goes behind this word", "")
    return ()


def a_symbol(rest: str) -> tuple[str, ...]:
    """Exactly one symbol; lower case is taken for upper case."""
    symbol = rest.upper()
    if not SYMBOL.fullmatch(symbol):
        raise UsageError("name one symbol", "e.g. /close AAPL")
    return (symbol,)


def an_id(rest: str) -> tuple[str, ...]:
    """A symbol or an id of a trade, an order, a decision."""
    if not ID.fullmatch(rest):
        raise UsageError("name a symbol or an id", "e.g. /why AAPL")
    return (rest,)


def a_count(rest: str) -> tuple[str, ...]:
    """How many rows; 10 without a number."""
    if not rest:
        return ("10",)
    if not rest.isascii() or not rest.isdigit() or not 0 < int(rest[:9]) <= MOST_ROWS:
        raise UsageError(f"a number from 1 to {MOST_ROWS}", "e.g. /trades 20")
    return (str(int(rest)),)


def a_day(rest: str) -> tuple[str, ...]:
    """A session, or none for the last one."""
    if not rest:
        return ()
    try:
        return (date.fromisoformat(rest).isoformat(),)
    except ValueError:
        raise UsageError("a date is written 2026-02-13", "or left away: the last session") from None


def a_scan(rest: str) -> tuple[str, ...]:
    """Which scan of the day."""
    kind = rest.lower() or SCANS[0]
    if kind not in SCANS:
        raise UsageError(f"a scan is one of {', '.join(SCANS)}", "e.g. /scan midday")
    return (kind,)


def an_export(rest: str) -> tuple[str, ...]:
    """What to export, and optionally of which session."""
    what, _, day = (rest.lower() or EXPORTS[0]).partition(" ")
    if what not in EXPORTS:
        raise UsageError(f"there are {', '.join(EXPORTS)}", "e.g. /export trades 2026-02-13")
    return (what, *a_day(day.strip()))


def a_section(rest: str) -> tuple[str, ...]:
    """A section of the settings that the chat may see, or none for what it may change."""
    name = rest.lower()
    if name and name not in SECTIONS:
        raise UsageError(f"there are {', '.join(SECTIONS)}", "the others are seen on the machine: tradekit config show")
    return (name,) if name else ()


def a_setting(rest: str) -> tuple[str, ...]:
    """A key and its new value, one line of YAML."""
    key, _, value = rest.partition(" ")
    value = value.strip()
    if not KEY.fullmatch(key) or not value or len(value) > LONGEST_VALUE or not value.isprintable():
        raise UsageError("a key and a value", "e.g. /set risk.max_positions 3; /settings lists the keys")
    return (key, value)


def a_reason(rest: str) -> tuple[str, ...]:
    """Why, in one line."""
    words = "".join(c if c.isprintable() else " " for c in rest)[:REASON].strip()
    return (words,) if words else ()


WORDS: dict[str, Word] = {
    "status": Word("/status", "the desk in one page", "look", nothing),
    "positions": Word("/positions", "what is held", "look", nothing),
    "trades": Word("/trades [N]", "the last closed trades", "look", a_count),
    "report": Word("/report [DATE]", "the day, with its chart", "look", a_day),
    "weekly": Word("/weekly", "week by week", "look", nothing),
    "monthly": Word("/monthly", "month by month", "look", nothing),
    "metrics": Word("/metrics", "against the benchmark, with the equity chart", "look", nothing),
    "risk": Word("/risk", "how close each limit came", "look", nothing),
    "why": Word("/why SYMBOL", "the whole chain behind a symbol, a trade, an order", "look", an_id),
    "close": Word("/close SYMBOL", "sell a position; asks first", "ask", a_symbol),
    "liquidate": Word("/liquidate", "sell everything; asks first", "ask", nothing),
    "halt": Word("/halt [WHY]", "no entry from now on; at once", "act", a_reason),
    "resume": Word("/resume", "lift every halt; asks first", "ask", nothing),
    "settings": Word("/settings [SECTION]", "what may be changed from here", "look", a_section),
    "set": Word("/set KEY VALUE", "change a setting", "act", a_setting),
    "scan": Word("/scan [open|midday|close]", "scan the universe now", "act", a_scan),
    "error": Word("/error [N]", "the last alerts", "look", a_count),
    "export": Word("/export [WHAT] [DATE]", f"a CSV file: {', '.join(EXPORTS)}", "look", an_export),
    "jobs": Word("/jobs", "today's schedule and what became of it", "look", nothing),
    "help": Word("/help", "this list", "look", nothing),
    "start": Word("/start", "this list", "look", lambda rest: ()),  # clients send a word of their own behind it
}


# looks


async def look(bot: Bot, name: str, words: tuple[str, ...]) -> list[Part]:
    """The answer to a word that only looks."""
    return await LOOKS[name](bot, words)


async def show_help(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """Every word with its line."""
    lines = [f"{word.usage} - {word.help}" for name, word in WORDS.items() if name != "start"]
    return [Text(f"{bot.desk.settings.desk.name}: a desk of tradekit ({bot.desk.settings.desk.broker})"),
            Text("\n".join(lines))]  # fmt: skip


async def status(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit status` without what a phone has no room for."""
    from tradekit.commands._output import as_list

    done = await bot.run(["status"])
    rows = done.records()
    if not done.well or not rows:
        return failed("status", done)
    row = rows[0]
    row["positions"] = [f"{p['symbol']} {_plain(p['qty'])}" for p in row.get("positions") or []]
    supervisor = row.get("supervisor")
    if isinstance(supervisor, dict):
        row["supervisor"] = f"{supervisor.get('state')}, pid {supervisor.get('pid')}"
    for away in ("desk", "clock", "last_runs", "last_success", "unfinished", "account_at"):
        row.pop(away, None)
    money = f"money in {bot.desk.settings.desk.currency}; equity, cash and daily P&L: {row.pop('account', '')}"
    return [Text(as_list(row), mono=True), Text(money)]


async def positions(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit positions` in six columns."""
    done = await bot.run(["positions"])
    if not done.well:
        return failed("positions", done)
    rows = done.records()
    if not rows:
        return [Text("nothing is held")]
    columns = {"symbol": "symbol", "qty": "qty", "avg_price": "paid", "last_price": "last", "unrealized": "P&L",
               "stop_price": "stop"}  # fmt: skip
    return [Text(f"Held; prices and open P&L in {bot.desk.settings.desk.currency}"),
            Text(table(rows, columns), mono=True)]  # fmt: skip


async def trades(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit trades` in six columns."""
    done = await bot.run(["trades", "--limit", words[0]])
    if not done.well:
        return failed("trades", done)
    rows = done.records()
    if not rows:
        return [Text("no closed trades")]
    for row in rows:
        row["percent"] = None if row.get("return_pct") is None else round(100 * row["return_pct"], 2)
    columns = {"session": "session", "symbol": "symbol", "net": "net", "percent": "%", "r_multiple": "R",
               "exit_reason": "out by"}  # fmt: skip
    return [Text(f"Closed trades, oldest first; net in {bot.desk.settings.desk.currency}"),
            Text(table(rows, columns), mono=True)]  # fmt: skip


async def report(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit report daily`, and the chart of the equity up to that day."""
    day = [f"--session={words[0]}"] if words else []
    until = [f"--until={words[0]}"] if words else []
    return [*await _text(bot, "report", "report", "daily", *day), *await chart(bot, until)]


async def metrics(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit report metrics` with the chart."""
    return [*await _text(bot, "metrics", "report", "metrics"), *await chart(bot, [])]


def a_text(*line: str) -> Callable[[Bot, tuple[str, ...]], Awaitable[list[Part]]]:
    """A word that shows a command's own table."""

    async def show(bot: Bot, words: tuple[str, ...]) -> list[Part]:
        return await _text(bot, " ".join(line), *line, *(["--", *words] if words else []))

    return show


async def _text(bot: Bot, name: str, *line: str) -> list[Part]:
    done = await bot.run(line, format="table")
    if not done.well:
        return failed(name, done)
    parts: list[Part] = [Text(redact(done.out), mono=True)] if done.out.strip() else []
    return [*parts, *([Text("\n".join(done.talk()))] if done.talk() else [])]


async def chart(bot: Bot, range: Sequence[str]) -> list[Part]:
    """The equity and the drawdown as a picture; nothing where there are too few sessions to draw."""
    with tempfile.TemporaryDirectory(prefix="tradekit-bot-") as folder:
        path = Path(folder) / "equity.png"
        done = await bot.run(["report", "equity", f"--out={path}", *range])
        if not done.well or not path.is_file():
            return [Text("no chart: " + " ".join(done.talk()))] if not done.well else []
        rows = done.records()
        caption = f"Equity in {bot.desk.settings.desk.currency}, drawdown in %"
        if rows:
            caption += f"; {rows[0]['session']} to {rows[-1]['session']}"
        return [Picture(path.read_bytes(), caption)]


async def settings(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit config show` of one section, or of what /set may change."""
    done = await bot.run(["config", "show", "--", *words])
    if not done.well:
        return failed("config show", done)
    rows = [row for row in done.records() if str(row.get("key")).partition(".")[0] in SECTIONS]
    if not words:
        rows = [row for row in rows if row["key"] in bot.said.settable]
    if not rows:
        return [Text("nothing may be changed from here: bot.settable is empty")]
    may = "" if words else "What /set may change (/settings SECTION shows more)"
    from tradekit.commands._output import as_list

    said = as_list({str(row["key"]): row["value"] for row in rows})
    keys = [str(row["key"]) for row in rows]
    lines = [key + line[len(key) :] for key, line in zip(keys, said.splitlines(), strict=False)]  # `_` as it is typed
    return [*([Text(may)] if may else []), Text(redact("\n".join(lines)), mono=True)]


async def errors(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit events --alerts`, one line each in exchange time."""
    done = await bot.run(["events", "--alerts", "--limit", words[0]])
    if not done.well:
        return failed("events", done)
    from tradekit.clock import parse_time

    lines = []
    for row in done.records():
        at = parse_time(str(row["at"])).astimezone(bot.desk.calendar.zone)
        kind = str(row["kind"]).removeprefix("alert.")
        lines.append(f"{at:%m-%d %H:%M:%S} {kind}: {(row.get('data') or {}).get('message', '')}")
    return [Text(redact("\n".join(lines)))] if lines else [Text("no alerts")]


async def jobs(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit schedule show`: today's slots."""
    done = await bot.run(["schedule", "show"])
    if not done.well:
        return failed("schedule show", done)
    rows = done.records()
    if not rows:
        return [Text("no slots today")]
    zone = f"Today's slots, {bot.desk.calendar.zone.key}"
    return [
        Text(zone),
        Text(table(rows, {"local": "at", "name": "slot", "times": "times", "state": "state"}), mono=True),
    ]


async def export(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit export` into a file that is sent and not kept."""
    what, *day = words
    with tempfile.TemporaryDirectory(prefix="tradekit-bot-") as folder:
        path = Path(folder) / f"{what}.csv"
        line = ["export", what, f"--out={path}", *([f"--session={day[0]}"] if day else [])]
        done = await bot.run(line, format="csv")
        if not done.well:
            return failed(" ".join(["export", what]), done)
        if not path.is_file() or not path.stat().st_size:
            return [Text(f"no {what} to export")]
        size = path.stat().st_size / 1e6
        if size > bot.said.file_mb:
            much = f"{size:.1f} MB are more than Telegram takes ({bot.said.file_mb:g} MB)"
            return [Text(f"{much}: name a date, or tradekit export {what} on the machine")]
        name = "-".join([what, *day]) + ".csv"
        return [File(name, path.read_bytes(), f"{what} of {bot.desk.settings.desk.name}")]


LOOKS: dict[str, Callable[[Bot, tuple[str, ...]], Awaitable[list[Part]]]] = {
    "status": status,
    "positions": positions,
    "trades": trades,
    "report": report,
    "weekly": a_text("report", "weekly"),
    "monthly": a_text("report", "monthly"),
    "metrics": metrics,
    "risk": a_text("report", "risk"),
    "why": a_text("why"),
    "settings": settings,
    "error": errors,
    "export": export,
    "jobs": jobs,
    "help": show_help,
    "start": show_help,
}


# acts


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
        Shown(p.id, p.symbol, _plain(p.qty)) for p in desk.store.positions.open() if symbol in (None, p.symbol)
    )


def halts(desk: Desk) -> tuple[Shown, ...]:
    """The halts in force as a question shows them."""
    return tuple(Shown(halt.id) for halt in desk.store.halts.open())


def question(desk: Desk, what: str, shown: Sequence[Shown]) -> str:
    """What is asked before a word that trades is carried out."""
    if what == "resume":
        lines = [f"{halt.kind}: {halt.reason}" for halt in desk.store.halts.open()]
        return "Lift these halts? Entries go on, streaks and the drawdown count from now on.\n" + "\n".join(lines)
    currency, lines = desk.settings.desk.currency, []
    by_id = {position.id: position for position in desk.store.positions.open()}
    for one in shown:
        position = by_id.get(one.id)
        line = f"{one.qty} {one.symbol}"
        if position is not None:
            line += f", paid {_plain(position.avg_price)}"
            if position.unrealized is not None:
                line += f", open P&L {_plain(round(position.unrealized, 2))} {currency}"
        lines.append(line)
    entries = [o.symbol for o in desk.store.orders.live() if o.purpose == "entry"]
    if what == "liquidate" and entries:
        lines.append(f"and take back the entries in {', '.join(sorted(set(entries)))}")
    paper = " (paper)" if desk.settings.desk.broker == "paper" else ""
    return f"Sell now{paper}?\n" + "\n".join(lines)


async def halt(bot: Bot, user_id: int, words: tuple[str, ...]) -> Done:
    """The kill switch."""
    said = f": {words[0]}" if words else ""
    return await bot.run(["halt", f"--reason=telegram user {user_id}{said}"], act=True)


async def change(bot: Bot, words: tuple[str, ...]) -> Done:
    """A setting, through the same door as on the command line."""
    check_key(bot.said, words[0])
    return await bot.run(["config", "set", "--", *words], act=True)


async def scan(bot: Bot, words: tuple[str, ...]) -> Done:
    """A scan now."""
    return await bot.run(["scan", f"--type={words[0]}"], act=True)


async def sell(bot: Bot, what: str, shown: Sequence[Shown], *, again: bool) -> Done:
    """Sell what the question showed and is still there. `again`: an earlier process may have begun it."""
    still = {one.id for one in held(bot.desk)}
    symbols = [one.symbol for one in shown if one.id in still]
    if what == "liquidate" and not again:
        return await bot.run(["liquidate", "--all"], act=True)
    if not symbols:
        return Done(0, "[]", "it is sold already")
    return await bot.run(["liquidate", "--", *symbols], act=True)


def told(name: str, done: Done) -> list[Text]:
    """What became of an act."""
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
        parts.append(Text(f"{rows[0].get('key')} is now {rows[0].get('value')}"))
    parts += [Text("\n".join(talk))] if talk else []
    return parts or [Text("done")]


def failed(name: str, done: Done) -> list[Part]:
    """Why a command did not do what was asked."""
    code = "" if done.code is None else f" (exit code {done.code})"
    return [Text("\n".join([f"{name}: not done{code}", *done.talk()]))]


def _plain(value: Any) -> str:
    from decimal import Decimal

    from tradekit.commands._output import plain

    return plain(value if isinstance(value, Decimal) else Decimal(str(value)))


def menu() -> Mapping[str, str]:
    """Words and their lines for Telegram's own list."""
    return {name: word.help[:250] for name, word in WORDS.items() if name != "start"}
