"""Stage 1 names the first reason, stage 2 needs one of three; history stands still at 100, volume at 1000."""

from typing import NamedTuple

import numpy as np
import pytest

from tests.scan.panels import flat_panel, random_panel
from tradekit.scan.because import because
from tradekit.scan.screen import screen


class Bounds(NamedTuple):
    min_price: float = 5.0
    min_notional: float = 0.0
    min_change: float = 0.005
    min_rvol: float = 1.2
    surge: float = 1.3
    gap: float = 0.01
    roc10: float = 0.03
    small_surge: float = 1.5
    small_gap: float = 0.03
    small_roc10: float = 0.05


GOOD = {"open": 100.5, "high": 102.0, "low": 100.0, "price": 101.0, "volume": 1250.0, "usual": 1000.0}


def reason(signals, column=0):
    return next((name for name, mask in signals.reject.items() if mask[-1, column]), None)


@pytest.mark.parametrize(
    ("today", "found"),
    [
        ({"price": np.nan}, "no-data"),
        ({"price": 100.5}, "change"),  # exactly 0.5 % is not more than 0.5 %
        ({"price": 99.0}, "change"),  # signed: a fall is no mover
        ({"volume": 1199.0}, "rvol"),
        ({"usual": np.nan}, "rvol"),
        ({"usual": 0.0}, "rvol"),
        ({"usual": np.nan, "cross_feed": True}, "rvol-cross-feed"),
        ({}, "stage-2"),  # through stage 1: +1 %, 1.25 x
        ({"volume": 1200.0}, "stage-2"),
        ({"volume": 1300.0}, None),  # surge alone
        ({"price": 103.0}, None),  # ROC10 alone
    ],
)
def test_the_reason_of_a_reject(today, found):
    signals = screen(flat_panel(**(GOOD | today)), Bounds())
    assert reason(signals) == found
    assert bool(signals.passed[-1, 0]) == (found is None)
    assert np.isnan(signals.score[-1, 0]) == (found not in (None, "stage-2"))


def test_a_share_at_the_price_limit_is_rejected():
    cheap = {"open": 4.9, "high": 5.2, "low": 4.9, "volume": 5000.0, "usual": 1000.0}
    assert reason(screen(flat_panel(close=4.5, price=5.0, **cheap), Bounds())) == "price"
    assert reason(screen(flat_panel(close=4.5, price=5.01, **cheap), Bounds())) is None


def test_a_symbol_without_yesterday_is_rejected():
    panel = flat_panel(**GOOD)
    panel.close[-2] = np.nan
    assert reason(screen(panel, Bounds())) == "no-history"


def test_around_the_clock_the_usual_day_counts_instead_of_the_price():
    coin = {
        "close": 0.5,
        "price": 0.51,
        "open": 0.50,
        "high": 0.51,
        "low": 0.50,
        "volume": 2000.0,
        "usual": 1000.0,
    }
    bounds = Bounds(min_price=0.0, min_notional=500.0)  # 0.5 x 1000 shares a day is 500
    assert reason(screen(flat_panel(**coin), bounds)) is None
    assert reason(screen(flat_panel(**coin), bounds._replace(min_notional=501.0))) == "notional"


def test_small_caps_must_do_more():
    panel = flat_panel(width=3, caps=("large", "mid", "small"), **(GOOD | {"volume": 1400.0}))
    signals = screen(panel, Bounds())
    assert signals.passed[-1].tolist() == [True, True, False]
    assert reason(signals, 2) == "stage-2"


@pytest.mark.parametrize(
    ("today", "breakout"),
    [
        ({"open": 101.0, "price": 102.0}, True),  # gap 1 %
        ({"open": 100.9, "price": 102.0}, True),  # gap 0.9 %, but over the high of 100
        ({"open": 102.0, "price": 101.0}, False),  # below its open
        ({"open": 101.0, "price": 102.0, "volume": 1250.0}, False),  # no surge
    ],
)
def test_a_breakout_needs_a_lift_and_volume(today, breakout):
    signals = screen(flat_panel(**(GOOD | {"volume": 1500.0} | today)), Bounds())
    assert bool(signals.features["momentum_breakout"][-1, 0]) == breakout


def test_features_of_one_row_by_hand():
    panel = flat_panel(open=102.0, high=106.0, low=101.0, price=105.0, volume=3000.0, usual=1000.0)
    panel.close[-11] = 84.0  # ten sessions before today
    panel.high[-6] = 110.0  # the oldest of the five sessions before today
    panel.high[-7] = 150.0  # too old
    panel.volume[-21:-1, 0] = np.arange(20) * 100.0  # 0 to 1900
    found = {name: float(a[-1, 0]) for name, a in screen(panel, Bounds()).features.items()}
    assert found["change"] == pytest.approx(0.05)
    assert found["gap"] == pytest.approx(0.02)
    assert found["surge"] == 3.0
    assert found["roc10"] == pytest.approx(0.25)
    assert found["high5"] == 110.0
    assert found["sma20"] == pytest.approx(99.2)  # (19 x 100 + 84) / 20
    assert found["sma50"] == pytest.approx(99.68)
    assert found["avg_volume20"] == 950.0
    assert found["turnover20"] == pytest.approx(87000.0)  # 84,000 in the place of 100,000: between it and 90,000
    assert found["strength"] == 0.8


def test_a_flat_day_has_no_strength_and_scores_nothing_for_it():
    signals = screen(
        flat_panel(open=102.0, high=102.0, low=102.0, price=102.0, volume=1300.0, usual=1000.0),
        Bounds(),
    )
    assert np.isnan(signals.features["strength"][-1, 0])
    assert signals.score[-1, 0] == 1 + 1 + 2 + 1  # ROC 2 %, surge 1.3, gap 2 %, above SMA20 (SMA50 is equal)


def test_a_hole_in_history_is_unknown_not_zero():
    panel = flat_panel(**(GOOD | {"volume": 1500.0}))
    panel.close[-15] = np.nan
    signals = screen(panel, Bounds())
    assert np.isnan(signals.features["sma20"][-1, 0])
    assert signals.passed[-1, 0]


def test_the_sentence_shows_what_is_unknown():
    template = "gap {gap:+.1%}, breakout: {momentum_breakout:yes}, {surge:.1f} x"
    assert because(template, {"gap": 0.021, "momentum_breakout": 1.0, "surge": None}) == "gap +2.1%, breakout: yes, ? x"


def test_every_reject_has_one_reason_and_nobody_is_lost():
    signals = screen(random_panel(symbols=40, seed=3), Bounds())
    reasons = np.logical_or.reduce(list(signals.reject.values()))
    assert (reasons ^ signals.passed).all()
    assert not np.isnan(signals.score[signals.passed]).any()
