"""The reversal score sign by sign, and its indicators against TA-Lib."""

import math
import random

import pytest

from tradekit.exits.reversal_score import History, Today, atr, reversal_score, rsi

# Twenty calm days between 99 and 101 that close at 100: whatever today does is seen against them.
FLAT = History(high=[101.0] * 20, low=[99.0] * 20, close=[100.0] * 20)
CALM = Today(open=100.0, high=100.8, low=99.6, price=100.2, surge=1.0)


def names(history, today):
    found = reversal_score(history, today)
    assert found.score == sum(part.points for part in found.parts)
    return [part.name for part in found.parts], found.score


@pytest.mark.parametrize(
    ("today", "parts", "score"),
    [
        ({}, [], 0),
        ({"low": 99.5, "price": 99.9}, ["below-sma20", "roc10"], 3),
        ({"low": 98.0, "price": 98.9}, ["below-sma20", "below-yesterday", "roc10"], 5),
        ({"high": 101.5, "low": 98.5, "price": 99.5}, ["below-sma20", "outside-day", "roc10"], 5),
        ({"high": 101.5, "low": 98.5, "price": 100.5}, [], 0),  # outside, but not bearish
        ({"low": 99.5, "price": 99.9, "surge": 1.5}, ["below-sma20", "heavy-selling", "roc10"], 5),
        ({"price": 100.1, "surge": 9.0}, [], 0),  # heavy, but up
        ({"open": 98.9, "high": 99.9, "low": 98.5, "price": 99.6}, ["below-sma20", "roc10", "gap-down"], 4),
        ({"open": 98.9, "high": 100.0, "low": 98.5, "price": 99.6}, ["below-sma20", "roc10"], 3),  # filled
        ({"open": 99.0, "high": 99.9, "low": 98.5, "price": 99.6}, ["below-sma20", "roc10"], 3),  # just 1 %
        ({"high": 101.0, "low": 100.0, "price": 100.25}, ["bottom-quarter"], 1),
        ({"high": 101.0, "low": 100.0, "price": 100.26}, [], 0),
        ({"high": 100.0, "low": 100.0, "price": 100.0}, [], 0),  # no range
    ],
)
def test_signs_against_flat_days(today, parts, score):
    assert names(FLAT, CALM._replace(**today)) == (parts, score)


def test_lower_high_and_low_two_days_running():
    history = FLAT._replace(high=[101.0] * 19 + [100.9], low=[99.0] * 19 + [98.9])
    assert names(history, CALM._replace(high=100.8, low=98.8)) == (["lower-days"], 1)
    assert names(history, CALM._replace(high=100.9, low=98.8)) == ([], 0)  # equal highs are not lower


def test_rsi_rolls_over():
    closes = [100.0 + i for i in range(20)]  # nothing but gains: RSI 100
    history = History(high=[c + 0.5 for c in closes], low=[c - 0.5 for c in closes], close=closes)
    today = Today(open=119.0, high=119.4, low=105.0, price=106.0)
    assert math.isclose(rsi([*closes, 106.0])[-1], 100 * 13 / 26)  # 13/14 up on average, 13/14 down today
    parts, score = names(history, today)
    assert (parts, score) == (["below-sma20", "below-yesterday", "roc10", "rsi-rollover", "bottom-quarter"], 7)


def test_a_crash_after_a_long_run():
    closes = [60.0 + 2 * i for i in range(20)]  # to 98
    history = History(high=[c + 1 for c in closes], low=[c - 1 for c in closes], close=closes)
    history = history._replace(high=[*history.high[:-2], 105.0, 99.0], low=[*history.low[:-2], 98.0, 97.0])
    today = Today(open=96.0, high=97.5, low=70.0, price=71.0, surge=2.0)
    parts, score = names(history, today)
    assert "outside-day" not in parts  # an outside day has a higher high: it excludes lower-days and gap-down
    assert score == 2 + 2 + 2 + 1 + 1 + 1 + 1 + 1
    most = reversal_score(history, today._replace(high=99.5))
    assert most.score == 2 + 2 + 2 + 2 + 1 + 1 + 1


def test_unknown_is_no_sign():
    assert names(History([], [], []), CALM._replace(surge=math.nan)) == ([], 0)
    short = History(high=[101.0] * 3, low=[99.0] * 3, close=[100.0] * 3)
    assert names(short, CALM._replace(low=99.5, price=100.1, surge=math.nan)) == ([], 0)
    assert names(FLAT, Today(*[math.nan] * 5)) == ([], 0)


def test_because_names_every_sign_with_its_points():
    found = reversal_score(FLAT, CALM._replace(low=99.5, price=99.9, surge=1.6))
    assert found.because == (
        "reversal 5: 99.9 is under the 20-day average of 100 (2), down on 1.6 x the usual volume (2), "
        "-0.1% in ten days (1)"
    )
    assert reversal_score(FLAT, CALM).because == "reversal 0: no sign of one"


def random_bars(n=120):
    dice, price = random.Random(7), 50.0
    high, low, close = [], [], []
    for _ in range(n):
        price *= 1 + dice.uniform(-0.03, 0.03)
        high.append(price * (1 + dice.uniform(0, 0.02)))
        low.append(price * (1 - dice.uniform(0, 0.02)))
        close.append(price)
    return high, low, close


def test_rsi_and_atr_are_those_of_talib():
    talib, np = pytest.importorskip("talib"), pytest.importorskip("numpy")
    high, low, close = random_bars()
    np.testing.assert_allclose(rsi(close), talib.RSI(np.array(close), 14), rtol=1e-10)
    np.testing.assert_allclose(atr(high, low, close), talib.ATR(*map(np.array, (high, low, close)), 14), rtol=1e-10)
    assert rsi([5.0] * 20)[-1] == talib.RSI(np.full(20, 5.0), 14)[-1] == 0


def test_too_few_bars_have_no_indicator():
    assert all(map(math.isnan, rsi([1.0] * 14)))
    assert len(rsi([1.0] * 14)) == 14
    assert rsi([]) == atr([], [], []) == []
