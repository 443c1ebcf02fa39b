"""The table of commands: each is a name, where it lives and a line of help; a module is loaded when it is called.

`main` takes the global options from anywhere in the line, runs one command and turns what it raised into
a message, a hint and an exit code.
"""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tradekit.base.interrupts import Interrupted, handled
from tradekit.commands._context import Context
from tradekit.errors import NothingToDo, TradekitError, UsageError

Found = TypeVar("Found")
Entry = tuple[str, str]  # module:function (under tradekit.commands; a trailing _ is tried), one line of help

SECTIONS: dict[str, dict[str, Entry | dict[str, Entry]]] = {
    "The desk": {
        "init": ("init:init", "Make a desk: settings, universe, books, calendar."),
        "doctor": ("doctor:doctor", "Check everything; 7 when a row failed."),
        "config": {
            "show": ("config:show", "The settings in force; --origin says where each came from."),
            "get": ("config:get", "One setting."),
            "set": ("config:set", "Change desk.yaml, comments kept."),
            "schema": ("config:schema", "The JSON schema of desk.yaml."),
            "session": ("config:session", "Record an unscheduled closure or other hours."),
        },
        "version": ("version:version", "The version of tradekit and of what it stands on."),
        "backup": ("backup:backup", "Copy the books while they are in use."),
        "restore": ("restore:restore", "Put a backup in the place of the books."),
    },
    "Market data": {
        "data": {
            "import": ("data:import", "Bars in, from CSV or Parquet files."),
            "import-fills": ("import_fills:import_fills", "Fills in, from brokers' statements."),
            "list": ("data:list", "The series there are."),
            "check": ("data:check", "Look for gaps, splits and bad ticks."),
            "synthetic": ("data:synthetic", "Make up a market from a seed."),
        },
        "quote": ("quote:quote", "The last quote, its age and source."),
    },
    "The flow": {
        "scan": ("scan:scan", "Universe to candidates."),
        "decide": ("decide:decide", "Candidates to BUY, WATCH or SKIP, positions to CLOSE or HOLD."),
        "approve": ("approve:approve", "Say yes to a waiting decision."),
        "skip": ("skip:skip", "Say no to a waiting decision."),
        "enter": ("enter:enter", "Decisions through the risk gate to orders."),
        "monitor-exits": ("monitor_exits:monitor_exits", "Sell what the exit rules say."),
        "liquidate": ("liquidate:liquidate", "Close managed positions now."),
        "cancel": ("cancel:cancel", "Cancel a working order."),
        "plan": ("plan:plan", "Show or change the exit plan of a position."),
        "reconcile": ("reconcile:reconcile", "Make the books agree with the broker."),
        "halt": ("halt:halt", "The kill switch: no more entries."),
        "resume": ("resume:resume", "Lift a halt."),
        "adopt": ("adopt:adopt", "Put a broker position under management."),
        "release": ("release:release", "Take a position out of management."),
    },
    "Tokens": {
        "refresh-token": ("refresh_token:refresh_token", "Refresh the OAuth tokens that are due; log in."),
        "token": {
            "status": ("token:status", "Minutes and days left; 4: a login is needed, 7: soon."),
            "print": ("token:print", "The access token on stdout, for pipelines."),
            "import": ("token:import", "Take a login over from another program's file."),
            "watch-file": ("token:watch_file", "Keep a token file fresh for a program that reads it."),
            "serve": ("token:serve", "Hand tokens to other programs over HTTP on 127.0.0.1."),
        },
        "secret": {
            "set": ("secret:set", "Store a password or a key in the keyring or a 0600 file."),
            "list": ("secret:list", "Which secrets the desk uses, and where each is."),
        },
    },
    "Looking": {
        "status": ("status:status", "The desk in one page."),
        "positions": ("positions:positions", "Open positions."),
        "orders": ("orders:orders", "Orders."),
        "fills": ("fills:fills", "Fills."),
        "trades": ("trades:trades", "Closed trades."),
        "candidates": ("candidates:candidates", "What the scans found."),
        "decisions": ("decisions:decisions", "What was decided and why."),
        "runs": ("runs:runs", "What ran, when, how it ended."),
        "events": ("events:events", "What happened; alerts among it."),
        "watchlist": ("watchlist:watchlist", "Symbols that a WATCH put aside."),
        "why": ("why:why", "The whole chain behind a trade, an order or a symbol."),
        "audit": ("audit:audit", "Do the books foot; silent when clean, 7 with findings."),
        "sql": ("sql:sql", "Read-only SQL over desk.db."),
        "report": {
            "daily": ("report:daily", "The day: books, blindness, trades, funnel."),
            "fills": ("report:fills", "Decision price, arrival quote, fill, slippage."),
            "funnel": ("report:funnel", "From the universe to trades, and where the rest went."),
            "overnight": ("report_overnight:overnight", "What is held, its stops, what a bad night would cost."),
            "weekly": ("report_periods:weekly", "Week by week."),
            "monthly": ("report_periods:monthly", "Month by month, with weeks."),
            "exits": ("report_exits:exits", "By exit rule: which of them ever wins."),
            "vetoes": ("report_vetoes:vetoes", "Who said no, and what the refused did."),
            "metrics": ("report_metrics:metrics", "Against the benchmark; by strategy, hour, regime."),
            "risk": ("report_risk:risk", "How close each limit came."),
            "equity": ("report_equity:equity", "Equity and drawdown by session; as a picture."),
            "poor-signals": ("report_poor_signals:poor_signals", "Trades that a reversal ended."),
            "tearsheet": ("report_tearsheet:tearsheet", "One HTML page with everything."),
        },
        "analyze": {
            "entry-timing": ("analyze:entry_timing", "How late the picks and the entries were."),
            "price-movement": ("analyze:price_movement", "What the price did after entries and exits."),
            "targets": ("analyze:targets", "Which targets could have been reached."),
            "what-if": ("analyze:what_if", "The same entries with other plans."),
            "missed": ("analyze:missed", "What was not bought, and why."),
            "symbol": ("analyze:symbol", "One symbol's history with this desk."),
            "signals": ("analyze:signals", "Which features separated winners from losers."),
        },
        "export": {
            "trades": ("export:trades", "Closed trades."),
            "fills": ("export:fills", "Fills."),
            "candidates": ("export:candidates", "Candidates, features and outcomes."),
            "decisions": ("export:decisions", "Decisions."),
            "tax-lots": ("export:tax_lots", "Tax lots, wash sales flagged."),
            "training": ("export:training", "State, action, reward."),
        },
    },
    "Running": {
        "jobs": {
            "snapshot": ("jobs:snapshot", "End of day: the account as it stands."),
            "outcomes": ("jobs:outcomes", "What became of every candidate."),
            "track": ("jobs:track", "Score positions and the regime every half hour."),
            "cleanup": ("jobs:cleanup", "Remove what is old, after a backup."),
        },
        "schedule": {
            "show": ("schedule:show", "When each slot of a day is due."),
            "crontab": ("schedule:crontab", "The schedule as lines for cron."),
            "systemd": ("schedule:systemd", "Units for systemd: a supervisor, or timers."),
        },
        "run-slot": ("run_slot:run_slot", "Run one slot of the schedule if it is due."),
        "notify": ("notify:notify", "Send alerts and chosen events to the outside."),
        "bot": ("bot:bot", "Answer the desk's chat on Telegram."),
        "supervise": ("supervise:supervise", "Run the whole schedule, day after day, from one process."),
        "replay": ("replay:replay", "The schedule over recorded bars in virtual time."),
        "paper": {
            "deposit": ("paper:deposit", "Pay cash into the paper account (or out of it)."),
            "hold": ("paper:hold", "Give the paper account shares that are not the desk's."),
            "reset": ("paper:reset", "Start the paper account again."),
        },
        "sim": {
            "venue": ("sim:venue", "A local venue over the paper engine that misbehaves on request."),
            "oauth": ("sim_oauth:oauth", "A local identity provider that misbehaves on request."),
        },
    },
}
COMMANDS: dict[str, Entry | dict[str, Entry]] = {n: e for section in SECTIONS.values() for n, e in section.items()}

