"""The words of the chat: how each is used, what kind of thing it does, and which arguments it takes."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Literal, NamedTuple

from tradekit.base.universe_file import SYMBOL
from tradekit.errors import UsageError

SECTIONS = ("scan", "decide", "entry", "sizing", "exits", "end_of_day", "risk", "strategies")  # /settings and /set
ID = re.compile(r"[A-Za-z0-9^][A-Za-z0-9./^_:+#-]{0,119}")
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]{1,60}){1,4}")
SCANS = ("open", "midday", "close")
EXPORTS = ("trades", "fills", "candidates", "decisions", "tax-lots", "training")
LONGEST_VALUE = 300
REASON = 200
MOST_ROWS = 200

Kind = Literal["look", "ask", "act"]  # an ask puts a question, and what follows its yes is the act


class Word(NamedTuple):
    """One word of the chat: how it is used, what for, and what kind of thing it does."""

    usage: str
    help: str
    kind: Kind
    check: Callable[[str], tuple[str, ...]]  # the text behind it as arguments; UsageError for others


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


def menu() -> Mapping[str, str]:
    """Words and their lines for Telegram's own list."""
    return {name: word.help[:250] for name, word in WORDS.items() if name != "start"}
