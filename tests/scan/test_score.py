"""The score of one symbol, worked out by hand from the table in docs/scan.md."""

import numpy as np
import pytest

from tradekit.scan.score import roc_points, score

NAN = float("nan")


def points(
    roc10,
    surge,
    gap,
    *,
    breakout=True,
    strength=0.9,
    price=110.0,
    sma20=100.0,
    sma50=95.0,
):
    cells = {
        "roc10": roc10,
        "surge": surge,
        "gap": gap,
        "strength": strength,
        "price": price,
        "sma20": sma20,
        "sma50": sma50,
    }
    found = {name: np.array([[value]]) for name, value in cells.items()}
    return float(score(found, np.array([[breakout]]))[0, 0])


@pytest.mark.parametrize(
    ("roc10", "surge", "gap", "strength", "total"),
    [
        (0.362, 3.1, 0.034, 0.9, 20),  # 5 + 5 + 4 + 2 + 2 + 2
        (0.164, 1.5, 0.039, 0.9, 17),  # 5 + 2 + 4 + 2 + 2 + 2
        (0.115, 2.2, 0.021, 0.5, 15),  # 5 + 3 + 2 + 2 + 1 + 2
    ],
)
def test_rows_that_the_first_desk_printed(roc10, surge, gap, strength, total):
    assert points(roc10, surge, gap, strength=strength) == total


@pytest.mark.parametrize(
    ("given", "total"),
    [
        ({}, 0),
        ({"roc10": 0.0199}, 0),
        ({"roc10": 0.02}, 1),
        ({"roc10": 102 / 100 - 1}, 1),  # 0.020000000000000018
        ({"roc10": 0.0999}, 4),
        ({"roc10": 0.10}, 5),
        ({"roc10": -0.30}, 0),
        ({"surge": 1.29}, 0),
        ({"surge": 1.3}, 1),
        ({"surge": 1.5}, 2),
        ({"surge": 2.0}, 3),
        ({"surge": 2.5}, 4),
        ({"surge": 99.0}, 5),
        ({"gap": 0.0099}, 0),
        ({"gap": 0.01}, 1),
        ({"gap": 0.02}, 2),
        ({"gap": 0.025}, 3),
        ({"gap": 0.03}, 4),
        ({"breakout": True}, 2),
        ({"strength": 0.5}, 1),
        ({"strength": 0.8}, 2),
        ({"price": 100.0, "sma20": 100.0, "sma50": 90.0}, 0),
        ({"price": 101.0, "sma20": 100.0, "sma50": 100.0}, 1),
        ({"price": 101.0, "sma20": 100.0, "sma50": 99.0}, 2),
        ({"price": 101.0, "sma20": 100.0, "sma50": NAN}, 1),
        ({"price": 101.0, "sma20": NAN, "sma50": 99.0}, 0),
    ],
)
def test_each_row_of_the_table_alone(given, total):
    nothing = {
        "roc10": NAN,
        "surge": NAN,
        "gap": NAN,
        "breakout": False,
        "strength": NAN,
        "price": NAN,
        "sma20": NAN,
        "sma50": NAN,
    }
    assert points(**(nothing | given)) == total


def test_an_unknown_feature_scores_nothing():
    assert roc_points(np.array([NAN, 0.04])).tolist() == [0.0, 2.0]
