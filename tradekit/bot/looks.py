"""Words that only look: one of the desk's own commands, shown as a phone has room for it."""

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from tradekit.base.unfinished import scratch_folder
from tradekit.bot.children import Done
from tradekit.bot.vocabulary import SECTIONS, WORDS
from tradekit.bot.words import File, Part, Picture, Text, table
from tradekit.config import BotSettings
from tradekit.desk.desk import Desk

SCRATCH = "tradekit-bot-"  # what a chart or an export is made in


class Bot(Protocol):
    """What a word of the chat may use."""

    desk: Desk

    @property
    def said(self) -> BotSettings: ...

    async def run(
        self, words: Sequence[str], *, by: int | None = None, format: str = "json", still: Callable[[], bool] = ...
    ) -> Done:
        """One of the desk's commands; where it acts `by` somebody, as long as they may and it is `still` so."""
        ...


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
    row["positions"] = [f"{p['symbol']} {plainly(p['qty'])}" for p in row.get("positions") or []]
    due = row.get("next_slot")
    if isinstance(due, dict):
        row["next_slot"] = f"{due.get('name')} {due.get('at')}"
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
        _in_percent(row, "return_pct")
        row["r_multiple"] = _rounded(row.get("r_multiple"))
    columns = {"session": "session", "symbol": "symbol", "net": "net", "return_pct": "%", "r_multiple": "R",
               "exit_reason": "out by"}  # fmt: skip
    return [Text(f"Closed trades, oldest first; net in {bot.desk.settings.desk.currency}"),
            Text(table(rows, columns), mono=True)]  # fmt: skip