GLOBAL_HELP = """Everywhere, before or after the command's name:
  -C DIR              the desk (else TRADEKIT_DESK, desk.yaml here or above)
  --format F          table, json, jsonl or csv (else TRADEKIT_FORMAT); --json --jsonl --csv
  -q, --quiet         no talk on stderr
  -v, --verbose       more talk, tracebacks too
  --exit-code         3 instead of 0 when there was nothing to do
"""
FORMATS = ("table", "json", "jsonl", "csv")
NO_MEMORY = ("out of memory or processes", "free some, or raise the limits of this service")
EXTRAS = {
    "uvicorn": "serve", "telegram": "bot", "PIL": "bot", "pyarrow": "parquet", "numba": "fast", "distributed": "dask",
    "talib": "test",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and leave the process with its exit code."""
    _fill_closed_streams()
    gc.set_threshold(50_000, 20, 20)  # imports make thousands of objects that stay: looking at them again costs 5 ms
    with handled():
        code = run(list(sys.argv[1:] if argv is None else argv))
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()
    sys.exit(code)


def _fill_closed_streams() -> None:
    """Put /dev/null where 0, 1 or 2 was closed (`>&-`): else the next file would get that number, and its output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)
            if fd != number:
                os.dup2(fd, number, inheritable=True)
                os.close(fd)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 for the process


