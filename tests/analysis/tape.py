"""Bars and trades of one day by hand: minute bars from 09:30 New York on."""

from datetime import timedelta

from tests.make import CLOSE, OPEN, SESSION, make_session, make_trade
from tradekit.analysis.held import case_of
from tradekit.model import ExitPlan, PriceBar

DAY = make_session()


def bars_of(*rows, seconds=60, symbol="AAPL", start=OPEN):
    """(open, high, low, close) or a number, one after the other."""
    found = []
    for i, row in enumerate(rows):
        o, h, low, c = (row,) * 4 if isinstance(row, int | float) else row
        begin = start + timedelta(seconds=i * seconds)
        found.append(PriceBar(symbol, begin, begin + timedelta(seconds=seconds), o, h, low, c, 1000.0, True))
    return found


def reader(bars):
    """What a market answers: complete bars between two times."""

    def read(symbol, since, until):
        return [bar for bar in bars if bar.symbol == symbol and bar.start >= since and bar.end <= until]

    return read


def numbers(bars):
    """The same as floats, regular hours only: start, end, open, high, low, close."""

    def read(symbol, since, until):
        found = reader(bars)(symbol, since, until)
        return [(b.start.timestamp(), b.end.timestamp(), b.open, b.high, b.low, b.close) for b in found if b.regular]

    return read


def a_case(plan=None, *, last=CLOSE, candidate=None, decision=None, following=None, when=DAY, **fields):
    plan = plan or ExitPlan(stop=0.01, target=0.03, intent="day", flat_before_close_s=900)
    trade = make_trade(**fields)
    return case_of(trade, plan, when, last=last, candidate=candidate, decision=decision, following=following)


__all__ = ["CLOSE", "DAY", "OPEN", "SESSION", "a_case", "bars_of", "numbers", "reader"]
