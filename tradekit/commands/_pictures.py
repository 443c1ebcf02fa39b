"""Small pictures in text: bars and sparklines, for people who would rather look than read."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

TICKS = "▁▂▃▄▅▆▇█"


def bar(value: float | Decimal, largest: float | Decimal, width: int = 16) -> str:
    """A bar to the right for gains, to the left for losses, around a middle line: `   ███|      `."""
    half = width // 2
    n = 0 if not largest else min(half, round(abs(float(value)) / float(largest) * half))
    full = "█" * (n or (1 if value else 0))
    return f"{full:>{half}}|{'':<{half}}" if value < 0 else f"{'':>{half}}|{full:<{half}}"


def sparkline(values: Sequence[float | None]) -> str:
    """One character a value, lowest to highest; a space where it is unknown."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if v is None else TICKS[min(7, int((v - low) / span * 8))] for v in values)


def thinned(values: Sequence[float | None], width: int = 60) -> list[float | None]:
    """At most `width` of the values, evenly chosen, first and last kept."""
    if len(values) <= width:
        return list(values)
    return [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)]


def percent(x: float | None, digits: int = 2) -> float | None:
    """A fraction in percent, for a table."""
    return None if x is None else round(x * 100, digits)


def minutes(x: float | None) -> float | None:
    """Seconds in minutes, for a table."""
    return None if x is None else round(x / 60, 1)


def rounded(x: float | Decimal | None, digits: int = 2) -> float | Decimal | None:
    """Rounded, unknown stays unknown."""
    if x is None:
        return None
    return round(x, digits) if isinstance(x, Decimal) else round(float(x), digits)


def share(part: float, whole: float, width: int = 12) -> str:
    """How much of a whole: `████········`; empty where the whole is nothing. Something is never drawn as nothing."""
    if whole <= 0:
        return ""
    n = min(width, max(1 if part > 0 else 0, round(part / whole * width)))
    return "█" * n + "·" * (width - n)


def drawn() -> bool:
    """Are pictures drawn? Where a person looks at a terminal, not into pipes and files."""
    import os
    import sys

    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def pictured(rows: Sequence[Mapping[str, Any]], picture: str = " ") -> str:
    """A table with its column of pictures where they are drawn and the terminal is wide enough, else without."""
    from tradekit.commands._output import as_table, fits

    if drawn():
        text = as_table(rows)
        if fits(text):
            return text
    return as_table([{name: value for name, value in row.items() if name != picture} for row in rows])


def rich_print(text: str, styles: Sequence[tuple[str, str]] = ()) -> None:
    """Print; where pictures are drawn with losses red, gains green and the words of `styles` in their colour."""
    if not drawn():
        print(text, end="")
        return
    from rich.console import Console
    from rich.text import Text

    shown = Text(text, end="")
    for pattern, style in ((r"█+(?=\|)", "red"), (r"(?<=\|)█+", "green"), (f"[{TICKS}]{{2,}}", "cyan")):
        shown.highlight_regex(pattern, style)
    for word, style in styles:
        shown.highlight_words([word], style)
    Console(soft_wrap=True, highlight=False).print(shown, end="")
