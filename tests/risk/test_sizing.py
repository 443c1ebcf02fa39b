"""How many shares, by hand."""

import pytest

from tests.risk.book import D
from tradekit.config import SizingSettings
from tradekit.risk.sizing import size, why_zero


@pytest.mark.parametrize(("settings", "equity", "limit", "stop", "lot", "qty"), [
    ({}, "100000", "100", "99", "1", "100"),               # 10,000 / 100
    ({}, "100000", "100.01", "99", "1", "99"),             # 99.99 shares
    ({}, "100000", "30000", None, "0.0001", "0.3333"),     # a third of a coin
    ({}, "100000", "10000.01", None, "1", "0"),            # less than one
    ({"fraction": 0.05}, "100000", "100", None, "10", "50"),
    ({"mode": "notional"}, None, "100", None, "1", "50"),  # 5,000 / 100; equity does not matter
    ({"mode": "risk"}, "100000", "100", "99", "1", "500"), # 500 / 1.00
    ({"mode": "risk"}, "100000", "100", "99.1", "1", "555"),  # 500 / 0.90
    ({"mode": "risk"}, "100000", "100", None, "1", "0"),
    ({"mode": "risk"}, "100000", "100", "100", "1", "0"),
    ({}, None, "100", None, "1", "0"),
    ({}, "NaN", "100", None, "1", "0"),
    ({}, "-5", "100", None, "1", "0"),
    ({}, "100000", "NaN", None, "1", "0"),
    ({}, "100000", "0", None, "1", "0"),
])  # fmt: skip
def test_size(settings, equity, limit, stop, lot, qty):
    def number(text):
        return None if text is None else D(text)

    chosen = SizingSettings(**settings)
    assert size(chosen, number(equity), number(limit), number(stop), D(lot)) == D(qty)
    assert why_zero(chosen, number(equity), number(limit), D(lot))
