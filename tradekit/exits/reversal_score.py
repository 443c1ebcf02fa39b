"""Reversal 0-13: how much of an uptrend has gone, from complete daily bars and the day so far."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

NAN = float("nan")
RSI_DAYS = 14
ATR_DAYS = 14


class History(NamedTuple):
    """Complete sessions before today, oldest first; all lists have one length."""

    high: Sequence[float]
    low: Sequence[float]
    close: Sequence[float]


class Today(NamedTuple):
    """The session so far; `surge` is volume over usual volume by now (NaN: unknown)."""

    open: float
    high: float
    low: float
    price: float
    surge: float = NAN


class Part(NamedTuple):
    """One sign of a reversal, its points and the sentence that says what was seen."""

    name: str
    points: int
    because: str


class Reversal(NamedTuple):
    """The score and the signs that made it, in the order of the table in docs/exits.md."""

    score: int
    parts: tuple[Part, ...]

    @property
    def because(self) -> str:
        """One sentence for the log and the chat."""
        if not self.parts:
            return "reversal 0: no sign of one"
        return f"reversal {self.score}: " + ", ".join(f"{part.because} ({part.points})" for part in self.parts)


def reversal_score(history: History, today: Today) -> Reversal:
    """The reversal score of a held symbol, 0-13; a sign whose numbers are unknown scores 0.

    Prices of one adjustment basis, oldest first. Uses up to 20 sessions, the RSI all that are given.
    """
    signs = (
        _below_sma20(history, today),
        _below_yesterday(history, today),
        _outside_day(history, today),
        _heavy_selling(history, today),
        _roc10(history, today),
        _rsi_rollover(history, today),
        _lower_days(history, today),
        _gap_down(history, today),
        _bottom_quarter(today),
    )
    parts = tuple(part for part in signs if part is not None)
    return Reversal(sum(part.points for part in parts), parts)


def _below_sma20(history: History, today: Today) -> Part | None:
    if len(history.close) < 20:
        return None
    sma = math.fsum(history.close[-20:]) / 20
    if not today.price < sma:
        return None
    return Part("below-sma20", 2, f"{today.price:.6g} is under the 20-day average of {sma:.6g}")


def _below_yesterday(history: History, today: Today) -> Part | None:
    if not history.low or not today.price < history.low[-1]:
        return None
    return Part("below-yesterday", 2, f"{today.price:.6g} is under yesterday's low of {history.low[-1]:.6g}")


def _outside_day(history: History, today: Today) -> Part | None:
    """A bearish one: the range takes yesterday's in on both sides and the price is under the open."""
    if not history.high or not (today.high > history.high[-1] and today.low < history.low[-1]):
        return None
    return Part("outside-day", 2, "bearish outside day") if today.price < today.open else None


def _heavy_selling(history: History, today: Today) -> Part | None:
    if not history.close or not (today.price < history.close[-1] and today.surge >= 1.5):
        return None
    return Part("heavy-selling", 2, f"down on {today.surge:.1f} x the usual volume")


def _roc10(history: History, today: Today) -> Part | None:
    if len(history.close) < 10:
        return None
    roc = today.price / history.close[-10] - 1
    return Part("roc10", 1, f"{roc:.1%} in ten days") if roc < 0 else None


def _rsi_rollover(history: History, today: Today) -> Part | None:
    values = rsi([*history.close, today.price])
    before = [value for value in values[-6:-1] if not math.isnan(value)]
    if not before or not (max(before) > 70 and values[-1] < 60):
        return None
    return Part("rsi-rollover", 1, f"RSI fell from {max(before):.0f} to {values[-1]:.0f} within 5 days")


def _lower_days(history: History, today: Today) -> Part | None:
    """Lower high and lower low than the day before, yesterday and today."""
    if len(history.high) < 2:
        return None
    highs, lows = (*history.high[-2:], today.high), (*history.low[-2:], today.low)
    if not (highs[0] > highs[1] > highs[2] and lows[0] > lows[1] > lows[2]):
        return None
    return Part("lower-days", 1, "lower high and low two days running")


def _gap_down(history: History, today: Today) -> Part | None:
    if not history.close:
        return None
    gap = round(today.open / history.close[-1] - 1, 9) if today.open > 0 else NAN  # 99 / 100 - 1 is not -0.01 in binary
    if not (gap < -0.01 and today.high < history.close[-1]):
        return None
    return Part("gap-down", 1, f"gap of {gap:.1%} not filled")


def _bottom_quarter(today: Today) -> Part | None:
    span = today.high - today.low
    if not (span > 0 and today.price <= today.low + span / 4):
        return None
    return Part("bottom-quarter", 1, "in the bottom quarter of the day's range")


def rsi(closes: Sequence[float], days: int = RSI_DAYS) -> list[float]:
    """Wilder's RSI, 0-100, one value a close; NaN for the first `days`, 0 while nothing has ever moved."""
    out = [NAN] * min(days, len(closes))
    if len(closes) <= days:
        return out
    moves = [after - before for before, after in pairwise(closes)]
    up = math.fsum(max(0.0, move) for move in moves[:days]) / days
    down = math.fsum(max(0.0, -move) for move in moves[:days]) / days
    out.append(_strength(up, down))
    for move in moves[days:]:
        up = (up * (days - 1) + max(0.0, move)) / days
        down = (down * (days - 1) + max(0.0, -move)) / days
        out.append(_strength(up, down))
    return out


def _strength(up: float, down: float) -> float:
    return 100 * up / (up + down) if up + down > 0 else 0.0


def atr(high: Sequence[float], low: Sequence[float], close: Sequence[float], days: int = ATR_DAYS) -> list[float]:
    """Wilder's average true range in price units, one value a bar; NaN for the first `days`."""
    out = [NAN] * min(days, len(close))
    if len(close) <= days:
        return out
    ranges = [
        max(top, before) - min(bottom, before)
        for top, bottom, before in zip(high[1:], low[1:], close[:-1], strict=False)
    ]
    mean = math.fsum(ranges[:days]) / days
    out.append(mean)
    for value in ranges[days:]:
        mean = (mean * (days - 1) + value) / days
        out.append(mean)
    return out
