"""The equity and the drawdown as a PNG, for a chat: the frame and the scales are those of the tear sheet's charts."""

import io
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from tradekit.errors import MissingExtra
from tradekit.reports.svg import Frame, spaced, thinned, ticks

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDE, TALL, LOW = 1000, 420, 220  # pixels: the picture, the equity's part, the drawdown's
SIZE = 15  # of letters
INK, GRID, LINE, FALL, OTHER = "#20242a", "#d9dde3", "#1f6feb", "#d1242f", "#9aa4b2"


class EquityDay(NamedTuple):
    """One session; equity in the desk's currency, drawdown and the benchmark's return since the first as fractions."""

    session: date
    equity: float | None
    drawdown: float | None
    benchmark: float | None


def equity_picture(days: Sequence[EquityDay], *, title: str, currency: str, benchmark: str | None) -> bytes:
    """A PNG of 1000 x 640 pixels: equity (with the benchmark from the same start), drawdown in percent below.

    Raises MissingExtra without pillow. Two sessions with an equity are the least that can be drawn.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ModuleNotFoundError:
        raise MissingExtra("pictures: pillow is not installed", "pip install 'tradekit[bot]'") from None
    image = Image.new("RGB", (WIDE, TALL + LOW), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(SIZE)
    names = [f"{day.session}" for day in days]
    equity = [day.equity for day in days]
    start = next((value for value in equity if value is not None), None)
    other = [None if day.benchmark is None or start is None else start * (1 + day.benchmark) for day in days]
    falls = [None if day.drawdown is None else -100 * day.drawdown for day in days]
    _chart(draw, font, 0, TALL, [(other, OTHER), (equity, LINE)], names, zero=False, unit="")
    _chart(draw, font, TALL, LOW, [(falls, FALL)], names, zero=True, unit=" %")
    beside = f", {benchmark} from the same start in grey" if benchmark and any(v is not None for v in other) else ""
    draw.text((70, 4), f"{title}: equity in {currency}{beside}", fill=INK, font=font)
    draw.text((70, TALL + 4), "drawdown in %", fill=INK, font=font)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _chart(
    draw: "ImageDraw",
    font: Any,
    top: int,
    height: int,
    lines: Sequence[tuple[Sequence[float | None], str]],
    names: Sequence[str],
    *,
    zero: bool,
    unit: str,
) -> None:
    """Lines over the same places, `top` pixels down, with their grid."""
    known = [value for values, _ in lines for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (high - low) * 0.08 or abs(high) * 0.01 or 1.0
    frame = Frame(0, max(1, len(names) - 1), low - pad, 0.0 if zero else high + pad, WIDE, height - 24)
    marks = ticks(frame.y0, frame.y1, 4)
    digits = 0 if all(value == int(value) for value in marks) else 2
    for value in marks:
        y = top + 24 + frame.y(value)
        draw.line([(frame.x(0), y), (frame.x(frame.x1), y)], fill=GRID)
        draw.text((frame.x(0) - 6, y), f"{value:,.{digits}f}{unit}", fill=INK, font=font, anchor="rm")
    for place, name in spaced(names):
        x = min(frame.x(place), WIDE - 50.0)
        draw.text((x, top + height - 10), name, fill=INK, font=font, anchor="mm")
    for values, colour in lines:
        stretch: list[tuple[float, float]] = []
        for place, point in [*thinned(values), (0, None)]:
            if point is not None:
                stretch.append((frame.x(place), top + 24 + frame.y(point)))
                continue
            if len(stretch) > 1:
                draw.line(stretch, fill=colour, width=3, joint="curve")
            stretch = []