async def report(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit report daily`, and the chart of the equity up to that day."""
    day = [f"--session={words[0]}"] if words else []
    until = [f"--until={words[0]}"] if words else []
    return [*await _text(bot, "report", "report", "daily", *day), *await chart(bot, until)]


async def metrics(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit report metrics`: returns by window, trades by strategy; with the chart."""
    done = await bot.run(["report", "metrics"])
    if not done.well:
        return failed("metrics", done)
    rows = done.records()
    windows = [row for row in rows if row.get("window")]
    parts: list[Part] = []
    if windows:
        for row in windows:
            _in_percent(row, "total_return", "benchmark_return", "max_drawdown")
            row["sharpe"] = _rounded(row.get("sharpe"))
        beside = str(windows[0].get("benchmark") or "benchmark")
        columns = {"window": "window", "n": "n", "total_return": "return", "benchmark_return": beside,
                   "max_drawdown": "fall", "sharpe": "sharpe"}  # fmt: skip
        parts.append(Text(f"Returns and the deepest fall, %; n sessions; {windows[0].get('note') or ''}".rstrip("; ")))
        parts.append(Text(table(windows, columns), mono=True))
    slices = [row for row in rows if row.get("by") in ("all", "strategy")]
    if slices:
        for row in slices:
            _in_percent(row, "win_rate")
            row["average_r"] = _rounded(row.get("average_r"))
        columns = {"key": "trades by", "trades": "n", "win_rate": "won %", "net": "net", "average_r": "R"}
        parts.append(Text(f"Closed trades; net in {bot.desk.settings.desk.currency}"))
        parts.append(Text(table(slices, columns), mono=True))
    return [*(parts or [Text("no closed trades and no sessions yet")]), *await chart(bot, [])]


def periods(kind: str) -> Callable[[Bot, tuple[str, ...]], Awaitable[list[Part]]]:
    """`tradekit report weekly` (or monthly), the newest last."""

    async def show(bot: Bot, words: tuple[str, ...]) -> list[Part]:
        done = await bot.run(["report", kind])
        if not done.well:
            return failed(kind, done)
        rows = done.records()
        for row in rows:
            _in_percent(row, "return_pct", "benchmark_return", "max_drawdown")
            row["fees"], row["net"] = _rounded(row.get("fees")), _rounded(row.get("net"))
        if not rows:
            return [Text("nothing to report yet")]
        columns = {"period": "period", "trades": "n", "wins": "won", "net": "net", "return_pct": "%",
                   "benchmark_return": "bench", "max_drawdown": "fall"}  # fmt: skip
        head = f"n trades, net in {bot.desk.settings.desk.currency} after fees; return, benchmark and deepest fall in %"
        return [Text(head), Text(table(rows, columns), mono=True)]

    return show


async def risk(bot: Bot, words: tuple[str, ...]) -> list[Part]:
    """`tradekit report risk`: each limit, how much of it was used at most, and what it refused."""
    done = await bot.run(["report", "risk"])
    if not done.well:
        return failed("risk", done)
    rows = done.records()
    for row in rows:
        _in_percent(row, "used")
    if not rows:
        return [Text("no limit has been looked at yet")]
    columns = {"limit": "limit", "value": "value", "used": "used %", "vetoes": "vetoes", "halts": "halts"}
    return [Text("Used: the most of each limit so far"), Text(table(rows, columns), mono=True)]


def _in_percent(row: dict[str, Any], *names: str) -> None:
    """Fractions as percent with two decimals; unknown ones stay unknown."""
    for name in names:
        row[name] = None if row.get(name) is None else round(100 * row[name], 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def a_text(*line: str) -> Callable[[Bot, tuple[str, ...]], Awaitable[list[Part]]]:
    """A word that shows a command's own table."""

    async def show(bot: Bot, words: tuple[str, ...]) -> list[Part]:
        return await _text(bot, " ".join(line), *line, *(["--", *words] if words else []))

    return show


async def _text(bot: Bot, name: str, *line: str) -> list[Part]:
    done = await bot.run(line, format="table")
    if not done.well:
        return failed(name, done)
    parts: list[Part] = [Text(done.out, mono=True)] if done.out.strip() else []
    return [*parts, *([Text("\n".join(done.talk()))] if done.talk() else [])]


async def chart(bot: Bot, range: Sequence[str]) -> list[Part]:
    """The equity and the drawdown as a picture; nothing where there are too few sessions to draw."""
    with scratch_folder(SCRATCH) as folder:
        path = folder / "equity.png"
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
    return [*([Text(may)] if may else []), Text("\n".join(lines), mono=True)]


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
    return [Text("\n".join(lines))] if lines else [Text("no alerts")]


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
    with scratch_folder(SCRATCH) as folder:
        path = folder / f"{what}.csv"
        line = ["export", what, f"--out={path}", *([f"--session={day[0]}"] if day else [])]
        done = await bot.run(line, format="csv")
        if not done.well:
            return failed(" ".join(["export", what]), done)
        if not _has_a_row(path):
            return [Text(f"no {what} to export")]
        size = path.stat().st_size / 1e6
        if size > bot.said.file_mb:
            much = f"{size:.1f} MB are more than Telegram takes ({bot.said.file_mb:g} MB)"
            return [Text(f"{much}: name a date, or tradekit export {what} on the machine")]
        name = "-".join([what, *day]) + ".csv"
        return [File(name, path.read_bytes(), f"{what} of {bot.desk.settings.desk.name}")]


def _has_a_row(csv: Path) -> bool:
    """Is there more in it than its header?"""
    with csv.open("rb") as lines:
        return sum(1 for _ in islice(lines, 2)) == 2


LOOKS: dict[str, Callable[[Bot, tuple[str, ...]], Awaitable[list[Part]]]] = {
    "status": status,
    "positions": positions,
    "trades": trades,
    "report": report,
    "weekly": periods("weekly"),
    "monthly": periods("monthly"),
    "metrics": metrics,
    "risk": risk,
    "why": a_text("why"),
    "settings": settings,
    "error": errors,
    "export": export,
    "jobs": jobs,
    "help": show_help,
    "start": show_help,
}


def failed(name: str, done: Done) -> list[Part]:
    """Why a command did not do what was asked."""
    code = "" if done.code is None else f" (exit code {done.code})"
    return [Text("\n".join([f"{name}: not done{code}", *done.talk()]))]


def plainly(value: Any) -> str:
    """A number without an exponent and without trailing zeros."""
    from decimal import Decimal

    from tradekit.commands._output import plain

    return plain(value if isinstance(value, Decimal) else Decimal(str(value)))
