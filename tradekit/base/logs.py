"""Logging: talk on stderr, JSON lines in logs/, and a filter in front of both that no secret passes."""

import logging
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tradekit.base.files import private_folder
from tradekit.clock import SystemClock, iso

MASK = "***"
_values: set[str] = set()  # what the resolver handed out, and the forms it may take on its way into a text
_PATTERNS = [
    re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}"),
    re.compile(r"(?i)([\w-]*(?:api[_-]?key|key[_-]?id|secret|token|password|passwd|authorization|signature)[\w-]*)"
               r"(\"?\s*[=:]\s*\"?)([^\s\"'&,;]{4,})"),
    re.compile(r"(?i)(/bot)\d{5,}:[a-z0-9_-]{20,}"),  # Telegram puts the token into the path
    re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
    re.compile(r"(?i)(://[^/\s:@]+:)[^/\s@]+(@)"),
]  # fmt: skip


def remember_secret(value: str) -> None:
    """From now on this value (plain, base64, URL-encoded, reversed) is masked in every log and traceback."""
    if len(value) < 4:
        return
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    forms = {value, value[::-1], quote(value, safe=""), quote_plus(value)}
    forms |= {b64encode(value.encode()).decode(), b64encode(value.encode()).decode().rstrip("=")}
    half = len(value) // 2
    if half >= 8:
        forms |= {value[:half], value[half:], value[half:] + value[:half]}
    _values.update(form for form in forms if len(form) >= 4)


def redact(text: str) -> str:
    """The text with every known secret, and what looks like one, replaced by ***."""
    for value in sorted(_values, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _PATTERNS[0].sub(lambda m: f"{m[1]} {MASK}", text)
    text = _PATTERNS[1].sub(lambda m: f"{m[1]}{m[2]}{MASK}", text)
    text = _PATTERNS[2].sub(lambda m: m[1] + MASK, text)
    text = _PATTERNS[3].sub(MASK, text)
    return _PATTERNS[4].sub(lambda m: m[1] + MASK + m[2], text)


def redact_words(argv: Iterable[str]) -> str:
    """A command line as one redacted text, for run rows."""
    return redact(" ".join(argv))


class Redactor(logging.Filter):
    """Puts the finished, redacted message in the place of format and arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redact("".join(traceback.format_exception(*record.exc_info)))
            record.exc_info = None
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, message, run, traceback."""

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self._run_id = run_id

    def format(self, record: logging.LogRecord) -> str:
        import msgspec

        row: dict[str, Any] = {
            "at": iso(SystemClock().now()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._run_id:
            row["run_id"] = self._run_id
        if record.exc_text:
            row["traceback"] = record.exc_text
        return msgspec.json.encode(row).decode()


def set_up(desk: Path | None, *, verbose: bool = False, quiet: bool = False, run_id: str | None = None) -> None:
    """Send log records to stderr (warnings; with verbose all) and, on a desk, to logs/tradekit.jsonl."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if getattr(handler, "tradekit", False):
            root.removeHandler(handler)
            handler.close()
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    talk = logging.StreamHandler()
    talk.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    talk.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)
    handlers: list[logging.Handler] = [talk]
    if desk is not None:
        handlers += _file_handler(desk / "logs", run_id)
    for handler in handlers:
        handler.tradekit = True  # type: ignore[attr-defined]  # ours: replaced by the next set_up
        handler.addFilter(Redactor())
        root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "urllib3", "telegram"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _file_handler(folder: Path, run_id: str | None) -> list[logging.Handler]:
    """The handler of logs/tradekit.jsonl (0600); none where the folder cannot be written."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / "tradekit.jsonl"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        file = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        return []
    file.setFormatter(JsonLines(run_id))
    return [file]


def save_traceback(error: BaseException, desk: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, str]:
    """Write an error's redacted traceback into the desk's logs/ (else the user's state folder).

    Returns the file's path (None: no folder could be written) and the text.
    """
    text = redact("".join(traceback.format_exception(error)))
    state = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tradekit"
    now = SystemClock().now()
    name = f"traceback-{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    folders = [state / "logs"] if desk is None else [desk / "logs", state / "logs"]
    for folder in folders:
        try:
            private_folder(folder)
            fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            return folder / name, text
        except OSError:
            continue
    return None, text