def run(argv: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command line; its exit code. Nothing is raised."""
    context = Context(environ=environ)
    try:
        context, rest = global_options(argv, environ)
        code = dispatch(rest, context)
        sys.stdout.flush()
        return code
    except NothingToDo as nothing:
        if not context.quiet:
            print(f"tradekit: {nothing.message}", file=sys.stderr)
        return 3 if context.exit_code else 0
    except TradekitError as error:
        if error.code == 1:
            return _bug(error, context)
        return fail(error.code, error.message, error.hint, context.format, error.retryable)
    except (KeyboardInterrupt, Interrupted) as stop:
        return _stopped(stop, context)
    except BrokenPipeError:
        _drop_stdout()
        return 141
    except MemoryError:
        return fail(1, *NO_MEMORY, context.format, True)
    except OSError as error:
        return _no_access(error, context)
    except Exception as error:
        if isinstance(error, RuntimeError) and isinstance(error.__cause__, (KeyboardInterrupt, Interrupted)):
            return _stopped(error.__cause__, context)  # a signal in __set_name__, which Python 3.11 wraps
        return _missing_extra(error, context) if isinstance(error, ModuleNotFoundError) else _bug(error, context)


# reading the line


def global_options(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[Context, list[str]]:
    """Take the global options out of a line, wherever they stand before `--`. Raises UsageError."""
    asked: str | None = None
    format = environ.get("TRADEKIT_FORMAT") or "table"
    flags = {"quiet": False, "verbose": False, "exit_code": False}
    names = {"-q": "quiet", "--quiet": "quiet", "-v": "verbose", "--verbose": "verbose", "--exit-code": "exit_code"}
    rest: list[str] = []
    words = [_checked(word) for word in argv]
    while words:
        word = words.pop(0)
        if word == "--":
            rest += ["--", *words]
            break
        if word in ("-C", "--format"):
            if not words:
                raise UsageError(f"{word} wants a {'folder' if word == '-C' else 'format'}", "tradekit --help")
            value = words.pop(0)
            asked, format = (value, format) if word == "-C" else (asked, value)
        elif word.startswith("--format="):
            format = word.partition("=")[2]
        elif word.startswith("-C") and len(word) > 2:
            asked = word[2:]
        elif word in ("--json", "--jsonl", "--csv"):
            format = word[2:]
        elif word in names:
            flags[names[word]] = True
        else:
            rest.append(word)
    if asked == "":
        raise UsageError("-C wants a folder", "tradekit -C DIR ...")
    if format not in FORMATS and not (format == "parquet" and rest[:1] == ["export"]):
        raise UsageError(f"no format {format!r}{did_you_mean(format, FORMATS)}", "table, json, jsonl or csv")
    path = Path(asked) if asked is not None else None
    return Context(asked=path, format=format, argv=tuple(argv), environ=environ, **flags), rest


def _checked(word: str) -> str:
    """A word that can go into the books and onto the terminal. UsageError where its bytes are no UTF-8."""
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = word.encode("utf-8", "backslashreplace").decode()
        raise UsageError(f"{shown} is not UTF-8 text", "rename the file, or set LC_ALL=C.UTF-8") from None
    return word


def dispatch(words: list[str], context: Context) -> int:
    """Find the command that the words name and call it; 0 unless it exits otherwise."""
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(top_help())
        return 0
    name, rest = ("version" if words[0] == "--version" else words[0]), words[1:]
    entry = _look_up(name, COMMANDS, "tradekit")
    if isinstance(entry, dict):
        if not rest or rest[0] in ("--help", "-h"):
            sys.stdout.write(group_help(name, entry))
            return 0
        entry = _look_up(rest[0], entry, f"tradekit {name}")
        name, rest = f"{name} {rest[0]}", rest[1:]
    return call(name, entry, rest, context)


def _look_up(name: str, table: Mapping[str, Found], where: str) -> Found:
    if name in table:
        return table[name]
    if name.startswith("-"):
        raise UsageError(f"no such option: {name}", f"{where} --help")
    close = did_you_mean(name, table)
    raise UsageError(f"no command {name!r} in {where}{close}", f"{where} --help")


def did_you_mean(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """`, did you mean 'scan'?`, or nothing where no known word is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


# calling


def load(target: str) -> Callable[..., Any]:
    """The function behind module:function; `import` may be spelled `import_`."""
    from importlib import import_module

    module_name, _, function = target.partition(":")
    module = import_module(f"tradekit.commands.{module_name}")
    found: Callable[..., Any] = getattr(module, function + "_", None) or getattr(module, function)
    return found


def command(name: str, entry: Entry, words: Sequence[str] = ()) -> Any:
    """The typer command of one entry, alone in its app; a negative number among `words` is no option."""
    import typer
    from typer.main import get_command

    app = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
    negative = any(word[:1] == "-" and word[1:].lstrip(".")[:1].isdigit() for word in words)
    settings = {"ignore_unknown_options": True} if negative else None
    app.command(name.split()[-1], epilog="Global options: tradekit --help.", context_settings=settings)(load(entry[0]))
    return get_command(app)


def call(name: str, entry: Entry, words: list[str], context: Context) -> int:
    """Parse the words after a command's name and run it. Raises what the command raises."""
    program = command(name, entry, words)
    from typer import Abort, Exit, TyperException

    from tradekit.commands import _output

    _output.quiet, _output.idle = context.quiet, False
    try:
        with program.make_context(f"tradekit {name}", words, obj=context) as typer_context:
            program.invoke(typer_context)
    except Exit as done:
        return done.exit_code
    except Abort:
        raise KeyboardInterrupt from None
    except TyperException as error:
        raise UsageError(error.format_message(), f"tradekit {name} --help") from None
    return 3 if context.exit_code and _output.idle else 0


# help


def top_help() -> str:
    """What `tradekit --help` prints: every command with its line, from the table alone."""
    lines = ["Usage: tradekit [-C DIR] COMMAND [ARGS]", "", "A trading desk made of commands. Paper is the default."]
    for title, section in SECTIONS.items():
        lines += ["", f"{title}:"]
        for name, entry in section.items():
            text = entry[1] if isinstance(entry, tuple) else ", ".join(entry)
            lines.append(f"  {name:<14} {text}")
    return "\n".join([*lines, "", GLOBAL_HELP])


def group_help(name: str, group: Mapping[str, Entry]) -> str:
    """What `tradekit GROUP --help` prints."""
    lines = [f"Usage: tradekit {name} COMMAND [ARGS]", ""]
    lines += [f"  {sub:<14} {entry[1]}" for sub, entry in group.items()]
    return "\n".join([*lines, "", GLOBAL_HELP])


# failing


def fail(code: int, message: str, hint: str, format: str, retryable: bool = False) -> int:
    """Say what went wrong on stderr (with json also as one object); the code, for handing on."""
    try:
        print(f"tradekit: {message}", file=sys.stderr)
        if hint:
            print(f"fix: {hint}", file=sys.stderr)
        if format in ("json", "jsonl"):
            from tradekit.commands._output import as_object

            row = {"code": code, "error": message, "hint": hint, "retryable": retryable}
            print(as_object(row), file=sys.stderr)
    except OSError:
        pass  # nobody is listening
    return code


def _stopped(stop: BaseException, context: Context) -> int:
    code = stop.code if isinstance(stop, Interrupted) and isinstance(stop.code, int) else 130
    return fail(code, "interrupted" if code == 130 else "terminated", "", context.format, True)


def _no_access(error: OSError, context: Context) -> int:
    import errno

    if error.errno in (errno.ENOMEM, errno.EAGAIN):
        return fail(1, *NO_MEMORY, context.format, True)
    store = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) and not error.filename:
        _drop_stdout()  # what it still holds would fail again at the end
        return fail(9, f"what was printed could not be written: {error.strerror}", "make room", context.format)
    if error.errno in store and error.filename:
        hint = (
            "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check its owner and mode: tradekit doctor"
        )
        return fail(9, f"{error.filename}: {error.strerror}", hint, context.format)
    return _bug(error, context)


def _missing_extra(error: ModuleNotFoundError, context: Context) -> int:
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    if extra is None:
        return _bug(error, context)
    return fail(2, f"{error.name} is not installed", f"pip install 'tradekit[{extra}]'", context.format)


def _bug(error: Exception, context: Context) -> int:
    try:
        from tradekit.base.logs import save_traceback
    except (MemoryError, ImportError):  # what failed before, a library that could not be mapped, failed for the same
        return fail(1, *NO_MEMORY, context.format, True)

    if type(error).__module__ == "sqlite3":
        code, message, hint = 9, f"the store cannot be used: {error}", "tradekit doctor"
    else:
        code, message, hint = 1, f"a bug: {type(error).__name__}: {error}", "report it with the traceback"
    path, text = save_traceback(error, context.desk, context.environ)
    if context.verbose or path is None:
        print(text, file=sys.stderr, end="")
    if path is not None:
        message += f" (traceback in {path})"
    return fail(code, message, hint, context.format)


def _drop_stdout() -> None:
    """Whoever read our output has left: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
