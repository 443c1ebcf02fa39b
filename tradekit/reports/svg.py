"""Small pictures as inline SVG: lines, areas, bars, dots. Colours are CSS classes, so light and dark are the page's."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 720.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 10.0, 10.0, 24.0
MOST = 500  # points of a line: more than a screen can show


class Line(NamedTuple):
    """One series over 0..n-1; None is a gap. `css`: its class."""

    values: Sequence[float | None]
    css: str
    name: str


class Frame(NamedTuple):
    """The plot area and its scales."""

    x0: float
    x1: float
    y0: float  # value at the bottom
    y1: float
    width: float = WIDTH
    height: float = HEIGHT

    def x(self, value: float) -> float:
        span = self.x1 - self.x0 or 1.0
        return LEFT + (value - self.x0) / span * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        span = self.y1 - self.y0 or 1.0
        return self.height - BOTTOM - (value - self.y0) / span * (self.height - TOP - BOTTOM)


def n(x: float) -> str:
    """A coordinate with one digit, as short as can be."""
    text = f"{x:.1f}"
    return text[:-2] if text.endswith(".0") else text


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two values."""
    span = high - low
    if span <= 0:
        return [low]
    raw = span / count
    power = 10.0 ** floor(log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = int(-(-low // step))
    return [round(i * step, 12) for i in range(first, int(high // step) + 1)]


def svg(body: str, label: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """The picture with a name for those who cannot see it."""
    return f'<svg viewBox="0 0 {n(width)} {n(height)}" role="img" aria-label="{escape(label)}">{body}</svg>'


def thinned(values: Sequence[float | None], most: int = MOST) -> list[tuple[int, float | None]]:
    """(place, value): of each stretch its lowest and highest, so that no spike is lost."""
    if len(values) <= most:
        return list(enumerate(values))
    size = 2 * len(values) / most
    found: list[tuple[int, float | None]] = []
    i = 0.0
    while i < len(values):
        part = range(int(i), min(len(values), int(i + size)))
        known = [(values[k], k) for k in part if values[k] is not None]
        if known:
            low, high = min(known), max(known)
            found += [(k, values[k]) for k in sorted({low[1], high[1]})]
        i += size
    if found and found[-1][0] != len(values) - 1:
        found.append((len(values) - 1, values[-1]))
    return found


def path(frame: Frame, points: Sequence[tuple[float, float | None]]) -> str:
    """The d of a line through points; a None starts a new stretch."""
    parts, down = [], False
    for x, y in points:
        if y is None:
            down = False
            continue
        parts.append(f"{'L' if down else 'M'}{n(frame.x(x))} {n(frame.y(y))}")
        down = True
    return "".join(parts)


def axes(frame: Frame, labels: Sequence[tuple[float, str]], unit: str = "", digits: int | None = None) -> str:
    """Grid lines with values on the left, labels under the bottom."""
    parts = []
    marks = ticks(frame.y0, frame.y1)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    shown = digits if digits is not None else max(0, -floor(log10(step))) if step > 0 else 0
    for value in marks:
        y = n(frame.y(value))
        parts.append(f'<path class=g d="M{n(LEFT)} {y}H{n(frame.width - RIGHT)}"/>')
        parts.append(f"<text x={n(LEFT - 5)} y={y} class=yl>{value:,.{shown}f}{unit}</text>")
    for x, text in labels:
        at = frame.x(x)
        css, at = ("al", frame.width - RIGHT) if at > frame.width - 60 else ("xl", at)
        parts.append(f"<text x={n(at)} y={n(frame.height - 6)} class={css}>{escape(text)}</text>")
    return "".join(parts)


def spaced(names: Sequence[str], count: int = 4) -> list[tuple[float, str]]:
    """At most `count` of the names with their places, evenly."""
    if not names:
        return []
    step = max(1, -(-len(names) // count))
    return [(float(i), names[i]) for i in range(0, len(names), step)]


def line_chart(
    lines: Sequence[Line], names: Sequence[str], label: str, *, unit: str = "", fill: bool = False, zero: bool = False
) -> str:
    """Lines over the same places; `fill` shades between the first and 0."""
    known = [v for line in lines for v in line.values if v is not None]
    if not known:
        return nothing(label)
    low, high = min(known), max(known)
    if zero:
        low, high = min(0.0, low), max(0.0, high)
    pad = (high - low) * 0.05 or abs(high) * 0.01 or 1.0
    top = max(len(line.values) for line in lines) - 1
    frame = Frame(0, max(1, top), low - (0 if zero and low == 0 else pad), high + (0 if zero and high == 0 else pad))
    body = axes(frame, spaced(names), unit)
    for i, line in enumerate(lines):
        points = thinned(line.values)
        d = path(frame, points)
        if fill and i == 0:
            ends = [x for x, y in points if y is not None]
            if ends:
                base = n(frame.y(0.0))
                down = f"L{n(frame.x(ends[-1]))} {base}L{n(frame.x(ends[0]))} {base}Z"
                body += f'<path class="{line.css} fill" d="{d}{down}"/>'
        body += f'<path class="{line.css} line" d="{d}"><title>{escape(line.name)}</title></path>'
    return svg(body, label)


def histogram(values: Sequence[float], label: str, *, unit: str = " %", bins: int = 30) -> str:
    """How many values lie where; 0 is always an edge, losses left of it in their own colour."""
    if not values:
        return nothing(label)
    low, high = min(0.0, *values), max(0.0, *values)
    step = (high - low) / bins or 1.0
    first = ceil(-low / step)
    counts = [0] * (first + int(high // step) + 1)
    for value in values:
        counts[min(len(counts) - 1, int(value // step) + first)] += 1
    frame = Frame(-first * step, (len(counts) - first) * step, 0, max(counts) * 1.05)
    body = axes(frame, [(tick, f"{tick:g}{unit}") for tick in ticks(frame.x0, frame.x1, 8)], digits=0)
    for i, count in enumerate(counts):
        if count:
            x, y = frame.x((i - first) * step), frame.y(count)
            wide, tall = frame.x((i - first + 1) * step) - x - 1, frame.y(0) - y
            css = "loss" if i < first else "gain"
            shape = f"x={n(x)} y={n(y)} width={n(max(wide, 1))} height={n(tall)}"
            body += f"<rect class={css} {shape}><title>{count}</title></rect>"
    return svg(body, label)


def scatter(points: Sequence[tuple[float, float, bool]], label: str, xname: str, yname: str) -> str:
    """(x, y, won) as dots, gains and losses in their colours."""
    if not points:
        return nothing(label)
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    frame = Frame(min(0.0, *xs), max(0.0, *xs), min(0.0, *ys), max(0.0, *ys), WIDTH, 300)
    body = axes(frame, [(tick, f"{tick:g}") for tick in ticks(frame.x0, frame.x1, 8)])
    for css, won in (("loss", False), ("gain", True)):
        d = "".join(f"M{n(frame.x(x))} {n(frame.y(y))}h0" for x, y, w in points if w is won)
        body += f'<path class="{css} dots" d="{d}"/>' if d else ""
    body += f"<text x={n(WIDTH - RIGHT)} y={n(300 - BOTTOM - 6)} class=al>{escape(xname)}</text>"
    body += f"<text x={n(LEFT + 6)} y={n(TOP + 10)} class=tl>{escape(yname)}</text>"
    return svg(body, label, WIDTH, 300)


def bars(rows: Sequence[tuple[str, float, str]], label: str) -> str:
    """(name, value, text) as lying bars around 0."""
    if not rows:
        return nothing(label)
    height = 26.0 * len(rows) + 8
    low, high = min(0.0, *(v for _, v, _ in rows)), max(0.0, *(v for _, v, _ in rows))
    span = high - low or 1.0
    start, wide = 130.0, WIDTH - 130.0 - 260.0
    body = ""
    for i, (name, value, text) in enumerate(rows):
        y = 6 + 26.0 * i
        a, b = sorted((start + (0 - low) / span * wide, start + (value - low) / span * wide))
        body += f"<text x=122 y={n(y + 13)} class=yl>{escape(name)}</text>"
        body += f"<rect class={'loss' if value < 0 else 'gain'} x={n(a)} y={n(y)} width={n(max(1, b - a))} height=18 />"
        body += f"<text x={n(start + wide + 12)} y={n(y + 13)} class=tl>{escape(text)}</text>"
    zero = n(start + (0 - low) / span * wide)
    return svg(f'<g class=small>{body}</g><path class=z d="M{zero} 2V{n(height - 2)}"/>', label, WIDTH, height)


def nothing(label: str) -> str:
    """In place of a picture that has no data."""
    return f"<p class=none>{escape(label)}: nothing to show yet</p>"
